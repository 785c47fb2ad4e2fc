//! GTP-U version 1 (3GPP TS 29.281): IP in UDP, behind at most four extension headers.

use flowxdp_common::tunnel;

use super::Opening;
use crate::{
    frame::{Frame, Header},
    layer::Layer,
    parse::ethernet,
    verdict::Sink,
};

/// Version 1, protocol type GTP; and a message that carries a packet.
const VERSION: u8 = 3;
const G_PDU: u8 = 255;

/// An extension header follows, or a sequence number, or an N-PDU number: any of them brings four octets more.
const EXTENSION: u8 = 0x04;
const OPTIONAL: u8 = 0x07;

/// Extension headers that are walked.
const MOST: u32 = 4;

/// The packet behind the GTP-U header at `at`, whose first nibble is its version.
///
/// ```text
/// |version 1|1|0|E|S|PN| message type |          length           |
/// |                            TEID                               |
/// |     sequence number        |  N-PDU number  | next extension  |
/// ```
#[inline(always)]
pub(super) fn open(frame: &impl Frame, at: u32, sink: &mut impl Sink) -> Option<Opening> {
    sink.reads(Layer::Gtp, at);
    let header = frame.header::<8>(at)?;
    sink.tunnel(header.raw64(0));
    let bits = header.octet(0);
    if bits >> 4 != VERSION || header.octet(1) != G_PDU {
        return None;
    }
    let segment = u32::from_be(header.raw32(4));
    let at = if bits & OPTIONAL == 0 { at + 8 } else { behind_options(frame, bits, at + 8, sink)? };
    sink.reads(Layer::Version, at);
    let ethernet_type = match frame.header::<1>(at)?.octet(0) >> 4 {
        4 => ethernet::IPV4,
        6 => ethernet::IPV6,
        _ => return None,
    };
    Some(Opening { kind: tunnel::GTP, segment, ethernet_type, at })
}

/// The end of the optional fields at `at` and of the extension headers behind them.
#[inline(always)]
fn behind_options(frame: &impl Frame, bits: u8, at: u32, sink: &mut impl Sink) -> Option<u32> {
    let options = frame.header::<4>(at)?;
    let mut next = if bits & EXTENSION == 0 { 0 } else { options.octet(3) };
    let mut at = frame.forget(at + 4);
    for _ in 0..MOST {
        if next == 0 {
            return Some(at);
        }
        sink.reads(Layer::GtpExtension, at);
        let words = frame.header::<1>(at)?.octet(0);
        if words == 0 {
            return None;
        }
        sink.tunnel(u64::from_ne_bytes([words, next, 0, 0, 0, 0, 0, 0]));
        at = frame.forget(at + u32::from(words) * 4);
        next = frame.header::<1>(at - 1)?.octet(0);
    }
    if next == 0 { Some(at) } else { None }
}
