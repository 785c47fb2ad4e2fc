//! Link types: the Ethernet header that a packet of another link type gets.
//!
//! The header is chosen so that a parser of Ethernet frames comes to the verdict that the
//! packet's own link header asks for. A packet that is cut inside its link header becomes a frame
//! that is cut inside its Ethernet header, and one that is no IP packet gets an EtherType that
//! means nothing.

mod nflog;

use super::CaptureError;

/// EtherTypes, as registered by the IEEE.
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const MPLS: u16 = 0x8847;
const MPLS_UPSTREAM: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;
/// The first EtherType for local experiments: no packet that is metered has it.
const NOT_IP: u16 = 0x88b5;

/// ARPHRD_NETLINK: a cooked packet whose protocol field is a netlink family, no EtherType.
const NETLINK: [u8; 2] = 824u16.to_be_bytes();

/// Destination and source address: a record of the packet has none.
const ADDRESSES: [u8; 12] = [0; 12];
const ETHERNET_HEADER: u32 = 14;

/// The shortest header of PFLOG that there was, octets.
const PFLOG_LEAST: u8 = 45;

/// The lengths of a frame, in octets, its Ethernet header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Captured octets; equal to the length of the frame that was written.
    pub captured: u32,
    /// Octets on the wire; never fewer than were captured.
    pub wire: u32,
}

/// The meaning of a link header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Header {
    /// An EtherType, and the length of the link header.
    Type(u16, usize),
    /// An EtherType, and where in the packet the IP packet is: from an octet on, so many.
    Part(u16, usize, usize),
    /// The header is longer than the captured octets: at least so many octets.
    Cut(usize),
    /// The octets behind the header are no IP packet.
    NotIp,
}

/// Whether [`to_ethernet`] takes packets of this LINKTYPE.
#[must_use]
pub fn is_supported(link: u32) -> bool {
    matches!(
        link,
        0 | 1 | 9 | 12 | 14 | 50 | 51 | 101 | 104 | 108 | 109 | 113 | 117 | 204 | 228 | 229 | 239 | 276
    )
}

/// Writes the packet `data` of LINKTYPE `link` to `out` (in place of its content) as an
/// Ethernet frame; `wire` is its length on the wire in octets.
///
/// Ethernet frames are copied as they are. A packet cut inside its link header gives fewer than
/// 14 octets, so that it counts as truncated.
///
/// # Errors
/// [`CaptureError::LinkType`] for a link type that is not supported.
pub fn to_ethernet(link: u32, data: &[u8], wire: u32, out: &mut Vec<u8>) -> Result<Lengths, CaptureError> {
    let wire = wire.max(octets(data.len()));
    out.clear();
    let header = match link {
        1 => {
            out.extend_from_slice(data);
            return Ok(Lengths { captured: octets(data.len()), wire });
        }
        0 | 108 => loopback(link, data),
        9 | 50 => ppp(link, data),
        // A PPPoE header, without the Ethernet header in front of it.
        51 => Header::Type(PPPOE_SESSION, 0),
        12 | 14 | 101 => raw(data),
        104 => cisco_hdlc(data),
        109 => enc(data),
        113 => cooked(data),
        117 => pflog(data),
        204 => behind_direction(data),
        239 => nflog::header(data),
        228 => Header::Type(IPV4, 0),
        229 => Header::Type(IPV6, 0),
        276 => cooked2(data),
        _ => return Err(CaptureError::LinkType { link }),
    };
    out.extend_from_slice(&ADDRESSES);
    let removed = match header {
        Header::Type(kind, length) => {
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(data.get(length..).unwrap_or_default());
            length
        }
        Header::Part(kind, start, length) => {
            out.extend_from_slice(&kind.to_be_bytes());
            let rest = data.get(start..).unwrap_or_default();
            let part = rest.get(..length).unwrap_or(rest);
            out.extend_from_slice(part);
            // The wire length is the packet's with its header, which says nothing of the part in it.
            let wire = octets(length.max(nflog::ip_length(kind, part))).saturating_add(ETHERNET_HEADER);
            return Ok(Lengths { captured: octets(out.len()), wire });
        }
        Header::NotIp => {
            out.extend_from_slice(&NOT_IP.to_be_bytes());
            out.extend_from_slice(data);
            0
        }
        Header::Cut(length) => length,
    };
    let wire = wire.saturating_sub(octets(removed)).saturating_add(ETHERNET_HEADER);
    Ok(Lengths { captured: octets(out.len()), wire })
}

/// Raw IP: no header, the version nibble decides.
fn raw(data: &[u8]) -> Header {
    match data.first() {
        None => Header::Cut(1),
        Some(first) if first >> 4 == 4 => Header::Type(IPV4, 0),
        Some(first) if first >> 4 == 6 => Header::Type(IPV6, 0),
        Some(_) => Header::NotIp,
    }
}

