//! The reference verdict on a frame, by the shortest code: no speed, no verifier, whole slices.
//!
//! Shares no line with the parser, and is written from the README and the table of reasons.

use flowxdp_common::reason::Ignored::{self, Malformed, NotIp, Truncated};
use flowxdp_core::record::{Addresses, FlowKey};

use crate::outcome::{Metered, Outcome};

mod inside;

/// The rest of a frame.
#[derive(Clone, Copy)]
struct Left<'a> {
    captured: &'a [u8],
    wire: usize,
}

impl<'a> Left<'a> {
    fn header<const N: usize>(&mut self) -> Result<&'a [u8; N], Ignored> {
        let (header, rest) = self.captured.split_first_chunk().ok_or(Truncated)?;
        self.captured = rest;
        self.wire -= N;
        Ok(header)
    }
}

/// An IP header's values beside its addresses.
struct Ip {
    addresses: Addresses,
    octets: usize,
    protocol: u8,
    tos: u8,
    ttl: u8,
    label: u32,
    extensions: u32,
    part: Part,
}

/// A packet's part in a datagram.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    First,
    Later,
}

impl Part {
    const fn of(is_later: bool, has_more: bool) -> Self {
        match (is_later, has_more) {
            (true, _) => Self::Later,
            (false, true) => Self::First,
            (false, false) => Self::Whole,
        }
    }
}

/// The bits of IANA's registry for extension headers that are not fragment headers.
const EXTENSIONS: [(u8, u32); 11] = [
    (60, 0),
    (0, 1),
    (59, 2),
    (43, 5),
    (135, 7),
    (50, 8),
    (51, 9),
    (139, 10),
    (140, 11),
    (253, 12),
    (254, 13),
];

fn extension(protocol: u8) -> u32 {
    EXTENSIONS.iter().filter(|(number, _)| *number == protocol).map(|(_, bit)| 1 << bit).sum()
}

fn be16(octets: &[u8]) -> u16 {
    octets.iter().take(2).fold(0, |number, octet| number << 8 | u16::from(*octet))
}

fn part<const N: usize>(octets: &[u8], at: usize) -> [u8; N] {
    octets.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_else(|| unreachable!())
}

/// The headers in front of the outermost IP packet.
struct Link<'a> {
    macs: &'a [u8],
    vlans: Vec<u16>,
    priorities: Vec<u8>,
    stack: Vec<[u8; 3]>,
}

/// A good IP packet with its ports.
struct Packet<'a> {
    ip: Ip,
    ports: (u16, u16),
    tcp_flags: u16,
    /// The captured part of its payload, and octets of all of it.
    payload: Left<'a>,
}

/// A tunnel's kind and segment.
type Tunnel = (u16, u32);

/// The verdict on a frame of which `octets` were captured, `wire` octets long on the wire.
pub fn outcome(octets: &[u8], wire: u32, ingress: u32) -> Outcome {
    let (link, kind, left) = link(octets, wire)?;
    metered(link, packet(kind, left)?, (0, 0), ingress)
}

/// The same with tunnels opened, VXLAN on these ports too.
pub fn outcome_inside(octets: &[u8], wire: u32, ingress: u32, vxlan: &[u16]) -> Outcome {
    let (link, kind, left) = link(octets, wire)?;
    let (mut packet_in, mut tunnel) = (packet(kind, left)?, (0, 0));
    for _ in 0..2 {
        let Some((next, kind, left)) = inside::open(&packet_in, vxlan) else { break };
        let Ok(better) = packet(kind, left) else { break };
        (packet_in, tunnel) = (better, next);
    }
    metered(link, packet_in, tunnel, ingress)
}

