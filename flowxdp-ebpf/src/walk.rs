//! The order of the headers: Ethernet and tags where the frame has them, PPPoE or MPLS, IP, transport.

use flowxdp_common::reason::Ignored;

use crate::{
    frame::Frame,
    parse::{
        ethernet::{self, IPV4, IPV6, MPLS, MPLS_UPSTREAM, PPPOE_SESSION},
        ipv4, ipv6, mpls, pppoe,
        vlan::{self, Tags},
    },
    verdict::{Sink, Verdict},
};

/// Walks to the outermost IP packet of `frame` and gives it to `sink`, or the reason for ignoring the frame. Tunnels
/// stay closed.
#[inline(always)]
pub fn walk(frame: &impl Frame, sink: &mut impl Sink) {
    if let Err(reason) = to_ip(frame, sink) {
        sink.ignored(reason);
    }
}

/// The same with the answer as a value.
pub fn verdict(frame: &impl Frame) -> Verdict {
    let mut verdict = None;
    walk(frame, &mut verdict);
    // Not reached: `walk` always answers.
    verdict.unwrap_or(Verdict::Ignored(Ignored::NotIp))
}

#[inline(always)]
fn to_ip(frame: &impl Frame, sink: &mut impl Sink) -> Result<(), Ignored> {
    let tags = match frame.network() {
        Some((ethernet_type, at)) => Tags { ethernet_type, at, vlan: 0 },
        None => {
            let outer = ethernet::ethernet_type(frame, sink)?;
            vlan::tags(frame, outer, ethernet::LENGTH, sink)?
        }
    };
    let (ethernet_type, at) = match tags.ethernet_type {
        IPV4 | IPV6 => (tags.ethernet_type, tags.at),
        PPPOE_SESSION => (pppoe::ethernet_type(frame, tags.at, sink)?, frame.forget(tags.at + pppoe::LENGTH)),
        MPLS | MPLS_UPSTREAM => {
            let (ethernet_type, at) = mpls::beneath(frame, tags.at, sink)?;
            (ethernet_type, frame.forget(at))
        }
        _ => return Err(Ignored::NotIp),
    };
    if ethernet_type == IPV4 {
        ipv4::ipv4(frame, at, tags.vlan, sink)
    } else {
        ipv6::ipv6(frame, at, tags.vlan, sink)
    }
}
