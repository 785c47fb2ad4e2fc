//! MPLS label stacks (RFC 3032): at most eight labels, then the first nibble is the IP version.

use flowxdp_common::reason::Ignored;

use super::ethernet;
use crate::{
    frame::{Frame, Header},
    layer::Layer,
    verdict::Sink,
};

/// Labels that are walked; a deeper stack is not metered.
const MOST: u32 = 8;

/// Ethernet type and start of the packet beneath the labels at `at`.
#[inline(always)]
pub fn beneath(frame: &impl Frame, mut at: u32, sink: &mut impl Sink) -> Result<(u16, u32), Ignored> {
    for _ in 0..MOST {
        sink.reads(Layer::Label, at);
        let label = frame.header::<4>(at).ok_or(Ignored::Truncated)?;
        sink.label(&label);
        let bottom = label.octet(2) & 1 == 1;
        at += 4;
        if bottom {
            sink.reads(Layer::Version, at);
            let first = frame.header::<1>(at).ok_or(Ignored::Truncated)?.octet(0);
            return match first >> 4 {
                4 => Ok((ethernet::IPV4, at)),
                6 => Ok((ethernet::IPV6, at)),
                _ => Err(Ignored::NotIp),
            };
        }
    }
    Err(Ignored::NotIp)
}
