//! An Ethernet frame inside a tunnel, with two tags at most.

use crate::{
    frame::{Frame, Header},
    layer::Layer,
    parse::{ethernet, vlan},
    verdict::Sink,
};

/// Ethernet type and start of the packet in the Ethernet frame at `at`; `None` for a header that is cut, or a third
/// tag.
#[inline(always)]
pub(super) fn ip(frame: &impl Frame, at: u32, sink: &mut impl Sink) -> Option<(u16, u32)> {
    sink.reads(Layer::Ethernet, at);
    let header = frame.header::<14>(at)?;
    sink.bridged(&header);
    let tags = vlan::tags(frame, header.be16(12), at + ethernet::LENGTH, &mut Bridged(sink)).ok()?;
    Some((tags.ethernet_type, tags.at))
}

/// Tags inside a tunnel are those of another link.
struct Bridged<'a, S>(&'a mut S);

impl<S: Sink> Sink for Bridged<'_, S> {
    #[inline(always)]
    fn v4(&mut self, _words: crate::verdict::WordsV4, _facts: crate::verdict::Facts) {}

    #[inline(always)]
    fn v6(&mut self, _words: crate::verdict::WordsV6, _facts: crate::verdict::Facts) {}

    #[inline(always)]
    fn ignored(&mut self, _reason: flowxdp_common::reason::Ignored) {}

    #[inline(always)]
    fn reads(&mut self, layer: Layer, at: u32) {
        self.0.reads(layer, at);
    }

    #[inline(always)]
    fn tag(&mut self, tag: &impl Header) {
        self.0.bridged_tag(tag);
    }
}
