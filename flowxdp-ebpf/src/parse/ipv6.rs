//! IPv6 (RFC 8200) with a bounded walk over its extension headers.

use flowxdp_common::reason::Ignored;

use super::transport;
use crate::{
    frame::{Frame, Header, Packet},
    layer::Layer,
    verdict::{Facts, Sink, Upper as Place, WordsV6, fragment, rest_word},
};

/// Extension headers that are walked; a packet with more is malformed.
const MOST: u32 = 8;

/// Octets of the fixed header.
const LENGTH: u32 = 40;

/// Type and length of the jumbo payload option.
const JUMBO_PAYLOAD: u16 = 0xc204;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// The end of the walk over the extension headers.
#[derive(Clone, Copy)]
struct Upper {
    protocol: u8,
    /// Octets from the start of the packet.
    at: u32,
    later_fragment: bool,
    /// The last fragment header: fragments follow, and the identification.
    more_fragments: bool,
    identification: u32,
}

/// Gives the IPv6 packet at `at` to `sink`.
#[inline(always)]
pub fn ipv6(frame: &impl Frame, at: u32, vlan: u16, sink: &mut impl Sink) -> Result<(), Ignored> {
    sink.reads(Layer::Ipv6, at);
    let header = frame.header::<40>(at).ok_or(Ignored::Truncated)?;
    sink.ipv6(&header);
    let first = header.octet(6);
    let available = frame.wire().saturating_sub(at);
    let octets = match (header.be16(4), first) {
        // BIG TCP of kernels that write no jumbo payload option: the length is the frame's.
        (0, transport::TCP) => available,
        (0, HOP_BY_HOP) => LENGTH.saturating_add(jumbo_payload(frame, at)),
        (payload, _) => LENGTH + u32::from(payload),
    };
    if header.octet(0) >> 4 != 6 || octets > available {
        return Err(Ignored::Malformed);
    }
    let packet = Packet { at, octets };
    let upper = extensions(frame, packet, first, sink)?;
    let transport = if upper.later_fragment {
        transport::NONE
    } else {
        transport::transport(frame, packet, upper.at, upper.protocol, sink)?
    };
    sink.upper(Place {
        packet,
        from: upper.at,
        fragment: fragment(upper.later_fragment, upper.more_fragments),
        identification: upper.identification,
    });
    let traffic_class = header.octet(0) << 4 | header.octet(1) >> 4;
    let words = WordsV6 {
        addresses: [header.raw64(8), header.raw64(16), header.raw64(24), header.raw64(32)],
        rest: rest_word(transport.ports, upper.protocol, traffic_class, vlan),
    };
    sink.v6(words, Facts::of_one(octets, transport.tcp_flags, header.octet(7)));
    Ok(())
}

/// The length in a jumbo payload option (RFC 2675 section 2) that begins the hop-by-hop header of the packet
/// at `at`, octets behind the fixed header; 0 where there is none, or where it was not captured.
///
/// ```text
/// | next header  | header length | option 0xC2  | option length 4 |
/// |                    jumbo payload length                       |
/// ```
#[inline(always)]
fn jumbo_payload(frame: &impl Frame, at: u32) -> u32 {
    match frame.header::<8>(at + LENGTH) {
        Some(header) if header.be16(2) == JUMBO_PAYLOAD => u32::from_be(header.raw32(4)),
        _ => 0,
    }
}

/// Walks hop-by-hop, routing, fragment, authentication and destination options headers in any order.
///
/// Any other number, also ESP and no-next-header, is the protocol; so is the number that a later fragment's header
/// names, since no header follows it.
#[inline(always)]
fn extensions(frame: &impl Frame, packet: Packet, first: u8, sink: &mut impl Sink) -> Result<Upper, Ignored> {
    let mut upper = Upper {
        protocol: first,
        at: LENGTH,
        later_fragment: false,
        more_fragments: false,
        identification: 0,
    };
    for _ in 0..MOST {
        let kind = upper.protocol;
        if !is_extension(kind) || upper.later_fragment {
            return Ok(upper);
        }
        sink.reads_inside(Layer::Extension, kind, packet, upper.at);
        if !packet.holds(frame, upper.at + 8) {
            return Err(Ignored::Truncated);
        }
        let header = frame.header::<8>(packet.at + upper.at).ok_or(Ignored::Truncated)?;
        sink.extension(kind, &header);
        let units = u32::from(header.octet(1));
        let length = match kind {
            FRAGMENT => 8,
            AUTHENTICATION => (units + 2) * 4,
            _ => (units + 1) * 8,
        };
        if kind == FRAGMENT {
            upper.later_fragment = header.be16(2) & 0xfff8 != 0;
            upper.more_fragments = header.be16(2) & 1 != 0;
            upper.identification = header.raw32(4);
        }
        if !packet.holds(frame, upper.at + length) {
            return Err(Ignored::Truncated);
        }
        upper.protocol = header.octet(0);
        upper.at = frame.forget(upper.at + length);
    }
    if is_extension(upper.protocol) && !upper.later_fragment { Err(Ignored::Malformed) } else { Ok(upper) }
}

#[inline(always)]
const fn is_extension(protocol: u8) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS)
}
