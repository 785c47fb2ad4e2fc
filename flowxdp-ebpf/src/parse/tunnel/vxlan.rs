//! VXLAN (RFC 7348): an Ethernet frame in UDP.

use flowxdp_common::tunnel;

use super::{Opening, behind};
use crate::{
    frame::{Frame, Header},
    layer::Layer,
    parse::ethernet,
    verdict::Sink,
};

/// The flag of a valid VNI.
const VALID: u8 = 0x08;

/// The packet behind the VXLAN header at `at`.
///
/// ```text
/// |  flags, I = 0x08   |                reserved                 |
/// |                   VNI                    |     reserved      |
/// ```
#[inline(always)]
pub(super) fn open(frame: &impl Frame, at: u32, sink: &mut impl Sink) -> Option<Opening> {
    sink.reads(Layer::Vxlan, at);
    let header = frame.header::<8>(at)?;
    sink.tunnel(header.raw64(0));
    if header.octet(0) & VALID == 0 {
        return None;
    }
    let vni = u32::from_be(header.raw32(4)) >> 8;
    behind(frame, tunnel::VXLAN, vni, ethernet::BRIDGED, at + 8, sink)
}
