//! The reference for tunnels: the packet inside another one.

use super::{Left, Packet, Part, Tunnel, be16, part};

/// Tunnel, EtherType and octets of the packet inside; `None` where there is none.
pub(super) fn open<'a>(packet: &Packet<'a>, vxlan: &[u16]) -> Option<(Tunnel, u16, Left<'a>)> {
    if packet.ip.part != Part::Whole {
        return None;
    }
    let mut left = packet.payload;
    match (packet.ip.protocol, packet.ports.1) {
        (4, _) => Some(((1, 0), 0x0800, left)),
        (41, _) => Some(((1, 0), 0x86dd, left)),
        (47, _) => gre(left),
        (17, port) => {
            left.header::<8>().ok()?;
            match port {
                6081 => geneve(left),
                2152 => gtp(left),
                4789 => bare(left),
                port if vxlan.contains(&port) => bare(left),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A number of 32 bits in network byte order.
fn be32(octets: &[u8]) -> u32 {
    u32::from_be_bytes(part(octets, 0))
}

fn gre(mut left: Left<'_>) -> Option<(Tunnel, u16, Left<'_>)> {
    let header = *left.header::<4>().ok()?;
    let bits = be16(&header);
    if bits & 0x4007 != 0 {
        return None;
    }
    let (mut key, kind) = (None, be16(&header[2..]));
    if bits & 0x8000 != 0 {
        left.header::<4>().ok()?;
    }
    if bits & 0x2000 != 0 {
        key = Some(be32(left.header::<4>().ok()?));
    }
    if bits & 0x1000 != 0 {
        left.header::<4>().ok()?;
    }
    let tunnel = (if kind == 0x6558 && key.is_some() { 3 } else { 2 }, key.unwrap_or(0));
    typed(tunnel, kind, left)
}

fn bare(mut left: Left<'_>) -> Option<(Tunnel, u16, Left<'_>)> {
    let header = *left.header::<8>().ok()?;
    if header[0] & 8 == 0 {
        return None;
    }
    typed((4, be32(&header[4..]) >> 8), 0x6558, left)
}

fn geneve(mut left: Left<'_>) -> Option<(Tunnel, u16, Left<'_>)> {
    let header = *left.header::<8>().ok()?;
    if header[0] >> 6 != 0 {
        return None;
    }
    for _ in 0..header[0] & 63 {
        left.header::<4>().ok()?;
    }
    typed((5, be32(&header[4..]) >> 8), be16(&header[2..]), left)
}

fn gtp(mut left: Left<'_>) -> Option<(Tunnel, u16, Left<'_>)> {
    let header = *left.header::<8>().ok()?;
    if header[0] & 0xf0 != 0x30 || header[1] != 255 {
        return None;
    }
    if header[0] & 7 != 0 {
        let mut next = left.header::<4>().ok()?[3];
        if header[0] & 4 == 0 {
            next = 0;
        }
        let mut walked = 0;
        while next != 0 {
            let words = usize::from(*left.captured.first()?);
            if walked == 4 || words == 0 {
                return None;
            }
            walked += 1;
            for _ in 0..words {
                next = left.header::<4>().ok()?[3];
            }
        }
    }
    let kind = match left.captured.first()? >> 4 {
        4 => 0x0800,
        6 => 0x86dd,
        _ => return None,
    };
    Some(((6, be32(&header[4..])), kind, left))
}

/// Behind a header with an EtherType.
fn typed(tunnel: Tunnel, mut kind: u16, mut left: Left<'_>) -> Option<(Tunnel, u16, Left<'_>)> {
    if kind == 0x6558 {
        kind = be16(&left.header::<14>().ok()?[12..]);
        for _ in 0..2 {
            if matches!(kind, 0x8100 | 0x88a8) {
                kind = be16(&left.header::<4>().ok()?[2..]);
            }
        }
    }
    matches!(kind, 0x0800 | 0x86dd).then_some((tunnel, kind, left))
}

/// The elements 351, 507 and 296 of a tunnel.
pub(super) fn exported(kind: u16, segment: u32) -> (u64, u32, u32) {
    match kind {
        2 => (0, 0, segment),
        3 => (0x0200_0000_0000_0000 | u64::from(segment >> 8), 0, segment),
        4 => (0x0100_0000_0000_0000 | u64::from(segment), 0, 0),
        6 => (0, segment, 0),
        _ => (0, 0, 0),
    }
}
