//! The part of the flow table that belongs to this CPU, taken at its first packet.

use flowxdp_common::counter::{CpuState, NO_PARTITION};

use crate::{atomic, maps};

/// First slot of this CPU's partition of `slots` slots; `None` when there was none left.
#[inline(always)]
pub fn base(state: &mut CpuState, slots: u32) -> Option<u32> {
    if state.partition == 0 {
        state.partition = take();
    }
    match state.partition {
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
    if number < u64::from(maps::partitions()) { number as u32 + 1 } else { NO_PARTITION }
}