fn link(octets: &[u8], wire: u32) -> Result<(Link<'_>, u16, Left<'_>), Ignored> {
    let mut left = Left { captured: octets, wire: octets.len().max(wire as usize) };
    let ethernet = left.header::<14>()?;
    let mut kind = be16(&ethernet[12..]);
    let mut link =
        Link { macs: &ethernet[..12], vlans: Vec::new(), priorities: Vec::new(), stack: Vec::new() };
    while let 0x8100 | 0x88a8 = kind {
        if link.vlans.len() == 2 {
            return Err(NotIp);
        }
        let tag = left.header::<4>()?;
        link.vlans.push(be16(tag) & 0xfff);
        link.priorities.push(tag[0] >> 5);
        kind = be16(&tag[2..]);
    }
    kind = match kind {
        0x8864 => pppoe(left.header()?)?,
        0x8847 | 0x8848 => labels(&mut left, &mut link.stack)?,
        other => other,
    };
    Ok((link, kind, left))
}

fn packet(kind: u16, left: Left<'_>) -> Result<Packet<'_>, Ignored> {
    let (ip, payload) = match kind {
        0x0800 => ipv4(left)?,
        0x86dd => ipv6(left)?,
        _ => return Err(NotIp),
    };
    let (source, destination, tcp_flags) = match ip.part {
        Part::Later => (0, 0, 0),
        _ => transport(ip.protocol, payload.captured)?,
    };
    Ok(Packet { ip, ports: (source, destination), tcp_flags, payload })
}

fn metered(mut link: Link<'_>, packet: Packet<'_>, (kind, segment): Tunnel, ingress: u32) -> Outcome {
    let Packet { ip, ports, tcp_flags, .. } = packet;
    let vlan = link.vlans.first().copied().unwrap_or(0);
    let key = FlowKey {
        addresses: ip.addresses,
        source_port: ports.0,
        destination_port: ports.1,
        protocol: ip.protocol,
        tos: ip.tos,
        vlan: vlan | kind << 12,
        ingress,
    };
    let octets = u32::try_from(ip.octets).map_err(|_| Malformed)?;
    link.vlans.resize(2, 0);
    link.priorities.resize(2, 0);
    link.stack.resize(3, [0; 3]);
    let (layer2, teid, gre) = inside::exported(kind, segment);
    // The layout that the table of fields promises where all groups are on.
    let row = [
        &segment.to_be_bytes(),
        &teid.to_be_bytes(),
        &layer2.to_be_bytes()[..],
        &gre.to_be_bytes(),
        link.macs,
        &ip.label.to_be_bytes(),
        &ip.extensions.to_be_bytes(),
        &link.vlans.iter().flat_map(|vlan| vlan.to_be_bytes()).collect::<Vec<_>>(),
        &link.priorities,
        link.stack.as_flattened(),
        &[0; 1],
    ]
    .concat();
    Ok(Metered { key, octets, tcp_flags, ttl: ip.ttl, cold: part(&row, 0) })
}

fn pppoe(header: &[u8; 8]) -> Result<u16, Ignored> {
    match (be16(header), be16(&header[6..])) {
        (0x1100, 0x0021) => Ok(0x0800),
        (0x1100, 0x0057) => Ok(0x86dd),
        (0x1100, _) => Err(NotIp),
        _ => Err(Malformed),
    }
}

fn labels(left: &mut Left<'_>, stack: &mut Vec<[u8; 3]>) -> Result<u16, Ignored> {
    for _ in 0..8 {
        let entry: [u8; 3] = part(left.header::<4>()?, 0);
        stack.push(entry);
        if entry[2] & 1 == 1 {
            return match left.captured.first().ok_or(Truncated)? >> 4 {
                4 => Ok(0x0800),
                6 => Ok(0x86dd),
                _ => Err(NotIp),
            };
        }
    }
    Err(NotIp)
}

/// The header, and its payload.
fn ipv4(left: Left<'_>) -> Result<(Ip, Left<'_>), Ignored> {
    let header: [u8; 20] = *left.captured.first_chunk().ok_or(Truncated)?;
    let length = usize::from(header[0] & 15) * 4;
    let octets = match (be16(&header[2..]), header[9]) {
        (0, 6) => left.wire,
        (total, _) => usize::from(total),
    };
    if header[0] >> 4 != 4 || length < 20 || octets < length || octets > left.wire {
        return Err(Malformed);
    }
    let packet = left.captured.get(..octets).unwrap_or(left.captured);
    let payload = packet.get(length..).ok_or(Truncated)?;
    let addresses = Addresses::V4 { source: part(&header, 12), destination: part(&header, 16) };
    let (tos, ttl) = (header[1], header[8]);
    let field = be16(&header[6..]);
    let part = Part::of(field << 3 != 0, field & 0x2000 != 0);
    let ip = Ip { addresses, octets, protocol: header[9], tos, ttl, label: 0, extensions: 0, part };
    Ok((ip, Left { captured: payload, wire: octets - length }))
}

/// As [`ipv4`].
fn ipv6(left: Left<'_>) -> Result<(Ip, Left<'_>), Ignored> {
    let header: [u8; 40] = *left.captured.first_chunk().ok_or(Truncated)?;
    let octets = match (be16(&header[4..]), header[6], &left.captured[40..]) {
        (0, 6, _) => left.wire,
        (0, 0, [_, _, 0xc2, 4, a, b, c, d, ..]) => 40 + u32::from_be_bytes([*a, *b, *c, *d]) as usize,
        (payload, ..) => 40 + usize::from(payload),
    };
    if header[0] >> 4 != 6 || octets > left.wire {
        return Err(Malformed);
    }
    let addresses = Addresses::V6 { source: part(&header, 8), destination: part(&header, 24) };
    let tos = header[0] << 4 | header[1] >> 4;
    let label = u32::from_be_bytes(part(&header, 0)) & 0xf_ffff;
    let mut ip = Ip {
        addresses,
        octets,
        protocol: header[6],
        tos,
        ttl: header[7],
        label,
        extensions: 0,
        part: Part::Whole,
    };
    let packet = left.captured.get(..octets).unwrap_or(left.captured);
    let mut payload = packet.get(40..).ok_or(Truncated)?;
    let mut walked = 0;
    while let kind @ (0 | 43 | 44 | 51 | 60) = ip.protocol {
        if walked == 8 {
            return Err(Malformed);
        }
        walked += 1;
        let start: [u8; 8] = *payload.first_chunk().ok_or(Truncated)?;
        let units = usize::from(start[1]);
        payload = payload
            .get(
                match kind {
                    44 => 8,
                    51 => (units + 2) * 4,
                    _ => (units + 1) * 8,
                }..,
            )
            .ok_or(Truncated)?;
        ip.protocol = start[0];
        let later = kind == 44 && be16(&start[2..]) >> 3 != 0;
        ip.extensions |= match kind {
            44 if later => 1 << 6,
            44 => 1 << 4,
            _ => extension(kind),
        };
        if kind == 44 {
            ip.part = Part::of(later, start[3] & 1 != 0);
        }
        if later {
            return Ok((ip, Left { captured: payload, wire: 0 }));
        }
    }
    ip.extensions |= extension(ip.protocol);
    // Octets behind the headers: what was captured of the packet ends where it does.
    let behind = octets - (packet.len() - payload.len());
    Ok((ip, Left { captured: payload, wire: behind }))
}

/// Ports, or 0 and the ICMP type and code; and the TCP flags.
fn transport(protocol: u8, header: &[u8]) -> Result<(u16, u16, u16), Ignored> {
    let flags = if protocol == 6 { header.get(12..14).map_or(0, be16) & 0xfff } else { 0 };
    match (protocol, header) {
        (6 | 17 | 33 | 132 | 136, [a, b, c, d, ..]) => Ok((be16(&[*a, *b]), be16(&[*c, *d]), flags)),
        (1 | 58, [kind, code, ..]) => Ok((0, be16(&[*kind, *code]), 0)),
        (1 | 6 | 17 | 33 | 58 | 132 | 136, _) => Err(Truncated),
        _ => Ok((0, 0, 0)),
    }
}
