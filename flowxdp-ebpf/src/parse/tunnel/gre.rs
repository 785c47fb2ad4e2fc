//! GRE version 0 (RFC 2784) with key and sequence number (RFC 2890).

use flowxdp_common::tunnel;

use super::{Opening, behind};
use crate::{
    frame::{Frame, Header},
    layer::Layer,
    parse::ethernet,
    verdict::Sink,
};

const CHECKSUM: u16 = 0x8000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;

/// The routing bit of RFC 1701, and the version.
const OTHER: u16 = 0x4007;

/// The packet behind the GRE header at `at`. Checksum, key and sequence number take four octets each, in this order.
///
/// ```text
/// |C|R|K|S| reserved 0 | version |       protocol type           |
/// ```
#[inline(always)]
pub(super) fn open(frame: &impl Frame, at: u32, sink: &mut impl Sink) -> Option<Opening> {
    sink.reads(Layer::Gre, at);
    let header = frame.header::<4>(at)?;
    let [a, b, c, d] = header.raw32(0).to_ne_bytes();
    sink.tunnel(u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0]));
    let (bits, ethernet_type) = (header.be16(0), header.be16(2));
    if bits & OTHER != 0 {
        return None;
    }
    let length = |bit| if bits & bit != 0 { 4 } else { 0 };
    let key_at = frame.forget(at + 4 + length(CHECKSUM));
    let segment = if bits & KEY != 0 { u32::from_be(frame.header::<4>(key_at)?.raw32(0)) } else { 0 };
    let is_nvgre = bits & KEY != 0 && ethernet_type == ethernet::BRIDGED;
    let kind = if is_nvgre { tunnel::NVGRE } else { tunnel::GRE };
    behind(frame, kind, segment, ethernet_type, key_at + length(KEY) + length(SEQUENCE), sink)
}
