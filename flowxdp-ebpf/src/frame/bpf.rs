//! Frames of an XDP program: every offset bounded, every read behind a comparison with the end.

use core::mem::MaybeUninit;

use aya_ebpf::{helpers::generated::bpf_xdp_load_bytes, programs::XdpContext};
use flowxdp_common::counter::CpuState;

use super::{Frame, Header};

/// No header starts beyond this: the verifier wants a bound on every offset, below 65,535.
const FARTHEST: u32 = 0x7fff;

/// The scratch word of this CPU: storing a number there and loading it again makes the verifier drop the range it had
/// tracked, so that paths merge. The element of the map array is this CPU's alone.
#[derive(Clone, Copy)]
pub(super) struct Scratch(pub(super) *mut CpuState);

impl Scratch {
    #[inline(always)]
    pub(super) fn forget(self, number: u32) -> u32 {
        // SAFETY: a map element that only this CPU uses.
        let word = unsafe { &raw mut (*self.0).scratch };
        // SAFETY: as above.
        unsafe { word.write_volatile(u64::from(number)) };
        // SAFETY: as above.
        (unsafe { word.read_volatile() }) as u32
    }
}

/// The part of a frame that can be read directly.
#[derive(Clone, Copy)]
pub struct Linear {
    start: usize,
    end: usize,
    wire: u32,
    scratch: Scratch,
}

impl Linear {
    /// The frame of `ctx` in its first buffer.
    #[inline(always)]
    pub fn new(ctx: &XdpContext, wire: u32, state: *mut CpuState) -> Self {
        Self { start: ctx.data(), end: ctx.data_end(), wire, scratch: Scratch(state) }
    }
}

impl Frame for Linear {
    #[inline(always)]
    fn captured(&self) -> u32 {
        (self.end - self.start) as u32
    }

    #[inline(always)]
    fn wire(&self) -> u32 {
        self.wire
    }

    #[inline(always)]
    fn forget(&self, at: u32) -> u32 {
        self.scratch.forget(at)
    }

    #[inline(always)]
    fn header<const N: usize>(&self, at: u32) -> Option<impl Header> {
        if at > FARTHEST {
            return None;
        }
        let mut offset = at as usize;
        // The bound once more, on the very register that is added: Linux 6.1 does not carry it over from
        // the copy that was compared.
        // SAFETY: one instruction on one register, which changes nothing, as just compared.
        unsafe {
            core::arch::asm!("{0} &= {1}", inout(reg) offset, const FARTHEST, options(pure, nomem, nostack))
        };
        let start = self.start + offset;
        let mut stop = start;
        // As an instruction of its own: the compiler would make "at or behind the end" of one octet behind
        // it, and the verifier learns nothing from that.
        // SAFETY: one instruction on one register.
        unsafe { core::arch::asm!("{0} += {1}", inout(reg) stop, const N, options(pure, nomem, nostack)) };
        if stop > self.end { None } else { Some(Direct(start)) }
    }
}

/// A replayed frame: the metadata give its captured length, which the buffer's length may exceed.
#[derive(Clone, Copy)]
pub struct Cut {
    linear: Linear,
    captured: u32,
}

impl Cut {
    /// At most `captured` octets of `linear`.
    #[inline(always)]
    pub fn new(linear: Linear, captured: u32) -> Self {
        let there = linear.captured();
        Self { linear, captured: if captured < there { captured } else { there } }
    }
}

impl Frame for Cut {
    #[inline(always)]
    fn captured(&self) -> u32 {
        self.captured
    }

    #[inline(always)]
    fn wire(&self) -> u32 {
        self.linear.wire
    }

    #[inline(always)]
    fn forget(&self, at: u32) -> u32 {
        self.linear.forget(at)
    }

    #[inline(always)]
    fn header<const N: usize>(&self, at: u32) -> Option<impl Header> {
        if at + N as u32 > self.captured { None } else { self.linear.header::<N>(at) }
    }
}

/// Octets of the packet itself. Loads may be unaligned: JITs of x86_64 and aarch64 do them as they are.
#[derive(Clone, Copy)]
struct Direct(usize);

