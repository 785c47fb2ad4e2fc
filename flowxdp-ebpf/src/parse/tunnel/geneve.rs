//! Geneve version 0 (RFC 8926): IP or an Ethernet frame in UDP; options are stepped over.

use flowxdp_common::tunnel;

use super::{Opening, behind};
use crate::{
    frame::{Frame, Header},
    layer::Layer,
    verdict::Sink,
};

/// The packet behind the Geneve header at `at` and its options, whose length is in four octets.
///
/// ```text
/// |Ver| option length |O|C| reserved |       protocol type        |
/// |                   VNI                    |     reserved      |
/// ```
#[inline(always)]
pub(super) fn open(frame: &impl Frame, at: u32, sink: &mut impl Sink) -> Option<Opening> {
    sink.reads(Layer::Geneve, at);
    let header = frame.header::<8>(at)?;
    sink.tunnel(header.raw64(0));
    if header.octet(0) >> 6 != 0 {
        return None;
    }
    let options = u32::from(header.octet(0) & 0x3f) * 4;
    let vni = u32::from_be(header.raw32(4)) >> 8;
    behind(frame, tunnel::GENEVE, vni, header.be16(2), at + 8 + options, sink)
}
