//! The part of the flow table that belongs to this CPU, taken at its first packet or given by the agent.

use flowxdp_common::counter::{CpuState, NO_PARTITION};

use crate::bpf::{atomic, maps};

/// First slot of this CPU's partition of `slots` slots; `None` while it has none.
///
/// The claim is read once: the agent may change it at any time once it is not 0, and waits for the programs
/// that read the one before.
#[inline(always)]
pub fn base(state: &mut CpuState, slots: u32) -> Option<u32> {
    let place = &raw mut state.partition;
    // SAFETY: this CPU's own element; an aligned word, which the agent writes as a whole.
    let mut claim = unsafe { place.read_volatile() };
    if claim == 0 {
        claim = take();
        // SAFETY: as above; while it is 0 this CPU alone writes it.
        unsafe { place.write_volatile(claim) };
    }
    match claim {
        NO_PARTITION => None,
        number => Some((number - 1) * slots),
    }
}

/// Takes the next partition.
#[inline(always)]
fn take() -> u32 {
    let Some(taken) = maps::TAKEN.get_ptr_mut(0) else { return NO_PARTITION };
    // SAFETY: a map element, shared by all CPUs and only ever accessed as a whole.
    let number = unsafe { atomic::fetch_add(taken, 1) };
    if number < u64::from(maps::PARTITIONS.get()) { number as u32 + 1 } else { NO_PARTITION }
}
