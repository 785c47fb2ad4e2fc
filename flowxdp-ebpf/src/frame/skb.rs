//! The frame of a classifier, read by copies; a VLAN tag may stand beside it.

use aya_ebpf::{helpers::generated::bpf_skb_load_bytes, programs::TcContext};
use flowxdp_common::counter::CpuState;

use super::{
    Frame, Header,
    bpf::{Copied, Scratch},
};
use crate::parse::ethernet;

/// Octets of a tag, and where the outer one stands in a frame.
const TAG: u32 = 4;
const TAG_AT: u32 = ethernet::LENGTH;

/// Where the EtherType stands in the Ethernet header.
const TYPE_AT: u32 = 12;

/// The packet of a classifier.
///
/// The kernel takes the outer tag out of the frame (`skb_vlan_untag` of Linux), or the NIC did. The parser reads it
/// where it stood on the wire.
#[derive(Clone, Copy)]
pub struct Skb<'a> {
    ctx: &'a TcContext,
    /// Octets, a tag beside the frame included.
    length: u32,
    /// Control information of that tag and its EtherType.
    tag: Option<(u16, u16)>,
    /// EtherType and start of the packet, on a device without Ethernet frames.
    network: Option<(u16, u32)>,
    scratch: Scratch,
}

impl<'a> Skb<'a> {
    /// The frame of `ctx` on a device with Ethernet frames.
    #[inline(always)]
    pub fn new(ctx: &'a TcContext, state: *mut CpuState) -> Self {
        let skb = ctx.skb.skb;
        // SAFETY: the context that the kernel gave, whose fields it reads in place of these loads.
        let (length, present) = unsafe { ((*skb).len, (*skb).vlan_present) };
        // SAFETY: as above; the EtherType is in network byte order.
        let (control, kind) = unsafe { ((*skb).vlan_tci as u16, u16::from_be((*skb).vlan_proto as u16)) };
        let tag = if present != 0 { Some((control, kind)) } else { None };
        let length = if present != 0 { length + TAG } else { length };
        Self { ctx, length, tag, network: None, scratch: Scratch(state) }
    }

    /// The frame of `ctx` on a device without Ethernet headers: its packet starts at `at`.
    #[inline(always)]
    pub fn without_ethernet(ctx: &'a TcContext, at: u32, state: *mut CpuState) -> Self {
        let skb = ctx.skb.skb;
        // SAFETY: as in `new`.
        let (length, kind) = unsafe { ((*skb).len, u16::from_be((*skb).protocol as u16)) };
        Self { ctx, length, tag: None, network: Some((kind, at)), scratch: Scratch(state) }
    }

    /// Octets of so many frames on the wire, of which the kernel counts `octets`: those of the tags beside are missing.
    #[inline(always)]
    pub fn on_wire(&self, octets: u32, frames: u32) -> u32 {
        if self.tag.is_some() { octets + TAG * frames } else { octets }
    }

    /// Whether the outer tag stands beside the frame.
    #[inline(always)]
    pub fn is_tagged_beside(&self) -> bool {
        self.tag.is_some()
    }

    /// Copies `N` octets from `at` in the kernel's buffer to `copied`, from octet `to` on.
    #[inline(always)]
    fn load<const N: usize>(&self, at: u32, copied: &mut Copied, to: usize) -> bool {
        // SAFETY: the callers stay within the 40 octets of `copied`.
        let target = unsafe { copied.target().add(to) };
        // SAFETY: `N` octets at `target` are there; the helper checks the packet. A constant length, since the
        // verifier refuses one that may be zero.
        unsafe { bpf_skb_load_bytes(self.ctx.skb.skb.cast(), at, target.cast(), N as u32) == 0 }
    }
}

impl Frame for Skb<'_> {
    #[inline(always)]
    fn captured(&self) -> u32 {
        self.length
    }

    #[inline(always)]
    fn wire(&self) -> u32 {
        self.length
    }

    #[inline(always)]
    fn forget(&self, at: u32) -> u32 {
        self.scratch.forget(at)
    }

    #[inline(always)]
    fn network(&self) -> Option<(u16, u32)> {
        self.network
    }

    #[inline(always)]
    fn header<const N: usize>(&self, at: u32) -> Option<impl Header> {
        let mut copied = Copied::new();
        if at + N as u32 > self.length {
            return None;
        }
        let Some((control, kind)) = self.tag else {
            return if self.load::<N>(at, &mut copied, 0) { Some(copied) } else { None };
        };
        if N == ethernet::LENGTH as usize && at == 0 {
            let loaded = self.load::<N>(0, &mut copied, 0);
            copied.set_be16(TYPE_AT as usize, kind);
            return if loaded { Some(copied) } else { None };
        }
        if N == TAG as usize && at == TAG_AT {
            let loaded = self.load::<2>(TYPE_AT, &mut copied, 2);
            copied.set_be16(0, control);
            return if loaded { Some(copied) } else { None };
        }
        // The parser reads nothing else in front of the end of the outer tag.
        if self.load::<N>(at.saturating_sub(TAG), &mut copied, 0) { Some(copied) } else { None }
    }
}
