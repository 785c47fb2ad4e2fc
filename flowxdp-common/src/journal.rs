//! The running agent's journal for its successor: memory that outlives a killed process.
//!
//! One [`Page`] belongs to one collector. Two copies of its [`Terms`] take turns, and one word names the
//! valid copy and the slots that are being released, so that every step is done or not done:
//!
//! 1. `SENDING`: messages are about to be delivered. The other copy has the terms after delivery, and the
//!    list their slots. A successor that finds this state does not know whether they left.
//! 2. `RELEASING`: they were delivered, and the other copy is valid from now on. The slots of the list are
//!    released; a successor continues with the slots that are still retired.
//! 3. `TAKING_BACK`: they were refused, and the other copy is valid from now on. The collector's bit is
//!    cleared in the slots of the list; a successor continues.
//! 4. `IDLE`.
//!
//! Only one agent at a time writes here, in the order of its program.

use bytemuck::{Pod, Zeroable};

use crate::reason;

/// Collectors of one agent: a bit of each is in the state of a retired slot.
pub const COLLECTORS: usize = 16;

/// Slots that one step can let go of.
pub const REFS: usize = 4096;

/// Observation domains of one collector: its flows', and the one of the whole process.
pub const DOMAINS: usize = 2;

/// Nothing is under way.
pub const IDLE: u64 = 0;
/// The slots of the list are in messages that may have left.
pub const SENDING: u64 = 1;
/// The slots of the list are let go of.
pub const RELEASING: u64 = 2;
/// The slots of the list were refused.
pub const TAKING_BACK: u64 = 3;

/// The word of a page: its phase, the copy that holds, and the slots in the list.
pub const fn word(phase: u64, copy: u64, slots: u64) -> u64 {
    phase | copy << 2 | slots << 3
}

/// Phase, copy and number of slots in a [`word`].
pub const fn unfold(word: u64) -> (u64, u64, u64) {
    (word & 3, word >> 2 & 1, word >> 3)
}

/// Records with the packets and octets in them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Sum {
    /// Data records.
    pub records: u64,
    /// Packets.
    pub packets: u64,
    /// IP octets.
    pub octets: u64,
}

/// Where the messages of one observation domain have got to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Sequence {
    /// 1 where there is one.
    pub known: u32,
    /// Observation domain, source id or engine.
    pub domain: u32,
    /// The sequence number behind the last message that was handed over.
    pub next: u32,
    /// Zero.
    pub pad: u32,
}

/// One collector's part of the books.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Terms {
    /// Handed over.
    pub exported: Sum,
    /// Sent again after a break or a kill that left their delivery uncertain.
    pub perhaps_twice: Sum,
    /// Records in the agent's memory and in no slot, which a kill loses.
    pub held: Sum,
    /// Records in the spool and not delivered, without those that are older than the table.
    pub spooled: Sum,
    /// The delivered ones of those.
    pub spooled_exported: Sum,
    /// As `spooled`, for packets that no counter of this table has seen.
    pub foreign: Sum,
    /// The delivered ones of those.
    pub foreign_exported: Sum,
    /// Of an earlier table, found in the spool.
    pub inherited: Sum,
    /// Of those, handed over.
    pub inherited_exported: Sum,
    /// Of those, given up.
    pub inherited_lost: Sum,
    /// Given up, by [`reason::UNDELIVERED`].
    pub lost: [Sum; reason::UNDELIVERED.len()],
    /// Retired before the collector was there, and owed to others: without the lost ones.
    pub before: Sum,
    /// Of those, given up, by [`reason::UNDELIVERED`].
    pub before_lost: [Sum; reason::UNDELIVERED.len()],
    /// How often the collector's host answered that nobody listens.
    pub refused: u64,
    /// By domain.
    pub sequences: [Sequence; DOMAINS],
}

/// One collector's page.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Page {
    /// A hash of its URL; 0 for a page that is free.
    pub name: u64,
    /// The local port over UDP.
    pub port: u64,
    /// See [`word`].
    pub word: u64,
    /// Zero.
    pub pad: u64,
    /// The two copies.
    pub terms: [Terms; 2],
    /// Slots: the table in the highest octet, the index in the others.
    pub slots: [u64; REFS],
}

const _: () = assert!(size_of::<Page>().is_multiple_of(8));
const _: () = assert!(size_of::<Terms>() == 24 * (11 + 2 * reason::UNDELIVERED.len()) + 8 + 16 * DOMAINS);
