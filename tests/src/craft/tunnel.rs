//! Tunnels: the payload of an IP packet that carries another packet.

use super::transport::{Upper, udp};
use super::{Packet, ethernet};

/// EtherType of an Ethernet frame in GRE and Geneve.
pub const BRIDGED: u16 = 0x6558;

/// Bits of a GRE header.
pub mod bits {
    /// Checksum.
    pub const CHECKSUM: u16 = 0x8000;
    /// Routing.
    pub const ROUTING: u16 = 0x4000;
    /// Key.
    pub const KEY: u16 = 0x2000;
    /// Sequence number.
    pub const SEQUENCE: u16 = 0x1000;
}

/// IP in IP: the protocol says the version inside.
#[must_use]
pub fn ip(inner: &Packet) -> Upper {
    of(if inner.kind == 0x0800 { 4 } else { 41 }, inner.octets.clone())
}

/// A payload without ports.
#[must_use]
pub fn of(protocol: u8, octets: Vec<u8>) -> Upper {
    Upper { protocol, octets, ports: (0, 0), needed: 0, flags: None }
}

/// GRE with these bits, so many words behind the first, and `inner` of EtherType `kind`.
#[must_use]
pub fn gre(bits: u16, words: &[u32], kind: u16, inner: &[u8]) -> Upper {
    let words: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    of(47, [&bits.to_be_bytes()[..], &kind.to_be_bytes(), &words, inner].concat())
}

/// UDP to a port, with these octets.
#[must_use]
pub fn over_udp(port: u16, payload: &[u8]) -> Upper {
    let header = udp(49_152, port);
    Upper { octets: [&header.octets[..], payload].concat(), ..header }
}

/// VXLAN with these flags.
#[must_use]
pub fn vxlan(flags: u8, vni: u32, inner: &[u8]) -> Upper {
    over_udp(4789, &[&[flags, 0, 0, 0][..], &(vni << 8).to_be_bytes(), inner].concat())
}

/// Geneve with a first octet of version and options' words, and `inner` of EtherType `kind` behind `options`.
#[must_use]
pub fn geneve(first: u8, kind: u16, vni: u32, options: &[u8], inner: &[u8]) -> Upper {
    let header = [&[first, 0][..], &kind.to_be_bytes(), &(vni << 8).to_be_bytes()].concat();
    over_udp(6081, &[&header, options, inner].concat())
}

/// GTP-U with these first octets and TEID; `more` stands in front of `inner`.
#[must_use]
pub fn gtp(first: u8, message: u8, teid: u32, more: &[u8], inner: &[u8]) -> Upper {
    over_udp(2152, &[&[first, message, 0, 0][..], &teid.to_be_bytes(), more, inner].concat())
}

/// A packet behind an Ethernet header.
#[must_use]
pub fn bridged(inner: &Packet) -> Vec<u8> {
    [ethernet::header(inner.kind), inner.octets.clone()].concat()
}
