//! IPv4 (RFC 791): the fixed header is judged, options are stepped over.

use flowxdp_common::reason::Ignored;

use super::transport;
use crate::{
    frame::{Frame, Header, Packet},
    layer::Layer,
    verdict::{Facts, Sink, Upper, WordsV4, fragment, rest_word},
};

/// Gives the IPv4 packet at `at` to `sink`.
#[inline(always)]
pub fn ipv4(frame: &impl Frame, at: u32, vlan: u16, sink: &mut impl Sink) -> Result<(), Ignored> {
    sink.reads(Layer::Ipv4, at);
    let header = frame.header::<20>(at).ok_or(Ignored::Truncated)?;
    sink.ipv4(&header);
    let length = u32::from(header.octet(0) & 0x0f) * 4;
    let protocol = header.octet(9);
    let available = frame.wire().saturating_sub(at);
    let octets = match u32::from(header.be16(2)) {
        // Segmentation offload and BIG TCP leave 0: the kernel knows such a packet's length from its frame.
        0 if protocol == transport::TCP => frame.forget(available),
        total => total,
    };
    if header.octet(0) >> 4 != 4 || length < 20 || octets < length || octets > available {
        return Err(Ignored::Malformed);
    }
    let packet = Packet { at, octets };
    if !packet.holds(frame, length) {
        return Err(Ignored::Truncated);
    }
    let offset = header.be16(6);
    let later_fragment = offset & 0x1fff != 0;
    let upper = if later_fragment {
        transport::NONE
    } else {
        transport::transport(frame, packet, length, protocol, sink)?
    };
    let words = WordsV4 {
        addresses: header.raw64(12),
        rest: rest_word(upper.ports, protocol, header.octet(1), vlan),
    };
    sink.upper(Upper {
        packet,
        from: length,
        fragment: fragment(later_fragment, offset & 0x2000 != 0),
        identification: u32::from(header.be16(4)),
    });
    sink.v4(words, Facts::of_one(octets, upper.tcp_flags, header.octet(8)));
    Ok(())
}
