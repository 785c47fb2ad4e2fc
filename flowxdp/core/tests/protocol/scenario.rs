//! A scenario: the packets of each flow and CPU, and the rule of the protocol that is broken.

use crate::cell::CPUS;

/// A packet to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    /// Its flow, from 1.
    pub flow: u64,
    /// The first slot of its window, in the CPU's partition.
    pub home: usize,
}

/// A rule that is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The agent reads retired slots without a grace period.
    NoGrace,
    /// A partition is given to another CPU without a grace period.
    NoGraceBeforeGift,
    /// The look-up ends at the first free slot.
    FirstFreeSlot,
    /// A slot is live before its key and counters are written.
    StateFirst,
    /// The state is written last, but by a store like any other.
    PlainState,
    /// A packet more writes the whole last word of its slot, and the state with it.
    HitWritesState,
    /// A snapshot of the books does not wait.
    NoGraceInBooks,
    /// A message leaves before the journal says so.
    SendFirst,
    /// Slots are let go of before the journal says that their message was handed over.
    FreeFirst,
    /// The new sums are written over those that hold.
    OneCopy,
    /// The next agent lets go of the slots in the list whatever their state.
    ReleaseAnything,
    /// The next agent retires before it has looked into the journal.
    RetireFirst,
    /// The next agent reads retired slots without a grace period.
    NoGraceAtAdoption,
    /// The next agent does not name records that may have been sent.
    NameNothing,
    /// The next agent sends a retired slot to collectors that have it.
    ForgetWhoHas,
    /// Slots are free before their message cannot be refused any more.
    FreeUnsure,
    /// The next agent does not finish taking back.
    ForgetRefusal,
    /// The spill table's slot is changed before the intent is noted.
    IntentLater,
    /// The note holds while its words do not belong together.
    AlwaysArmed,
    /// An event is consumed before it is in its slot.
    ConsumeFirst,
    /// The next agent undoes nothing.
    UndoNothing,
}

/// One exploration.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// Slots of a window; 0: all packets go through the ring buffer.
    pub window: usize,
    /// Windows of a partition.
    pub homes: usize,
    /// Slots of the spill table.
    pub spill_slots: usize,
    /// All CPUs share one partition, which each look hands to one that has none; else each has its own.
    pub hand_over: bool,
    /// The packets of each CPU.
    pub packets: [Vec<Packet>; CPUS],
    /// Looks at the table before the last one.
    pub sweeps: u8,
    /// At a look each live slot is due or is not; else all are.
    pub undecided: bool,
    /// The books are read after each look.
    pub books: bool,
    pub collectors: usize,
    /// A message may be handed over in part.
    pub partial: bool,
    /// Messages that may be refused after they were handed over.
    pub refusals: u8,
    /// Agents killed.
    pub kills: u8,
    /// Stores are seen late, in any order.
    pub weak: bool,
    pub broken: Option<Broken>,
}

impl Scenario {
    pub(crate) fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// Slots of a partition.
    const fn partition(&self) -> usize {
        if self.window == 0 { 0 } else { self.homes + self.window - 1 }
    }

    /// Partitions of the kernel's table.
    pub(crate) fn partitions(&self) -> usize {
        if self.hand_over { 1 } else { self.packets.iter().filter(|packets| !packets.is_empty()).count() }
    }

    /// First slot of a partition.
    pub(crate) const fn base(&self, partition: usize) -> usize {
        partition * self.partition()
    }

    /// First slot of the spill table, which is behind all partitions.
    pub(crate) fn spill_base(&self) -> usize {
        self.base(self.partitions())
    }

    /// Slots of all tables.
    pub(crate) fn slots(&self) -> usize {
        self.spill_base() + self.spill_slots
    }

    /// Numbers of a CPU's packets begin here.
    pub(crate) fn first_number(&self, cpu: usize) -> usize {
        self.packets[..cpu].iter().map(Vec::len).sum()
    }
}
