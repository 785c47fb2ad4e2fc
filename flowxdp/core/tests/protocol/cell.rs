//! The words of memory that the processes of the model share, and a process's operations on them.

/// Slots of all tables together, at most.
pub(crate) const SLOTS: usize = 6;
pub(crate) const CPUS: usize = 2;
pub(crate) const COLLECTORS: usize = 2;
/// Slots in one message, at most.
pub(crate) const REFS: usize = 2;
/// Packets that the ring buffer has room for.
pub(crate) const EVENTS: usize = 4;

/// Packets and octets in the terms of a collector, each in a word of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    ExportedPackets,
    ExportedOctets,
    TwicePackets,
    TwiceOctets,
}

impl Sum {
    pub(crate) const ALL: [Self; 4] =
        [Self::ExportedPackets, Self::ExportedOctets, Self::TwicePackets, Self::TwiceOctets];
}

/// A word of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Of a slot; with its index.
    State(usize),
    Key(usize),
    Packets(usize),
    Octets(usize),
    /// Of a CPU.
    SeenPackets(usize),
    SeenOctets(usize),
    /// The partition that it has, as in [`flowxdp_common::counter::CpuState`].
    Claim(usize),
    /// CPUs that have asked for a partition.
    Taken,
    /// The ring buffer.
    Event(usize),
    Producer,
    Consumer,
    /// The agent's note of its next change by the event at the consumer's position.
    IntentPosition,
    IntentIndex,
    IntentPackets,
    IntentOctets,
    IntentArmed,
    /// The journal's page of a collector: the word, a sum in one of the two copies, a slot of the list.
    Word(usize),
    Terms(usize, usize, Sum),
    Ref(usize, usize),
    /// The packets that a collector received.
    ReceivedPackets(usize),
    ReceivedOctets(usize),
}

const CPU: usize = 4 * SLOTS;
const CLAIM: usize = CPU + 2 * CPUS;
const RING: usize = CLAIM + CPUS + 1;
const PAGE: usize = RING + EVENTS + 7;
const PAGE_WORDS: usize = 1 + 2 * 4 + REFS;
const WORLD: usize = PAGE + COLLECTORS * PAGE_WORDS;
/// Words in all.
pub(crate) const WORDS: usize = WORLD + 2 * COLLECTORS;

impl Cell {
    /// Its place in the memory.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::State(slot) => 4 * slot,
            Self::Key(slot) => 4 * slot + 1,
            Self::Packets(slot) => 4 * slot + 2,
            Self::Octets(slot) => 4 * slot + 3,
            Self::SeenPackets(cpu) => CPU + 2 * cpu,
            Self::SeenOctets(cpu) => CPU + 2 * cpu + 1,
            Self::Claim(cpu) => CLAIM + cpu,
            Self::Taken => CLAIM + CPUS,
            Self::Event(place) => RING + place,
            Self::Producer => RING + EVENTS,
            Self::Consumer => RING + EVENTS + 1,
            Self::IntentPosition => RING + EVENTS + 2,
            Self::IntentIndex => RING + EVENTS + 3,
            Self::IntentPackets => RING + EVENTS + 4,
            Self::IntentOctets => RING + EVENTS + 5,
            Self::IntentArmed => RING + EVENTS + 6,
            Self::Word(collector) => PAGE + PAGE_WORDS * collector,
            Self::Terms(collector, copy, sum) => PAGE + PAGE_WORDS * collector + 1 + 4 * copy + sum as usize,
            Self::Ref(collector, place) => PAGE + PAGE_WORDS * collector + 9 + place,
            Self::ReceivedPackets(collector) => WORLD + 2 * collector,
            Self::ReceivedOctets(collector) => WORLD + 2 * collector + 1,
        }
    }

    /// Whether the XDP program never touches it.
    const fn is_agents(self) -> bool {
        self.index() > Self::Producer.index()
    }
}

/// One step of a process, which nothing interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Load(Cell),
    Store(Cell, u64),
    /// An addition to a word that nobody else writes.
    Add(Cell, u64),
    /// A store that is seen by nobody before everything that this CPU stored earlier.
    Release(Cell, u64),
    /// A program begins on its CPU.
    Enter,
    /// The program ends; whether there are more packets.
    Exit(bool),
    /// Asks for a partition: an atomic addition, which gives how many CPUs have asked before.
    Take,
    /// Puts an event into the ring buffer.
    Submit(u64),
    /// The agent asks for a grace period …
    GraceBegin,
    /// … and has waited for it.
    GraceEnd,
    /// The agent has let go of the interfaces, and no packet comes any more.
    Detached,
    /// A message leaves for a collector, with packets and octets.
    Send(usize, u64, u64),
    /// Together with a store, the agent learns that a message was refused and never arrived.
    Refused(usize, u64, u64, Cell, u64),
    /// One of so many ways to go on.
    Choose(u64),
}

impl Op {
    /// Whether no other process can tell when it happens, nor it when others step.
    pub(crate) const fn is_private(self) -> bool {
        match self {
            Self::Load(cell) | Self::Store(cell, _) | Self::Add(cell, _) => cell.is_agents(),
            Self::Send(..) | Self::Refused(..) | Self::Choose(_) => true,
            _ => false,
        }
    }
}
