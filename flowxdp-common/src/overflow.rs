//! What travels over the ring buffer when a packet finds no slot: the packet's own facts.

use bytemuck::{Pod, Zeroable};

use crate::key::Rest;

/// One packet, 64 octets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Event {
    /// Source and destination address as on the wire: 8 octets for IPv4 and zeros behind, 32 for IPv6.
    pub addresses: [u8; 32],
    /// The rest of the flow key.
    pub rest: Rest,
    /// IP octets of this packet.
    pub octets: u32,
    /// Time of the packet, nanoseconds, the clock of [`crate::slot`].
    pub time: u64,
    /// TCP flags, 0 for other protocols.
    pub tcp_flags: u16,
    /// IPv4 TTL or IPv6 hop limit.
    pub ttl: u8,
    /// 4 or 6.
    pub version: u8,
    /// Zero.
    pub pad: u32,
}

const _: () = assert!(size_of::<Event>() == 64);
