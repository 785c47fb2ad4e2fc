//! A pinned table's descriptor, by which a later agent reads it.

use bytemuck::{Pod, Zeroable};

use core::mem::offset_of;

use crate::{
    counter::Counters,
    field::{Cold, Groups, offset},
    key::{KeyTail, KeyV4, KeyV6, SpillKey},
    overflow::Event,
    slot::{SlotV4, SlotV6, SpillSlot},
    slot_counters,
    switch::SEED_WORDS,
};

/// A field that there is none of.
pub const NONE: u16 = u16::MAX;

/// Where the fields of a slot, or of an event of the ring buffer, are: offsets in octets, [`NONE`] for none.
/// The number of octets of each field is that of [`SpillSlot`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Fields {
    /// Octets of the whole.
    pub whole: u16,
    /// 4 or 6, or 0 where it is different in each: then it is at `version_at`.
    pub version: u16,
    /// One octet, 4 or 6.
    pub version_at: u16,
    /// Source and destination address, as on the wire.
    pub addresses: u16,
    /// Source and destination port, in network byte order.
    pub ports: u16,
    /// IANA protocol number.
    pub protocol: u16,
    /// Type of service or traffic class.
    pub tos: u16,
    /// Outer VLAN identifier.
    pub vlan: u16,
    /// ifIndex of the ingress interface.
    pub ingress: u16,
    /// Packets; [`NONE`]: one.
    pub packets: u16,
    /// IP octets: 8 octets behind `packets`, else 4.
    pub octets: u16,
    /// First packet.
    pub first: u16,
    /// Last packet.
    pub last: u16,
    /// OR of the TCP flags.
    pub tcp_flags: u16,
    /// Smallest TTL or hop limit.
    pub ttl_min: u16,
    /// Largest TTL or hop limit.
    pub ttl_max: u16,
    /// Smallest IP length; [`NONE`]: `octets`.
    pub length_min: u16,
    /// Largest IP length; [`NONE`]: `octets`.
    pub length_max: u16,
    /// The state, as [`crate::slot`] has it.
    pub state: u16,
    /// One octet, [`SpillKey::level`].
    pub level: u16,
}

