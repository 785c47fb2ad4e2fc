//! Ethernet II (IEEE 802.3): addresses, then the Ethernet type.

use flowxdp_common::reason::Ignored;

use crate::{
    frame::{Frame, Header},
    layer::Layer,
    verdict::Sink,
};

/// Octets of the header.
pub const LENGTH: u32 = 14;

/// Ethernet type of IPv4.
pub const IPV4: u16 = 0x0800;
/// Ethernet type of IPv6.
pub const IPV6: u16 = 0x86dd;
/// Ethernet type of an 802.1Q tag.
pub const DOT1Q: u16 = 0x8100;
/// Ethernet type of an 802.1ad tag.
pub const DOT1AD: u16 = 0x88a8;
/// Ethernet type of a PPPoE session packet (RFC 2516).
pub const PPPOE_SESSION: u16 = 0x8864;
/// Ethernet type of MPLS unicast (RFC 5332).
pub const MPLS: u16 = 0x8847;
/// Ethernet type of MPLS with upstream-assigned labels, once multicast (RFC 5332).
pub const MPLS_UPSTREAM: u16 = 0x8848;

/// Ethernet type of an Ethernet frame in a tunnel (Transparent Ethernet Bridging, RFC 1701).
pub const BRIDGED: u16 = 0x6558;

/// The Ethernet type of the frame.
#[inline(always)]
pub fn ethernet_type(frame: &impl Frame, sink: &mut impl Sink) -> Result<u16, Ignored> {
    sink.reads(Layer::Ethernet, 0);
    let header = frame.header::<14>(0).ok_or(Ignored::Truncated)?;
    sink.link(&header);
    Ok(header.be16(12))
}
