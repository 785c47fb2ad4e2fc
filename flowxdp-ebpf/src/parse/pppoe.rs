//! PPPoE session header and the PPP protocol behind it (RFC 2516, RFC 1661).

use flowxdp_common::reason::Ignored;

use super::ethernet;
use crate::{
    frame::{Frame, Header},
    layer::Layer,
    verdict::Sink,
};

/// Octets of the PPPoE header with the PPP protocol field.
pub const LENGTH: u32 = 8;

/// The Ethernet type that the PPP protocol at `at` stands for.
///
/// ```text
///  0                   1                   2                   3
/// |VER=1 |TYPE=1 |    CODE = 0   |          SESSION_ID           |
/// |            LENGTH            |         PPP protocol          |
/// ```
#[inline(always)]
pub fn ethernet_type(frame: &impl Frame, at: u32, sink: &mut impl Sink) -> Result<u16, Ignored> {
    sink.reads(Layer::Pppoe, at);
    let header = frame.header::<8>(at).ok_or(Ignored::Truncated)?;
    sink.session(&header);
    if header.be16(0) != 0x1100 {
        return Err(Ignored::Malformed);
    }
    match header.be16(6) {
        0x0021 => Ok(ethernet::IPV4),
        0x0057 => Ok(ethernet::IPV6),
        _ => Err(Ignored::NotIp),
    }
}
