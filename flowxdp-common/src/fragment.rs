//! The table of first fragments, by which later fragments find their ports.
//!
//! The table is an array of sets that all CPUs share: the fragments of one datagram may come to several. A set is
//! locked for the few instructions that compare or replace one of its entries.

use bytemuck::{Pod, Zeroable};

/// A later fragment joins a first one that is at most so old, nanoseconds.
pub const LONGEST: u64 = 30_000_000_000;

/// First fragments of one set.
pub const WAYS: usize = 8;

/// Sets of the table: 16,384 first fragments.
pub const SETS: u32 = 2048;

/// Words by which fragments of one datagram are known.
pub const NAME: usize = 6;

/// The ports and the protocol of a first fragment, one cache line.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct FirstFragment {
    /// Source and destination address, 8 octets of IPv4 and zeros behind, or 32 of IPv6; identification and ifIndex;
    /// VLAN word, protocol of IPv4, IP version, and the tunnel's segment.
    pub name: [u64; NAME],
    /// Time of the packet, nanoseconds, the clock of [`crate::slot`].
    pub time: u64,
    /// Ports as in the flow key.
    pub ports: [u8; 4],
    /// Protocol of the flow key.
    pub protocol: u8,
    /// 1 where there is an entry, 0 where none was yet.
    pub used: u8,
    /// Zero.
    pub pad: [u8; 2],
}

/// One set, whole cache lines.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct FragmentSet {
    /// 1 while a CPU works on the set.
    pub lock: u64,
    /// Zero.
    pub pad: [u64; 7],
    /// The entries, in no order.
    pub ways: [FirstFragment; WAYS],
}

const _: () = assert!(size_of::<FirstFragment>() == 64);
const _: () = assert!(size_of::<FragmentSet>() == 64 * (WAYS + 1));
