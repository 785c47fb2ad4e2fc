//! The maps, and the constants that the loader sets.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, HashMap, ProgramArray, RingBuf},
};
use flowxdp_common::{
    copy::CopyState,
    counter::{Counters, CpuState, ROWS as MOST_ROWS},
    field::{Group, WIDEST},
    fragment::FragmentSet,
    journal::{COLLECTORS, Page},
    overflow::{Event, Intent},
    slot::{SlotV4, SlotV6, SpillSlot},
    table::{Name, TableDescriptor},
    tunnel::MORE_PORTS,
};
use flowxdp_ebpf::{candidate::Candidate, constant::Constant, hash::Seed, parse::tunnel::Ports};

use crate::bpf::atomic;

/// Words of the widest cold slot.
pub const ROW: usize = WIDEST / 8;

/// Words of an event.
pub const EVENT: usize = size_of::<Event>() / 8;

/// The memory in which a CPU collects the cold facts of one packet; the event stands in front of them, as
/// the ring buffer takes both.
#[repr(C)]
pub struct Memory {
    /// The words of an event.
    pub event: [u64; EVENT],
    /// The words of a cold slot.
    pub row: [u64; ROW],
}

/// The IPv4 flow table; the loader sets its size.
#[map]
pub static FLOWS_V4: Array<SlotV4> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The IPv6 flow table; the loader sets its size.
#[map]
pub static FLOWS_V6: Array<SlotV6> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Cold slots of the IPv4 table, some words each; the loader sets their number.
#[map]
pub static COLD_V4: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Cold slots of the IPv6 table.
#[map]
pub static COLD_V6: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Cold slots of the spill table: no program refers to it.
#[map(name = "COLD_OWN")]
pub static COLD_SPILL: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Where each CPU collects the cold facts of one packet; the loader sets its size.
#[map]
pub static DETAIL: Array<Memory> = Array::with_max_entries(1, 0);

/// The packet that each CPU meters, where tunnels are opened or fragments joined; the loader sets its size.
#[map]
pub static CANDIDATES: Array<Candidate> = Array::with_max_entries(1, 0);

/// First fragments, where fragments are joined; the loader sets its size.
#[map]
pub static FRAGMENTS: Array<FragmentSet> = Array::with_max_entries(1, 0);

/// Counters of each CPU and interface; the loader sets its size.
#[map]
pub static COUNTERS: Array<Counters> = Array::with_max_entries(MOST_ROWS, BPF_F_MMAPABLE);

/// Each CPU's memory; the loader sets its size.
#[map]
pub static CPUS: Array<CpuState> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// ifIndex → row of the counters.
#[map]
pub static ROWS: HashMap<u32, u32> = HashMap::with_max_entries(MOST_ROWS, 0);

/// Partitions that were given out.
#[map]
pub static TAKEN: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// ifIndex → place in the arrays below, of interfaces that have another program too.
#[map]
pub static BESIDE: HashMap<u32, u32> = HashMap::with_max_entries(MOST_ROWS, 0);

/// The other program on each interface, which runs after [`crate::bpf::program::flowxdp`].
///
/// An array of programs takes only programs of the caller's kind, so each of ours has its own array.
#[map]
pub static CHAIN: ProgramArray = ProgramArray::with_max_entries(MOST_ROWS, 0);

/// The same for [`crate::bpf::program::flowxdp_frags`].
#[map]
pub static CHAIN_FRAGS: ProgramArray = ProgramArray::with_max_entries(MOST_ROWS, 0);

/// Packets without a slot, on their way to the agent; the loader sets its size.
#[map]
pub static OVERFLOW: RingBuf = RingBuf::with_byte_size(1 << 24, 0);

/// Copies of first packets, on their way to the inspector of names; the loader sets its size.
#[map]
pub static COPIES: RingBuf = RingBuf::with_byte_size(1 << 12, 0);

/// Each CPU's counters and budget for copies; the loader sets its size.
#[map]
pub static COPIERS: Array<CopyState> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The spill table: no program refers to it; the loader sets its size.
#[map(name = "OWN")]
pub static SPILL: Array<SpillSlot> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The agent's note of a change to a slot of the spill table: no program refers to it.
#[map]
pub static INTENT: Array<Intent> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The agent's journal for its successor: no program refers to it.
#[map]
pub static JOURNAL: Array<Page> = Array::with_max_entries(COLLECTORS as u32, BPF_F_MMAPABLE);

/// The table's descriptor: no program refers to it.
#[map]
pub static SHAPE: Array<TableDescriptor> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Names of interfaces: no program refers to it.
#[map]
pub static NAMES: Array<Name> = Array::with_max_entries(MOST_ROWS, BPF_F_MMAPABLE);

