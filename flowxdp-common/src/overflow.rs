//! The ring buffer's event for a packet without a slot, with the packet's facts; and the agent's note while
//! it adds them to the spill table.

use bytemuck::{Pod, Zeroable};

use crate::key::KeyTail;

/// One packet, or the packets that segmentation offload holds in one buffer, 64 octets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Event {
    /// Source and destination address as on the wire: 8 octets for IPv4 and zeros behind, 32 for IPv6.
    pub addresses: [u8; 32],
    /// The rest of the flow key.
    pub rest: KeyTail,
    /// IP octets of all packets.
    pub octets: u32,
    /// Time of the packet, nanoseconds, the clock of [`crate::slot`].
    pub time: u64,
    /// TCP flags, 0 for other protocols.
    pub tcp_flags: u16,
    /// IPv4 TTL or IPv6 hop limit.
    pub ttl: u8,
    /// 4 or 6.
    pub version: u8,
    /// [`crate::field::Groups`] whose cold slot follows the event; 0: none does.
    pub groups: u16,
    /// Packets beyond the first: 0 but for segmentation offload.
    pub further: u16,
}

const _: () = assert!(size_of::<Event>() == 64);

/// The agent's note of its change by the event at the ring buffer's consumer position, 40 octets.
///
/// The note is written before a slot of the spill table changes and stands until the event is consumed, which
/// is one store. The successor of a killed agent that finds an armed note for the next event undoes the
/// change: the event is still in the ring and will be added once more.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Intent {
    /// Consumer position of the ring buffer, octets: which event.
    pub position: u64,
    /// slot of the spill table that the event goes to.
    pub index: u64,
    /// Packets of the slot before; 0: the slot was free.
    pub packets: u64,
    /// Octets of the slot before.
    pub octets: u64,
    /// 1 while all of the above belongs together.
    pub armed: u64,
}

const _: () = assert!(size_of::<Intent>() == 40);
