//! The part of the flow table that belongs to this CPU, taken at its first packet or given by the agent.

use flowxdp_common::counter::{CpuState, NO_PARTITION};

use crate::bpf::{atomic, maps};

/// First slot of this CPU's partition of `slots` slots; `None` while it has none.
///
/// The claim is read once: the agent may change it at any time once it is not 0, and waits for the programs
/// that read the one before.
#[inline(always)]
pub fn base(state: &mut CpuState, slots: u32) -> Option<u32> {
    let mut claim = atomic::load(&state.partition);
    if claim == 0 {
        claim = take();
        // While it is 0 this CPU alone writes it.
        atomic::store(&mut state.partition, claim);
    }
    match claim {
        NO_PARTITION => None,
        number => Some((number - 1) * slots),
    }
}

/// Takes the next partition.
#[inline(always)]
fn take() -> u32 {
    let Some(number) = maps::take_partition() else { return NO_PARTITION };
    if number < u64::from(maps::PARTITIONS.get()) { number as u32 + 1 } else { NO_PARTITION }
}
