//! LINKTYPE_NFLOG: an address family, and attributes one of which is the IP packet.

use super::{Header, IPV4, IPV6};

/// NFULA_PAYLOAD from the kernel's `uapi/linux/netfilter/nfnetlink_log.h`.
const PAYLOAD: u16 = 9;

/// Family, version, and a resource id.
const FIXED: usize = 4;

/// Length and type of an attribute.
const ATTRIBUTE: usize = 4;

/// Where the IP packet is. Attributes have the byte order of the host that captured, which their types tell:
/// all are below 256, and none is 0.
pub(super) fn header(data: &[u8]) -> Header {
    let [family, 0, _, _, ..] = *data else {
        return if data.len() < FIXED { Header::Cut(FIXED) } else { Header::NotIp };
    };
    let kind = match family {
        2 => IPV4,
        10 => IPV6,
        _ => return Header::NotIp,
    };
    let mut at = FIXED;
    loop {
        let (length, attribute) = match data.get(at..).unwrap_or_default() {
            [] => return Header::NotIp,
            [low, high, attribute, 0, ..] if *attribute > 0 => {
                (u16::from_le_bytes([*low, *high]), *attribute)
            }
            [high, low, 0, attribute, ..] if *attribute > 0 => {
                (u16::from_be_bytes([*high, *low]), *attribute)
            }
            [_, _, _, _, ..] => return Header::NotIp,
            _ => return Header::Cut(at + ATTRIBUTE),
        };
        let Some(value) = usize::from(length).checked_sub(ATTRIBUTE) else { return Header::NotIp };
        if u16::from(attribute) == PAYLOAD {
            return Header::Part(kind, at + ATTRIBUTE, value);
        }
        at += usize::from(length).next_multiple_of(4);
        if at > data.len() {
            return Header::Cut(at);
        }
    }
}

/// The length that an IP packet says of itself, octets; 0 where its header is not there.
///
/// A rule may copy the first octets of a packet only (`--nflog-size`), and then no other length than this one
/// is known.
pub(super) fn ip_length(kind: u16, packet: &[u8]) -> usize {
    match (kind, packet) {
        (IPV4, [_, _, high, low, ..]) => u16::from_be_bytes([*high, *low]).into(),
        (IPV6, [_, _, _, _, high, low, ..]) => 40 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    }
}