/// Declares the load-time constants, from the rows of their table.
macro_rules! constants {
    ({} $($(#[$of_kind:meta])* $kind:ident {
        $($(#[$about:meta])* $symbol:ident $field:ident: $type:ty = $default:expr;)+
    })+) => {$($(
        $(#[$about])*
        #[unsafe(no_mangle)]
        pub static $symbol: Constant<$type> = Constant::new($default);
    )+)+};
}

flowxdp_common::switches!(constants! {});

/// An element of an array that this CPU alone writes, apart from words that the agent takes part in.
pub struct Own<T>(*mut T);

impl<T> Clone for Own<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Own<T> {}

impl<T> Own<T> {
    /// The element. The program runs alone on its CPU, with bottom halves disabled, and borrows it in one place at a
    /// time.
    #[inline(always)]
    pub fn get(&mut self) -> &mut T {
        // SAFETY: an element of a map, as above.
        unsafe { &mut *self.0 }
    }

    /// Where it is.
    #[inline(always)]
    pub const fn pointer(self) -> *mut T {
        self.0
    }
}

/// The memory of the CPU with this number, which runs the program.
#[inline(always)]
pub fn cpu(number: u32) -> Option<Own<CpuState>> {
    CPUS.get_ptr_mut(number).map(Own)
}

/// The counters and the budget for copies of the CPU with this number, which runs the program.
#[inline(always)]
pub fn copier(number: u32) -> Option<Own<CopyState>> {
    COPIERS.get_ptr_mut(number).map(Own)
}

/// The counters at this place, which are the running CPU's.
#[inline(always)]
pub fn counters(place: u32) -> Option<&'static mut Counters> {
    // SAFETY: an element that this CPU alone writes.
    COUNTERS.get_ptr_mut(place).map(|counters| unsafe { &mut *counters })
}

/// The row of an interface's counters; 0 where it has none.
#[inline(always)]
pub fn row(interface: u32) -> u32 {
    // SAFETY: the value is copied at once; rows are never deleted while the program runs.
    unsafe { ROWS.get(interface) }.copied().unwrap_or(0)
}

/// The place of an interface's other program.
#[inline(always)]
pub fn beside(interface: u32) -> Option<u32> {
    // SAFETY: the value is copied at once.
    unsafe { BESIDE.get(interface) }.copied()
}

/// Takes the number of the next partition, from 0 on.
#[inline(always)]
pub fn take_partition() -> Option<u64> {
    let taken = TAKEN.get_ptr_mut(0)?;
    // SAFETY: a map element, shared by all CPUs and only ever accessed as a whole.
    Some(unsafe { atomic::fetch_add(taken, 1) })
}

/// The hash's seed, read word by word as it is needed.
#[derive(Clone, Copy)]
pub struct LoadedSeed;

impl Seed for LoadedSeed {
    #[inline(always)]
    fn word(&self, index: usize) -> u64 {
        SEED.element(index)
    }
}

/// Octets before a group's first field in the cold slot; `None` where the group is off.
#[inline(always)]
pub fn cold_offset(group: Group) -> Option<u32> {
    let at = COLD_OFFSETS.element(group as usize);
    if at == u32::MAX { None } else { Some(at) }
}

/// Whether frames carry metadata in front of them.
#[inline(always)]
pub fn is_replay() -> bool {
    REPLAY.get() != 0
}

/// UDP ports of VXLAN that the loader set.
#[derive(Clone, Copy)]
pub struct LoadedPorts;

impl Ports for LoadedPorts {
    #[inline(always)]
    fn has(&self, port: u16) -> bool {
        for index in 0..MORE_PORTS {
            let one = VXLAN_PORTS.element(index);
            if one == 0 {
                return false;
            }
            if one == u32::from(port) {
                return true;
            }
        }
        false
    }
}

/// The candidate in a CPU's memory. Each step of the program takes one reference and drops it.
#[inline(always)]
pub fn candidate(cpu: u32) -> Option<&'static mut Candidate> {
    // SAFETY: this CPU's own element, and bottom halves are off.
    CANDIDATES.get_ptr_mut(cpu).map(|candidate| unsafe { &mut *candidate })
}

/// A set of first fragments, which other CPUs work on as well while they have its lock.
#[inline(always)]
pub fn fragments(set: u32) -> Option<&'static mut FragmentSet> {
    // SAFETY: a map element, whose lock the caller takes first.
    FRAGMENTS.get_ptr_mut(set).map(|set| unsafe { &mut *set })
}
