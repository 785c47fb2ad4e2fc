//! The counters of this CPU for one interface. Only this CPU writes them; the agent reads them at any time.

use flowxdp_common::{
    counter::{Count, Counters, CpuState, ROWS},
    reason::{self, IGNORED, Ignored, Lost},
};

use crate::bpf::maps;

/// The counters of the interface, found by its row; the last row is remembered.
#[inline(always)]
pub fn counters(cpu: u32, state: &mut CpuState, ingress: u32) -> Option<*mut Counters> {
    if state.ingress != ingress {
        // SAFETY: the value is read at once; rows are never deleted while the program runs.
        state.row = unsafe { maps::ROWS.get(ingress) }.copied().unwrap_or(0);
        state.ingress = ingress;
    }
    maps::COUNTERS.get_ptr_mut(cpu * ROWS + state.row)
}

/// Adds packets. Volatile, so that the order of this and the slot's counters stays as written:
/// a packet is seen before it is anywhere else.
#[inline(always)]
fn add(count: *mut Count, more: u32, octets: u32) {
    // SAFETY: `count` points into a map element of this CPU.
    let packets = unsafe { &raw mut (*count).packets };
    // SAFETY: as above.
    let sum = unsafe { &raw mut (*count).octets };
    // SAFETY: as above.
    unsafe { packets.write_volatile(packets.read_volatile().wrapping_add(u64::from(more))) };
    // SAFETY: as above.
    unsafe { sum.write_volatile(sum.read_volatile().wrapping_add(u64::from(octets))) };
}

/// Every packet, before its other counters.
#[inline(always)]
pub fn seen(counters: *mut Counters, packets: u32, octets: u32) {
    // SAFETY: `counters` is a map element.
    add(unsafe { &raw mut (*counters).seen }, packets, octets);
}

/// Packets that are not metered.
#[inline(always)]
pub fn ignored(counters: *mut Counters, reason: Ignored, packets: u32, octets: u32) {
    let mut number = reason as u64;
    // The compiler knows that the mask changes nothing and would drop it; the verifier needs it.
    // SAFETY: one instruction on one register.
    unsafe {
        core::arch::asm!(
            "{0} &= {1}",
            inout(reg) number,
            const reason::mask(IGNORED.len()),
            options(pure, nomem, nostack)
        )
    };
    // SAFETY: `counters` is a map element, which has a place for each number behind the mask.
    add(unsafe { (&raw mut (*counters).ignored).cast::<Count>().add(number as usize) }, packets, octets);
}

/// Packets that no flow record will show.
#[inline(always)]
pub fn lost(counters: *mut Counters, reason: Lost, packets: u32, octets: u32) {
    // SAFETY: as in `ignored`.
    add(unsafe { (&raw mut (*counters).lost).cast::<Count>().add(reason as usize) }, packets, octets);
}

/// Packets in the ring buffer.
#[inline(always)]
pub fn overflow(counters: *mut Counters, packets: u32, octets: u32) {
    // SAFETY: as in `seen`.
    add(unsafe { &raw mut (*counters).overflow }, packets, octets);
}
