//! The counters of each CPU and interface.
//!
//! One element of the counters' array belongs to one CPU and one interface: element
//! `cpu × rows + row`. Row 0 is for an interface that the agent did not name.

use bytemuck::{Pod, Zeroable};

use crate::reason::{self, IGNORED, LOST};

/// Packets and octets. A metered packet has its IP octets, an ignored one its frame's.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub octets: u64,
}

/// Places of the counters that a masked number of a reason can reach, from the first on.
const REACHED: usize = {
    let (seen, ignored) = (1, IGNORED.len());
    let by_ignored = seen + reason::mask(ignored) + 1;
    let by_lost = seen + ignored + reason::mask(LOST.len()) + 1;
    let used = seen + ignored + LOST.len() + OTHERS;
    let most = if by_ignored > by_lost { by_ignored } else { by_lost };
    if most > used { most } else { used }
};

/// Counters behind those of the reasons.
const OTHERS: usize = 3;

/// Octets of a cache line.
const LINE: usize = 64;

/// Unused words at the end: the counters of two interfaces share no cache line, and a mask leads to no other element.
const PAD: usize = {
    let size = (REACHED * size_of::<Count>()).next_multiple_of(LINE);
    size / size_of::<u64>()
        - (1 + IGNORED.len() + LOST.len() + OTHERS) * size_of::<Count>() / size_of::<u64>()
};

/// The counters of one CPU for one interface, whole cache lines. The tables of reasons give their number.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Counters {
    /// Every packet that reached the program.
    pub seen: Count,
    /// Not metered, by [`reason::Ignored`].
    pub ignored: [Count; IGNORED.len()],
    /// Metered and lost, by [`reason::Lost`].
    pub lost: [Count; LOST.len()],
    /// Handed to the ring buffer.
    pub overflow: Count,
    /// Packets that were metered by the header inside a tunnel, and the octets of the headers outside; of packets that
    /// are seen.
    pub unwrapped: Count,
    /// First fragments that fell out of the table of fragments before their time, and their octets.
    pub forgotten: Count,
    /// Zero.
    pub pad: [u64; PAD],
}

/// A CPU's memory between packets, one cache line.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct CpuState {
    /// 0: none asked for yet; [`NO_PARTITION`]: none; else the partition's number, from 1.
    ///
    /// The CPU writes it while it is 0, from then on the agent alone: see `flowxdp_core::metering::partitions`.
    pub partition: u32,
    /// ifIndex of the packet before.
    pub ingress: u32,
    /// Row of that interface.
    pub row: u32,
    /// Packets that may still use `now`.
    pub credit: u32,
    /// Jiffy in which `now` was read.
    pub jiffy: u64,
    /// Time that serves the packets of this jiffy, nanoseconds of CLOCK_MONOTONIC.
    pub now: u64,
    /// Metered packets with TCP FIN or RST.
    pub closings: u64,
    /// Scratch word: storing a number here and loading it again makes the verifier drop the range that it had
    /// tracked, so that paths merge.
    pub scratch: u64,
    /// In a replay, the slot of the last packet that has one: the IP version's number, and its index. Else
    /// [`COPY_DUE`] and 0 while the program handles a packet of its flow's first ones.
    pub slot: [u32; 2],
    /// Cold facts that the program owes once the packet is placed: [`PENDING_NONE`] or the step to take, and the
    /// slot's index. The program writes and clears it while it handles one packet.
    pub pending: [u32; 2],
}

/// [`CpuState::slot`] of a packet that may be copied: the version of no IP packet.
pub const COPY_DUE: u32 = 1;

/// No cold facts are owed.
pub const PENDING_NONE: u32 = 0;
/// The packet opened an IPv4 slot.
pub const PENDING_OPEN_V4: u32 = 1;
/// The packet opened an IPv6 slot.
pub const PENDING_OPEN_V6: u32 = 2;
/// The packet has IPv6 extension headers and hit a slot.
pub const PENDING_JOIN_V6: u32 = 3;
/// The packet found no slot: its event waits for the cold facts.
pub const PENDING_EVENT: u32 = 4;

/// [`CpuState::partition`] of a CPU that found none left, or whose partition the agent withdrew.
pub const NO_PARTITION: u32 = u32::MAX;

/// Rows of counters for each CPU: interfaces that one agent can meter, and row 0.
pub const ROWS: u32 = 256;

const _: () = assert!(size_of::<Counters>().is_multiple_of(LINE));
const _: () = assert!(size_of::<CpuState>() == 64);
