//! Constants that are set when the program is loaded, so that the verifier removes what is off.

use bytemuck::{Pod, Zeroable};

/// Words of the hash's random seed: two for each pair of 32-bit words of an IPv6 key, and one multiplier.
pub const SEED_WORDS: usize = 14;

/// The shape of the flow table and what the program does.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Switch {
    /// Partitions of the table.
    pub partitions: u32,
    /// Home slots of one IPv4 partition.
    pub homes_v4: u32,
    /// Home slots of one IPv6 partition.
    pub homes_v6: u32,
    /// 1: frames carry [`crate::meta::Meta`] in front of them; time, lengths and interface come from there.
    pub replay: u32,
}
