//! One entry of the flow table: a flow's key, counters and state.
//!
//! States: [`FREE`] → [`LIVE`] (XDP program) → [`RETIRED`] (agent) → [`FREE`] (agent). A slot is written as a
//! whole by the CPU that owns its partition, its state last; between `RETIRED` and `FREE`, once a grace
//! period has passed, only the agent touches it. [`SpillSlot`] is the agent's alone, with the same states.

use bytemuck::{Pod, Zeroable};

use crate::key::{KeyV4, KeyV6, SpillKey};

/// No flow; the owning CPU may open one here.
pub const FREE: u32 = 0;
/// A flow that packets are added to.
pub const LIVE: u32 = 1;
/// A flow that the agent is about to read for the last time; no packet matches it.
pub const RETIRED: u32 = 2;

/// Bits of a state that hold one of the three; the bits above are [`has`].
const STATE: u32 = 0xff;

/// A retired slot that the collectors of these bits have already.
pub const fn retired(has: u32) -> u32 {
    RETIRED | has << 8
}

/// Whether a slot is retired, whoever has it.
pub const fn is_retired(state: u32) -> bool {
    state & STATE == RETIRED
}

/// The collectors that have a retired slot's record, a bit each.
pub const fn has(state: u32) -> u32 {
    state >> 8
}

/// Slots that one look-up may touch, counted from the flow's home slot.
///
/// Each partition has `WINDOW` − 1 slots more than homes, so that a window never wraps.
pub const WINDOW: u32 = 8;

/// Hands the counters of a flow to another macro, behind the tokens in braces: comment, name, type, and how the
/// values of two slots join ([`crate::field::Join`]).
///
/// Slots, the counters of the core, their join and the table descriptor follow from this list. The order is that of
/// the kernel's slots.
#[macro_export]
macro_rules! slot_counters {
    ($then:ident! $given:tt) => {
        $then! { $given
            /// OR of the low 12 bits of octets 12 and 13 of the TCP headers (RFC 9293, RFC 9565).
            tcp_flags: u16, Or;
            /// Smallest IPv4 TTL or IPv6 hop limit.
            ttl_min: u8, Min;
            /// Largest IPv4 TTL or IPv6 hop limit.
            ttl_max: u8, Max;
            /// Packets.
            packets: u64, Sum;
            /// IP octets: IPv4 total length, IPv6 40 + payload length.
            octets: u64, Sum;
            /// First packet, nanoseconds of CLOCK_MONOTONIC; in a replay of the capture's clock.
            first: u64, Min;
            /// Last packet, same clock.
            last: u64, Max;
            /// Smallest IP length; 65,535 stands for that and more.
            length_min: u16, Min;
            /// Largest IP length; 65,535 stands for that and more.
            length_max: u16, Max;
        }
    };
}

/// Declares a slot: the key first, then the same counters for both IP versions.
macro_rules! slot {
    (
        { $(#[$doc:meta])* $name:ident, $key:ty, $pad:literal }
        $($(#[$about:meta])* $field:ident: $type:ty, $join:ident;)+
    ) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
        pub struct $name {
            /// The flow key.
            pub key: $key,
            $($(#[$about])* pub $field: $type,)+
            /// [`FREE`], [`LIVE`] or [`RETIRED`] with [`has`]; written last.
            pub state: u32,
            /// Zero.
            pub pad: [u64; $pad],
        }
    };
}

slot_counters!(slot! {
    /// An IPv4 flow: exactly one cache line of 64 octets.
    SlotV4, KeyV4, 0
});
slot_counters!(slot! {
    /// An IPv6 flow: 96 octets, two cache lines wherever it starts.
    SlotV6, KeyV6, 1
});

/// A flow in the spill table, of either IP version: 128 octets, two cache lines.
///
/// The fields that a look-up compares and a packet adds to are in the first, the fields that a sweep reads in
/// the second.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct SpillSlot {
    /// The flow key.
    pub key: SpillKey,
    /// Packets.
    pub packets: u64,
    /// IP octets.
    pub octets: u64,
    /// First packet, the clock of [`SlotV4::first`].
    pub first: u64,
    /// Last packet, same clock.
    pub last: u64,
    /// Smallest IP length; 65,535 stands for that and more.
    pub length_min: u16,
    /// Largest IP length; 65,535 stands for that and more.
    pub length_max: u16,
    /// [`FREE`], [`LIVE`] or [`RETIRED`]; written last.
    pub state: u32,
    /// OR of the TCP flags, 12 bits.
    pub tcp_flags: u16,
    /// Smallest IPv4 TTL or IPv6 hop limit.
    pub ttl_min: u8,
    /// Largest IPv4 TTL or IPv6 hop limit.
    pub ttl_max: u8,
    /// Zero.
    pub pad: u32,
    /// Zero.
    pub spare: [u64; 4],
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<SpillSlot>() == 128);
    assert!(offset_of!(SpillSlot, octets) == 56);
    assert!(offset_of!(SpillSlot, first) == 64);
    assert!(offset_of!(SpillSlot, state) == 84);
    assert!(offset_of!(SpillSlot, spare) == 96);
    assert!(size_of::<SlotV4>() == 64);
    assert!(offset_of!(SlotV4, packets) == 24);
    assert!(offset_of!(SlotV4, state) == 60);
    assert!(size_of::<SlotV6>() == 96);
    assert!(offset_of!(SlotV6, packets) == 48);
    assert!(offset_of!(SlotV6, state) == 84);
};
