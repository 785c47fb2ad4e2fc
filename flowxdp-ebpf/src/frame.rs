//! The octets of a frame: the only place that reads packet memory.

/// A frame that headers are read from.
pub trait Frame {
    /// Octets that can be read.
    fn captured(&self) -> u32;

    /// Octets that the frame had on the wire.
    fn wire(&self) -> u32;

    /// The offset itself. A frame in the kernel makes the verifier drop the range that it had tracked, so that paths
    /// merge; else the verifier would follow each path to an offset on its own.
    fn forget(&self, at: u32) -> u32 {
        at
    }

    /// EtherType and start of the packet in a frame without Ethernet header.
    #[inline(always)]
    fn network(&self) -> Option<(u16, u32)> {
        None
    }

    /// `N` octets from `at`, if all of them can be read.
    fn header<const N: usize>(&self, at: u32) -> Option<impl Header>;
}

/// Octets of a header whose bounds were checked. A read behind its `N` octets gives zeros or fails to load; the parser
/// makes none.
pub trait Header {
    /// One octet.
    fn octet(&self, at: usize) -> u8;

    /// Two octets in network byte order.
    fn be16(&self, at: usize) -> u16;

    /// Four octets as they lie there.
    fn raw32(&self, at: usize) -> u32;

    /// Eight octets as they lie there.
    fn raw64(&self, at: usize) -> u64;
}

/// An IP packet inside a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Start of its header in the frame, octets.
    pub at: u32,
    /// Its own length: octets behind it are padding.
    pub octets: u32,
}

impl Packet {
    /// Whether the packet's octets before `end` (counted from its start) are captured and its own.
    #[inline(always)]
    pub fn holds(&self, frame: &impl Frame, end: u32) -> bool {
        end <= self.octets && self.at + end <= frame.captured()
    }
}

/// A frame up to the end of a packet in it: the packet's payload is read as a frame is.
#[derive(Clone, Copy)]
pub struct Inside<'a, F> {
    frame: &'a F,
    end: u32,
    captured: u32,
}

impl<'a, F: Frame> Inside<'a, F> {
    /// `frame` up to octet `end`.
    #[inline(always)]
    pub fn new(frame: &'a F, end: u32) -> Self {
        let captured = frame.captured();
        Self { frame, end, captured: frame.forget(if captured < end { captured } else { end }) }
    }
}

impl<F: Frame> Frame for Inside<'_, F> {
    #[inline(always)]
    fn captured(&self) -> u32 {
        self.captured
    }

    #[inline(always)]
    fn wire(&self) -> u32 {
        self.end
    }

    #[inline(always)]
    fn forget(&self, at: u32) -> u32 {
        self.frame.forget(at)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "headers are short")]
    fn header<const N: usize>(&self, at: u32) -> Option<impl Header> {
        if at.saturating_add(N as u32) > self.captured { None } else { self.frame.header::<N>(at) }
    }
}

/// A frame in a slice: the host's frame.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    octets: &'a [u8],
    wire: u32,
}

impl<'a> Slice<'a> {
    /// `octets` as captured, and the length on the wire, which is at least that.
    pub fn new(octets: &'a [u8], wire: u32) -> Self {
        let captured = u32::try_from(octets.len()).unwrap_or(u32::MAX);
        Self { octets, wire: wire.max(captured) }
    }
}

impl Frame for Slice<'_> {
    fn captured(&self) -> u32 {
        u32::try_from(self.octets.len()).unwrap_or(u32::MAX)
    }

    fn wire(&self) -> u32 {
        self.wire
    }

    fn header<const N: usize>(&self, at: u32) -> Option<impl Header> {
        self.octets.get(at as usize..)?.first_chunk::<N>().map(|octets| Octets(octets.as_slice()))
    }
}

/// Octets in a slice.
struct Octets<'a>(&'a [u8]);

impl Octets<'_> {
    fn chunk<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }
}

impl Header for Octets<'_> {
    fn octet(&self, at: usize) -> u8 {
        u8::from_ne_bytes(self.chunk(at))
    }

    fn be16(&self, at: usize) -> u16 {
        u16::from_be_bytes(self.chunk(at))
    }

    fn raw32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.chunk(at))
    }

    fn raw64(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.chunk(at))
    }
}

#[cfg(target_arch = "bpf")]
pub use bpf::{Cut, Linear, Whole};
#[cfg(target_arch = "bpf")]
pub use skb::Skb;

/// Frames of an XDP program.
#[cfg(target_arch = "bpf")]
mod bpf;

/// Frames of a classifier.
#[cfg(target_arch = "bpf")]
mod skb;
