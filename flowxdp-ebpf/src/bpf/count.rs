//! The counters of this CPU for one interface. Only this CPU writes them; the agent reads them at any time.

use flowxdp_common::{
    counter::{Count, Counters, CpuState, ROWS},
    reason::{self, IGNORED, Ignored, Lost},
};

use crate::bpf::{atomic, maps};

/// The counters of the interface, found by its row; the last row is remembered.
#[inline(always)]
pub fn counters(cpu: u32, state: &mut CpuState, ingress: u32) -> Option<&'static mut Counters> {
    if state.ingress != ingress {
        state.row = maps::row(ingress);
        state.ingress = ingress;
    }
    maps::counters(cpu * ROWS + state.row)
}

/// Adds packets. In whole stores, so that the order of this and the slot's counters stays as written:
/// a packet is seen before it is anywhere else.
#[inline(always)]
pub fn add(count: &mut Count, packets: u32, octets: u32) {
    atomic::add(&mut count.packets, u64::from(packets));
    atomic::add(&mut count.octets, u64::from(octets));
}

/// Every packet, before its other counters.
#[inline(always)]
pub fn seen(counters: &mut Counters, packets: u32, octets: u32) {
    add(&mut counters.seen, packets, octets);
}

/// Packets that are not metered.
#[inline(always)]
pub fn ignored(counters: &mut Counters, reason: Ignored, packets: u32, octets: u32) {
    let number = atomic::masked::<{ reason::mask(IGNORED.len()) }>(reason as usize);
    if let Some(count) = counters.ignored.get_mut(number) {
        add(count, packets, octets);
    }
}

/// Packets that no flow record will show.
#[inline(always)]
pub fn lost(counters: &mut Counters, reason: Lost, packets: u32, octets: u32) {
    if let Some(count) = counters.lost.get_mut(reason as usize) {
        add(count, packets, octets);
    }
}

/// Packets in the ring buffer.
#[inline(always)]
pub fn overflow(counters: &mut Counters, packets: u32, octets: u32) {
    add(&mut counters.overflow, packets, octets);
}

/// Packets that were metered by the header inside a tunnel, and the octets of the headers outside.
#[inline(always)]
pub fn unwrapped(counters: &mut Counters, packets: u32, octets: u32) {
    add(&mut counters.unwrapped, packets, octets);
}

/// A first fragment that fell out of the table of fragments.
#[inline(always)]
pub fn forgotten(counters: &mut Counters, octets: u32) {
    add(&mut counters.forgotten, 1, octets);
}