impl Header for Direct {
    #[inline(always)]
    fn octet(&self, at: usize) -> u8 {
        // SAFETY: `Linear::header` compared the end of this header with the end of the packet.
        unsafe { *((self.0 + at) as *const u8) }
    }

    #[inline(always)]
    fn be16(&self, at: usize) -> u16 {
        // SAFETY: as in `octet`; BPF has no alignment trap on the targets that aya builds for.
        u16::from_be(unsafe { *((self.0 + at) as *const u16) })
    }

    #[inline(always)]
    fn raw32(&self, at: usize) -> u32 {
        // SAFETY: as in `be16`.
        unsafe { *((self.0 + at) as *const u32) }
    }

    #[inline(always)]
    fn raw64(&self, at: usize) -> u64 {
        // SAFETY: as in `be16`.
        unsafe { *((self.0 + at) as *const u64) }
    }
}

/// A frame in several buffers, read by copies: slow, and only for headers beyond the first buffer.
#[derive(Clone, Copy)]
pub struct Whole<'a> {
    ctx: &'a XdpContext,
    captured: u32,
    wire: u32,
    scratch: Scratch,
}

impl<'a> Whole<'a> {
    /// The frame of `ctx` with `captured` octets in all its buffers.
    #[inline(always)]
    pub fn new(ctx: &'a XdpContext, captured: u32, wire: u32, state: *mut CpuState) -> Self {
        Self { ctx, captured, wire, scratch: Scratch(state) }
    }
}

impl Frame for Whole<'_> {
    #[inline(always)]
    fn captured(&self) -> u32 {
        self.captured
    }

    #[inline(always)]
    fn wire(&self) -> u32 {
        self.wire
    }

    #[inline(always)]
    fn forget(&self, at: u32) -> u32 {
        self.scratch.forget(at)
    }

    #[inline(always)]
    fn header<const N: usize>(&self, at: u32) -> Option<impl Header> {
        let mut copied = Copied::new();
        if at + N as u32 > self.captured {
            return None;
        }
        // SAFETY: `copied` has 40 octets, the largest header that is read; the helper checks the packet.
        let refused = unsafe { bpf_xdp_load_bytes(self.ctx.ctx, at, copied.target().cast(), N as u32) };
        if refused == 0 { Some(copied) } else { None }
    }
}

/// Octets that were copied to the stack: an IPv6 header is the longest.
pub(super) struct Copied(MaybeUninit<[u64; 5]>);

impl Copied {
    /// Octets are not cleared first: a loop would cost the verifier, and only written octets are read.
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// Where octets are copied to, 40 of them.
    #[inline(always)]
    pub(super) fn target(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }

    /// Writes two octets in network byte order at an even offset below 40.
    #[inline(always)]
    pub(super) fn set_be16(&mut self, at: usize, value: u16) {
        // SAFETY: within the 40 octets, as the caller promises, and aligned to two.
        let place = unsafe { self.target().add(at) };
        // SAFETY: as above.
        unsafe { place.cast::<u16>().write(value.to_be()) };
    }

    #[inline(always)]
    fn start(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }
}

impl Header for Copied {
    #[inline(always)]
    fn octet(&self, at: usize) -> u8 {
        // SAFETY: `at` is a constant below the header's length.
        unsafe { *self.start().add(at) }
    }

    #[inline(always)]
    fn be16(&self, at: usize) -> u16 {
        // SAFETY: as in `octet`; offsets of such fields are even.
        u16::from_be(unsafe { *self.start().add(at).cast() })
    }

    #[inline(always)]
    fn raw32(&self, at: usize) -> u32 {
        // SAFETY: as in `octet`; offsets of such fields are multiples of four.
        unsafe { *self.start().add(at).cast() }
    }

    #[inline(always)]
    fn raw64(&self, at: usize) -> u64 {
        // SAFETY: as in `octet`; IPv4 has such fields at multiples of four, so it is read in two halves.
        let low = unsafe { *self.start().add(at).cast::<u32>() };
        // SAFETY: as above.
        let high = unsafe { *self.start().add(at + 4).cast::<u32>() };
        u64::from(low) | u64::from(high) << 32
    }
}
