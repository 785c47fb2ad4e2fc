//! Shared by the programs for tests and benchmarks: the way from a packet to the parser.

use aya_ebpf::{helpers::generated::bpf_get_smp_processor_id, maps::Array, programs::XdpContext};
use flowxdp_common::counter::CpuState;

use crate::{frame::Linear, verdict::Sink, walk::walk};

/// Parses the packet as the shipped program does; `cpus` has an element for each possible CPU.
#[inline(always)]
pub fn parse(ctx: &XdpContext, cpus: &Array<CpuState>, sink: &mut impl Sink) {
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    if let Some(state) = cpus.get_ptr_mut(cpu) {
        walk(&Linear::new(ctx, (ctx.data_end() - ctx.data()) as u32, state), sink);
    }
}

/// ifIndex of the interface that the packet came in on.
#[inline(always)]
pub fn ingress(ctx: &XdpContext) -> u32 {
    ctx.ingress_ifindex() as u32
}

/// Adds to a word that nobody else writes meanwhile.
///
/// # Safety
/// `word` is valid and aligned.
#[inline(always)]
pub unsafe fn add(word: *mut u64, value: u64) {
    // SAFETY: the caller's promise.
    let before = unsafe { word.read_volatile() };
    // SAFETY: the caller's promise.
    unsafe { word.write_volatile(before.wrapping_add(value)) };
}

/// One number for each number, without order (the finalizer of MurmurHash3 of 64 bits).
#[inline(always)]
pub const fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let number = (number ^ number >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ number >> 33
}
