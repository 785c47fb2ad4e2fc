//! Link types: the Ethernet header that a packet of another link type gets.
//!
//! The header is chosen so that a parser of Ethernet frames comes to the verdict that the
//! packet's own link header asks for. A packet that is cut inside its link header becomes a frame
//! that is cut inside its Ethernet header, and one that is no IP packet gets an EtherType that
//! means nothing.

use super::CaptureError;

/// EtherTypes, as registered by the IEEE.
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const MPLS: u16 = 0x8847;
const MPLS_UPSTREAM: u16 = 0x8848;
/// The first EtherType for local experiments: no packet that is metered has it.
const NOT_IP: u16 = 0x88b5;

/// ARPHRD_NETLINK: a cooked packet whose protocol field is a netlink family, no EtherType.
const NETLINK: [u8; 2] = 824u16.to_be_bytes();

/// Destination and source address: locally administered, of no host.
const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
const ETHERNET_HEADER: u32 = 14;

/// The lengths of a frame, in octets, its Ethernet header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// What was captured; equal to the length of the frame that was written.
    pub captured: u32,
    /// What was on the wire; never less than was captured.
    pub wire: u32,
}

/// What a link header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Header {
    /// An EtherType, and the length of the link header.
    Type(u16, usize),
    /// It is longer than what was captured: at least so many octets.
    Cut(usize),
    /// What follows is no IP packet.
    NotIp,
}

/// Tells whether [`to_ethernet`] takes packets of this LINKTYPE.
#[must_use]
pub fn is_supported(link: u32) -> bool {
    matches!(link, 0 | 1 | 9 | 12 | 14 | 50 | 101 | 108 | 113 | 228 | 229 | 276)
}

/// Writes the packet `data` of LINKTYPE `link` to `out` (in place of what that held) as an
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
        12 | 14 | 101 => raw(data),
        113 => cooked(data),
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

/// LINKTYPE_NULL and LINKTYPE_LOOP: an address family, which the latter has in network byte order
/// and the former in that of the host that captured; families are small, which tells the order.
fn loopback(link: u32, data: &[u8]) -> Header {
    let Some(family) = data.first_chunk::<4>() else { return Header::Cut(4) };
    let (little, big) = (u32::from_le_bytes(*family), u32::from_be_bytes(*family));
    match if link == 108 || little > 0xffff { big } else { little } {
        2 => Header::Type(IPV4, 4),
        // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, macOS.
        10 | 24 | 28 | 30 => Header::Type(IPV6, 4),
        _ => Header::NotIp,
    }
}

/// LINKTYPE_PPP and LINKTYPE_PPP_HDLC: address and control may be left out (RFC 1661 section 6.6),
/// the protocol may be one octet, which is odd (section 6.5). The latter also has Cisco HDLC.
fn ppp(link: u32, data: &[u8]) -> Header {
    let (protocol, at) = match *data {
        [] | [_] => return Header::Cut(2),
        [0x0f | 0x8f, _, ref rest @ ..] if link == 50 => {
            return match *rest {
                [high, low, ..] => Header::Type(u16::from_be_bytes([high, low]), 4),
                _ => Header::Cut(4),
            };
        }
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
