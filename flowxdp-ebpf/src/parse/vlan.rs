//! 802.1Q and 802.1ad tags: at most two, in any order.

use flowxdp_common::reason::Ignored;

use super::ethernet::{DOT1AD, DOT1Q};
use crate::{
    frame::{Frame, Header},
    layer::Layer,
    verdict::Sink,
};

/// Tags that are walked; a frame with more is not metered.
const MOST: u32 = 2;

/// The header behind the tags, and the outer VLAN.
#[derive(Clone, Copy)]
pub struct Tags {
    /// Ethernet type behind the last tag.
    pub ethernet_type: u16,
    /// Start of that type's header, octets.
    pub at: u32,
    /// Outer VLAN identifier, 12 bits, 0 for none and for a priority tag.
    pub vlan: u16,
}

#[inline(always)]
const fn is_tag(ethernet_type: u16) -> bool {
    ethernet_type == DOT1Q || ethernet_type == DOT1AD
}

/// Walks the tags from `at`, where the header of `ethernet_type` starts.
#[inline(always)]
pub fn tags(frame: &impl Frame, ethernet_type: u16, at: u32, sink: &mut impl Sink) -> Result<Tags, Ignored> {
    let mut tags = Tags { ethernet_type, at, vlan: 0 };
    for depth in 0..MOST {
        if !is_tag(tags.ethernet_type) {
            return Ok(tags);
        }
        sink.reads(Layer::Tag, tags.at);
        let tag = frame.header::<4>(tags.at).ok_or(Ignored::Truncated)?;
        sink.tag(&tag);
        if depth == 0 {
            tags.vlan = tag.be16(0) & 0x0fff;
        }
        tags.ethernet_type = tag.be16(2);
        tags.at = frame.forget(tags.at + 4);
    }
    if is_tag(tags.ethernet_type) { Err(Ignored::NotIp) } else { Ok(tags) }
}