/// The fields of a slot of this layout.
macro_rules! fields {
    (
        { $slot:ty, $key:ty, $version:literal, $version_at:expr, $level:expr }
        $($(#[$about:meta])* $field:ident: $type:ty, $join:ident;)+
    ) => {
        Fields {
            whole: size_of::<$slot>() as u16,
            version: $version,
            version_at: $version_at as u16,
            addresses: offset_of!($key, addresses) as u16,
            ports: (offset_of!($key, rest) + offset_of!(KeyTail, ports)) as u16,
            protocol: (offset_of!($key, rest) + offset_of!(KeyTail, protocol)) as u16,
            tos: (offset_of!($key, rest) + offset_of!(KeyTail, tos)) as u16,
            vlan: (offset_of!($key, rest) + offset_of!(KeyTail, vlan)) as u16,
            ingress: (offset_of!($key, rest) + offset_of!(KeyTail, ingress)) as u16,
            $($field: offset_of!($slot, $field) as u16,)+
            state: offset_of!($slot, state) as u16,
            level: $level as u16,
        }
    };
}

/// The layout of this version: IPv4 slots, IPv6 slots, spill slots, and events of the ring buffer.
#[allow(clippy::cast_possible_truncation, reason = "offsets in slots of at most 128 octets")]
pub const FIELDS: [Fields; 4] = [
    slot_counters!(fields! { SlotV4, KeyV4, 4, NONE, NONE }),
    slot_counters!(fields! { SlotV6, KeyV6, 6, NONE, NONE }),
    slot_counters!(fields! {
        SpillSlot, SpillKey, 0, offset_of!(SpillKey, version), offset_of!(SpillKey, level)
    }),
    Fields {
        whole: size_of::<Event>() as u16,
        version: 0,
        version_at: offset_of!(Event, version) as u16,
        addresses: offset_of!(Event, addresses) as u16,
        ports: (offset_of!(Event, rest) + offset_of!(KeyTail, ports)) as u16,
        protocol: (offset_of!(Event, rest) + offset_of!(KeyTail, protocol)) as u16,
        tos: (offset_of!(Event, rest) + offset_of!(KeyTail, tos)) as u16,
        vlan: (offset_of!(Event, rest) + offset_of!(KeyTail, vlan)) as u16,
        ingress: (offset_of!(Event, rest) + offset_of!(KeyTail, ingress)) as u16,
        packets: NONE,
        octets: offset_of!(Event, octets) as u16,
        first: offset_of!(Event, time) as u16,
        last: offset_of!(Event, time) as u16,
        tcp_flags: offset_of!(Event, tcp_flags) as u16,
        ttl_min: offset_of!(Event, ttl) as u16,
        ttl_max: offset_of!(Event, ttl) as u16,
        length_min: NONE,
        length_max: NONE,
        state: NONE,
        level: NONE,
    },
];

/// The shape of a table and its program's constants. Up to `fields` this never changes, so that every agent
/// can empty the table of every other one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct TableDescriptor {
    /// [`crate::LAYOUT_VERSION`] of the agent that made it; 0 until everything else is there.
    pub layout: u64,
    /// Octets of this struct.
    pub size: u64,
    /// As [`FIELDS`].
    pub fields: [Fields; 4],
    /// IPv4 flows that the whole table holds.
    pub flows_v4: u64,
    /// IPv6 flows that the whole table holds.
    pub flows_v6: u64,
    /// Partitions.
    pub partitions: u64,
    /// The hash's seed.
    pub seed: [u64; SEED_WORDS],
    /// The generation that this table took over from, if that has another layout; else 0.
    pub taken_from: u64,
    /// Packets that this table took over from one of another layout, which its counters have not seen.
    pub taken_packets: u64,
    /// Their octets.
    pub taken_octets: u64,
    /// [`crate::field::Groups`] that have cold fields; 0: there are no cold slots.
    pub groups: u64,
    /// Where each field of [`crate::field::COLD`] lies in a cold slot, octets; [`NONE`] for none.
    pub cold: [u16; COLD_ROOM],
}

/// Cold fields that a descriptor has room for.
pub const COLD_ROOM: usize = 32;

/// The cold layout of `groups`, as [`TableDescriptor::cold`] says it.
pub const fn cold(groups: Groups) -> [u16; COLD_ROOM] {
    let mut places = [NONE; COLD_ROOM];
    let mut index = 0;
    while index < Cold::ALL.len() {
        if let Some(at) = offset(groups, Cold::ALL[index]) {
            places[index] = at;
        }
        index += 1;
    }
    places
}

/// Who has a row of the counters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Owner {
    /// The interface's name, at most 15 octets (IFNAMSIZ), zeros behind it.
    pub name: [u8; 16],
    /// Counted in the row before it was this interface's, over all CPUs.
    pub before: Counters,
}

/// The owner of a row in two copies, so that one store changes name and counters together: an agent that is
/// killed leaves the row to the old owner or to the new one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Name {
    /// The copies.
    pub copies: [Owner; 2],
    /// The copy that holds, 0 or 1.
    pub copy: u64,
}

impl Name {
    /// The owner.
    pub const fn owner(&self) -> &Owner {
        let [first, second] = &self.copies;
        if self.copy == 0 { first } else { second }
    }

    /// The same owner, with `next` in the copy that does not hold: the first of two steps.
    pub const fn prepared(mut self, next: Owner) -> Self {
        let [first, second] = &mut self.copies;
        *(if self.copy == 0 { second } else { first }) = next;
        self
    }

    /// The other copy holds: the second step.
    pub const fn switched(mut self) -> Self {
        self.copy = if self.copy == 0 { 1 } else { 0 };
        self
    }
}

const _: () = assert!(size_of::<TableDescriptor>().is_multiple_of(8) && Cold::ALL.len() <= COLD_ROOM);
const _: () = assert!(size_of::<Name>().is_multiple_of(8));
