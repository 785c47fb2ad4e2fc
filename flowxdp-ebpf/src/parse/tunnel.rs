//! Tunnels: from the payload of a packet to the IP packet inside.
//!
//! A tunnel is known by its protocol number or its destination port. Each function reads `frame` up to the end of the
//! packet that carries the tunnel, and gives `None` where there is no whole header with an IP packet behind it.

mod bridged;
mod geneve;
mod gre;
mod gtp;
mod vxlan;

use flowxdp_common::tunnel::{self, GENEVE_PORT, GTP_PORT, VXLAN_PORT};

use super::{ethernet, transport};
use crate::{frame::Frame, verdict::Sink};

/// IANA protocol numbers.
const IPV4: u8 = 4;
const IPV6: u8 = 41;
const GRE: u8 = 47;

/// Octets of a UDP header.
const UDP: u32 = 8;

/// UDP ports of VXLAN beside [`VXLAN_PORT`].
pub trait Ports {
    /// Whether the destination port is one of them.
    fn has(&self, port: u16) -> bool;
}

impl Ports for [u16] {
    fn has(&self, port: u16) -> bool {
        self.contains(&port)
    }
}

/// An opened tunnel: the header inside.
#[derive(Clone, Copy)]
pub struct Opening {
    /// Kind of the tunnel, as in [`flowxdp_common::tunnel`].
    pub kind: u16,
    /// Its segment, 0 where it has none.
    pub segment: u32,
    /// [`ethernet::IPV4`] or [`ethernet::IPV6`].
    pub ethernet_type: u16,
    /// Start of the IP header, octets of the frame.
    pub at: u32,
}

/// Whether a packet of this protocol and destination port may carry a tunnel.
#[inline(always)]
pub fn may_be(protocol: u8, port: u16, ports: &(impl Ports + ?Sized)) -> bool {
    match protocol {
        transport::UDP => matches!(port, VXLAN_PORT | GENEVE_PORT | GTP_PORT) || ports.has(port),
        IPV4 | IPV6 | GRE => true,
        _ => false,
    }
}

/// Opens the tunnel in a whole packet with this protocol and destination port, whose payload starts at `at`.
#[inline(always)]
pub fn open(
    frame: &impl Frame,
    protocol: u8,
    port: u16,
    at: u32,
    ports: &(impl Ports + ?Sized),
    sink: &mut impl Sink,
) -> Option<Opening> {
    let inside = |ethernet_type| Some(Opening { kind: tunnel::IP, segment: 0, ethernet_type, at });
    match protocol {
        IPV4 => inside(ethernet::IPV4),
        IPV6 => inside(ethernet::IPV6),
        GRE => gre::open(frame, at, sink),
        transport::UDP => match port {
            GENEVE_PORT => geneve::open(frame, at + UDP, sink),
            GTP_PORT => gtp::open(frame, at + UDP, sink),
            port if port == VXLAN_PORT || ports.has(port) => vxlan::open(frame, at + UDP, sink),
            _ => None,
        },
        _ => None,
    }
}

/// The packet behind a header that names an Ethernet type at its end, at `at`.
#[inline(always)]
fn behind(
    frame: &impl Frame,
    kind: u16,
    segment: u32,
    ethernet_type: u16,
    at: u32,
    sink: &mut impl Sink,
) -> Option<Opening> {
    let at = frame.forget(at);
    let (ethernet_type, at) = match ethernet_type {
        ethernet::BRIDGED => bridged::ip(frame, at, sink)?,
        ethernet_type => (ethernet_type, at),
    };
    matches!(ethernet_type, ethernet::IPV4 | ethernet::IPV6).then_some(Opening {
        kind,
        segment,
        ethernet_type,
        at,
    })
}
