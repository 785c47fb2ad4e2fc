//! What a pinned table says of itself, so that a later agent knows how to read it.

use bytemuck::{Pod, Zeroable};

use crate::switch::SEED_WORDS;

/// The shape of a table and its program's constants. Of this type the first two words never change.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Shape {
    /// [`crate::LAYOUT_VERSION`] of the agent that made it; 0 until everything else is there.
    pub layout: u64,
    /// Octets of this struct.
    pub size: u64,
    /// IPv4 flows that the whole table holds.
    pub flows_v4: u64,
    /// IPv6 flows that the whole table holds.
    pub flows_v6: u64,
    /// Partitions.
    pub partitions: u64,
    /// The hash's seed.
    pub seed: [u64; SEED_WORDS],
    /// Packets that this table took over from one of another layout, which its counters have not seen.
    pub taken_packets: u64,
    /// Their octets.
    pub taken_octets: u64,
}

/// The name of an interface by its row of the counters: text, zeros behind it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Name {
    /// At most 15 octets (IFNAMSIZ) and a zero.
    pub octets: [u8; 16],
}
