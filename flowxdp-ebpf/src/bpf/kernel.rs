//! The kernel's helpers, and a packet's metadata, behind functions that are safe to call.

use aya_ebpf::{
    helpers::generated::{
        bpf_get_smp_processor_id, bpf_jiffies64, bpf_ktime_get_ns, bpf_xdp_get_buff_len, bpf_xdp_load_bytes,
    },
    maps::{ProgramArray, RingBuf},
    programs::{TcContext, XdpContext},
};
use flowxdp_common::{copy::Copied, meta::Meta};

use crate::bpf::atomic;

/// Words of a copy's header.
pub const HEADER: usize = size_of::<Copied>() / 8;

/// BPF_RB_NO_WAKEUP of the kernel's uapi/linux/bpf.h.
const NO_WAKEUP: u64 = 1;

/// The number of the CPU that runs the program.
#[inline(always)]
pub fn cpu() -> u32 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_smp_processor_id() }
}

/// The number of the present jiffy.
#[inline(always)]
pub fn jiffy() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_jiffies64() }
}

/// Nanoseconds of CLOCK_MONOTONIC.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// Octets of the packet in all its buffers.
#[inline(always)]
pub fn length(ctx: &XdpContext) -> u32 {
    // SAFETY: the helper reads the context that the kernel gave us.
    unsafe { bpf_xdp_get_buff_len(ctx.ctx) as u32 }
}

/// An entry of a ring buffer with room for so many octets of a packet.
#[repr(C, align(8))]
struct Entry<const N: usize> {
    header: [u64; HEADER],
    octets: [u8; N],
}

/// Copies the packet's first `length` octets, at most `N`, behind a header into a ring buffer; `false` where it has no
/// room. No reader is woken.
#[inline(always)]
pub fn copy<const N: usize>(ctx: &XdpContext, ring: &RingBuf, header: [u64; HEADER], length: u32) -> bool {
    // The verifier wants both bounds on the very register that the helper takes, and Linux 6.1 learns none from a
    // comparison with 0: the last octet's place has them.
    let last = atomic::masked::<4095>(length.wrapping_sub(1) as usize);
    if last >= N {
        return false;
    }
    let length = last + 1;
    let Some(mut entry) = ring.reserve::<Entry<N>>(0) else { return false };
    let place = entry.as_mut_ptr();
    for (index, word) in header.into_iter().enumerate() {
        // SAFETY: the words were reserved. Volatile, or the loop becomes a call of `memcpy`.
        unsafe { (&raw mut (*place).header).cast::<u64>().add(index).write_volatile(word) };
    }
    // SAFETY: the entry has room for `N` octets, and `length` is at most that.
    let refused = unsafe { bpf_xdp_load_bytes(ctx.ctx, 0, (&raw mut (*place).octets).cast(), length as u32) };
    if refused == 0 {
        entry.submit(NO_WAKEUP);
    } else {
        entry.discard(NO_WAKEUP);
    }
    refused == 0
}

/// The metadata in front of a replayed frame.
#[inline(always)]
pub fn metadata(ctx: &XdpContext) -> Option<Meta> {
    let start = ctx.metadata();
    if start + size_of::<Meta>() > ctx.data() {
        return None;
    }
    // SAFETY: the metadata lies between `data_meta` and `data`, as just compared, aligned to four octets.
    Some(unsafe { *(start as *const Meta) })
}

/// A field of a classifier's packet: the kernel gives it in the place of the load.
macro_rules! skb_field {
    ($ctx:expr, $field:ident) => {{
        // SAFETY: the context that the kernel gave.
        unsafe { (*$ctx.skb.skb).$field }
    }};
}

/// Octets of a classifier's packet in its buffer.
#[inline(always)]
pub fn skb_length(ctx: &TcContext) -> u32 {
    skb_field!(ctx, len)
}

/// Octets of a classifier's packet on the wire.
#[inline(always)]
pub fn skb_wire_length(ctx: &TcContext) -> u32 {
    skb_field!(ctx, wire_len)
}

/// ifIndex of a classifier's device.
#[inline(always)]
pub fn skb_interface(ctx: &TcContext) -> u32 {
    skb_field!(ctx, ifindex)
}

/// Packets of a classifier's buffer on the wire, and octets of payload of each but the last.
#[inline(always)]
pub fn skb_segments(ctx: &TcContext) -> (u32, u32) {
    (skb_field!(ctx, gso_segs), skb_field!(ctx, gso_size))
}

/// Runs another program in the place of this one; returns where the array has none.
#[inline(always)]
pub fn tail_call(ctx: &XdpContext, programs: &ProgramArray, place: u32) {
    // SAFETY: the context is the kernel's, and no value of the calling functions has a destructor.
    let _ = unsafe { programs.tail_call(ctx, place) };
}
