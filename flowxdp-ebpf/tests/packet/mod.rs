//! Valid packets by chance: every order of headers that the parser knows.

use proptest::{collection::vec, prelude::*};

/// A frame, and where its IP packet starts and ends in it.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// The frame, all of it captured.
    pub(crate) octets: Vec<u8>,
    /// Where the IP header starts.
    pub(crate) ip: usize,
    /// IP octets.
    pub(crate) length: usize,
}

impl Packet {
    /// The frame's content on the wire.
    pub(crate) fn wire(&self) -> u32 {
        u32::try_from(self.octets.len()).expect("a short packet")
    }
}

/// Extension headers before the transport header: their kind, and octets behind the first 8.
type Chain = Vec<(u8, usize)>;

fn chain() -> impl Strategy<Value = Chain> {
    vec((prop::sample::select(vec![0_u8, 43, 44, 51, 60]), (0..4_usize).prop_map(|units| units * 8)), 0..=8)
}

fn ipv4(options: usize, protocol: u8, tos: u8, payload: &[u8]) -> Vec<u8> {
    let length = 20 + options * 4;
    let mut octets = vec![0x40 | u8::try_from(length / 4).expect("a short packet"), tos];
    octets.extend(u16::try_from(length + payload.len()).expect("a short packet").to_be_bytes());
    octets.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    octets.resize(length, 1);
    octets.extend(payload);
    octets
}

fn ipv6(chain: &Chain, protocol: u8, class: u8, payload: &[u8]) -> Vec<u8> {
    let kinds: Vec<u8> = chain.iter().map(|(kind, _)| *kind).chain([protocol]).collect();
    let mut behind = Vec::new();
    for ((kind, more), next) in chain.iter().zip(&kinds[1..]) {
        let (more, units) = match kind {
            44 => (0, 0),
            51 => (*more, more / 4),
            _ => (*more, more / 8),
        };
        behind.extend([*next, u8::try_from(units).expect("a short packet"), 0, 0, 0, 0, 0, 0]);
        behind.resize(behind.len() + more, 0);
    }
    behind.extend(payload);
    let mut octets = vec![0x60 | class >> 4, class << 4, 0, 0];
    octets.extend(u16::try_from(behind.len()).expect("a short packet").to_be_bytes());
    octets.extend([kinds[0], 64]);
    octets.extend([0x20; 32]);
    octets.extend(behind);
    octets
}

/// Headers between the Ethernet addresses and the IP packet.
fn way(tags: &[u16], kind: usize, labels: usize, six: bool) -> Vec<u8> {
    let mut octets = Vec::new();
    for (number, tag) in tags.iter().enumerate() {
        octets.extend(if number == 0 { [0x88, 0xa8] } else { [0x81, 0] });
        octets.extend(tag.to_be_bytes());
    }
    match kind {
        0 => octets.extend([0x88, 0x64, 0x11, 0, 0, 1, 0, 0, 0, if six { 0x57 } else { 0x21 }]),
        1 => {
            octets.extend([0x88, 0x47]);
            octets.extend([0, 1, 0, 64].repeat(labels));
            octets.extend([0, 1, 1, 64]);
        }
        _ => octets.extend(if six { [0x86, 0xdd] } else { [0x08, 0x00] }),
    }
    octets
}

/// A packet of a protocol with or without ports, behind up to two tags, and PPPoE or labels.
pub(crate) fn packet() -> impl Strategy<Value = Packet> {
    let protocol = prop::sample::select(vec![1_u8, 2, 6, 6, 6, 17, 33, 47, 50, 58, 59, 132, 136]);
    let ip = (any::<bool>(), 0..11_usize, chain(), protocol, any::<u8>(), vec(any::<u8>(), 20..60));
    (ip, vec(any::<u16>(), 0..=2), 0..4_usize, 0..8_usize).prop_map(|(ip, tags, kind, labels)| {
        let (six, options, chain, protocol, tos, payload) = ip;
        let mut octets = vec![2; 12];
        octets.extend(way(&tags, kind, labels, six));
        let packet =
            if six { ipv6(&chain, protocol, tos, &payload) } else { ipv4(options, protocol, tos, &payload) };
        let at = octets.len();
        octets.extend(&packet);
        Packet { octets, ip: at, length: packet.len() }
    })
}