/// LINKTYPE_LINUX_SLL: packet type, ARPHRD_ type, address, and an EtherType at octet 14.
fn cooked(data: &[u8]) -> Header {
    let Some(header) = data.first_chunk::<16>() else { return Header::Cut(16) };
    let [_, _, hardware @ .., _, _, _, _, _, _, _, _, _, _, high, low] = *header;
    by_type(hardware, [high, low], 16)
}

/// LINKTYPE_LINUX_SLL2: an EtherType first, the ARPHRD_ type at octet 8.
fn cooked2(data: &[u8]) -> Header {
    let Some(header) = data.first_chunk::<20>() else { return Header::Cut(20) };
    let [high, low, _, _, _, _, _, _, hardware @ .., _, _, _, _, _, _, _, _, _, _] = *header;
    by_type(hardware, [high, low], 20)
}

fn by_type(hardware: [u8; 2], kind: [u8; 2], length: usize) -> Header {
    if hardware == NETLINK { Header::NotIp } else { Header::Type(u16::from_be_bytes(kind), length) }
}

/// LINKTYPE_NULL and LINKTYPE_LOOP: an address family, which the latter has in network byte order.
fn loopback(link: u32, data: &[u8]) -> Header {
    let Some(family) = data.first_chunk::<4>() else { return Header::Cut(4) };
    let family = if link == 108 { u32::from_be_bytes(*family) } else { in_either_order(*family) };
    by_family(family, 4)
}

/// A number in the byte order of the host that captured; small ones tell it.
fn in_either_order(octets: [u8; 4]) -> u32 {
    let (little, big) = (u32::from_le_bytes(octets), u32::from_be_bytes(octets));
    if little > 0xffff { big } else { little }
}

/// By an address family and the length of the link header.
fn by_family(family: u32, length: usize) -> Header {
    match family {
        2 => Header::Type(IPV4, length),
        // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, macOS.
        10 | 24 | 28 | 30 => Header::Type(IPV6, length),
        _ => Header::NotIp,
    }
}

/// LINKTYPE_ENC: an address family in the host's byte order, the SPI and flags.
fn enc(data: &[u8]) -> Header {
    let Some(header) = data.first_chunk::<12>() else { return Header::Cut(12) };
    let [family @ .., _, _, _, _, _, _, _, _] = *header;
    by_family(in_either_order(family), 12)
}

/// LINKTYPE_PFLOG: its length, which the padding to four octets is not in, and an address family.
fn pflog(data: &[u8]) -> Header {
    let [length, family, ..] = *data else { return Header::Cut(2) };
    let padded = usize::from(length).next_multiple_of(4);
    if length < PFLOG_LEAST {
        Header::NotIp
    } else if data.len() < padded {
        Header::Cut(padded)
    } else {
        by_family(family.into(), padded)
    }
}

/// LINKTYPE_C_HDLC: address, control, and an EtherType (RFC 1547 section 4.3.1).
fn cisco_hdlc(data: &[u8]) -> Header {
    match *data {
        [_, _, high, low, ..] => Header::Type(u16::from_be_bytes([high, low]), 4),
        _ => Header::Cut(4),
    }
}

/// LINKTYPE_PPP_WITH_DIR: an octet for the direction in front of LINKTYPE_PPP.
fn behind_direction(data: &[u8]) -> Header {
    let [_, rest @ ..] = data else { return Header::Cut(1) };
    match ppp(9, rest) {
        Header::Type(kind, length) => Header::Type(kind, length + 1),
        Header::Cut(length) => Header::Cut(length + 1),
        other => other,
    }
}

/// LINKTYPE_PPP and LINKTYPE_PPP_HDLC: address and control may be left out (RFC 1661 section 6.6),
/// the protocol may be one octet, which is odd (section 6.5). The latter also has Cisco HDLC.
fn ppp(link: u32, data: &[u8]) -> Header {
    let (protocol, at) = match *data {
        [] | [_] => return Header::Cut(2),
        [0x0f | 0x8f, ..] if link == 50 => return cisco_hdlc(data),
        [0xff, 0x03, ref rest @ ..] => (rest, 2),
        _ => (data, 0),
    };
    let (protocol, length) = match *protocol {
        [] => return Header::Cut(at + 1),
        [short, ..] if short & 1 == 1 => (u16::from(short), at + 1),
        [_] => return Header::Cut(at + 2),
        [high, low, ..] => (u16::from_be_bytes([high, low]), at + 2),
    };
    match protocol {
        0x0021 => Header::Type(IPV4, length),
        0x0057 => Header::Type(IPV6, length),
        0x0281 => Header::Type(MPLS, length),
        0x0283 => Header::Type(MPLS_UPSTREAM, length),
        _ => Header::NotIp,
    }
}

fn octets(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
