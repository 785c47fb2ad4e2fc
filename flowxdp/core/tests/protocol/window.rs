//! Where a packet of a flow goes in its window of slots: `flowxdp-ebpf`'s `table.rs`, decision by decision.
//!
//! That file compiles for BPF alone, so this is a copy. The exploration runs it on the model's memory, and
//! `kernel_slots` runs it beside the program in the kernel, on the same packets.

use std::ops::Range;

use flowxdp_common::slot::{FREE, LIVE};

/// The slots as a packet's program sees them. An error ends the look-up.
pub(crate) trait Slots {
    type Stop;

    /// The state of a slot.
    fn state(&mut self, slot: usize) -> Result<u32, Self::Stop>;
    /// Whether the flow in a live slot is the packet's.
    fn is_flow(&mut self, slot: usize) -> Result<bool, Self::Stop>;
    /// Adds the packet to its flow.
    fn hit(&mut self, slot: usize) -> Result<(), Self::Stop>;
    /// Opens a free slot for the packet's flow.
    fn open(&mut self, slot: usize) -> Result<(), Self::Stop>;
}

/// Sweep-up, hit and insertion; `false` where the window is full. With `first_free` the look-up ends at the first
/// free slot, which breaks the rule.
pub(crate) fn place<S: Slots>(
    slots: &mut S,
    window: Range<usize>,
    first_free: bool,
) -> Result<bool, S::Stop> {
    let mut free = None;
    for slot in window {
        let state = slots.state(slot)?;
        if state == LIVE {
            if slots.is_flow(slot)? {
                slots.hit(slot)?;
                return Ok(true);
            }
        } else if state == FREE && free.is_none() {
            free = Some(slot);
            if first_free {
                break;
            }
        }
    }
    let Some(slot) = free else { return Ok(false) };
    slots.open(slot)?;
    Ok(true)
}
