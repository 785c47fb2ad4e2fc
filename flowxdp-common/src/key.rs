//! The flow key's words, as the XDP program compares them and as the agent reads them.

use bytemuck::{Pod, Zeroable};

/// The part of the key that both IP versions have, 12 octets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct KeyTail {
    /// Source port (high two octets on the wire) and destination port, in network byte order.
    ///
    /// ICMP and ICMPv6: source 0, destination type × 256 + code. Later fragments and protocols
    /// without ports: 0 and 0.
    pub ports: [u8; 4],
    /// IANA protocol number; for IPv6 the first next header that is not a walked extension header.
    pub protocol: u8,
    /// IPv4 type of service or IPv6 traffic class.
    pub tos: u8,
    /// Outer VLAN identifier in the low 12 bits, 0 for none and for a priority tag; above them the kind of the
    /// innermost opened tunnel: see [`crate::tunnel`].
    pub vlan: u16,
    /// ifIndex of the interface of observation: below 2^31, with [`EGRESS`] for packets that left by it.
    pub ingress: u32,
}

/// The direction in the word of the interface: set for packets that left by it. An ifIndex is below 2^31.
pub const EGRESS: u32 = 1 << 31;

impl KeyTail {
    /// Source port.
    #[inline(always)]
    pub const fn source_port(&self) -> u16 {
        u16::from_be_bytes([self.ports[0], self.ports[1]])
    }

    /// Destination port, or ICMP type × 256 + code.
    #[inline(always)]
    pub const fn destination_port(&self) -> u16 {
        u16::from_be_bytes([self.ports[2], self.ports[3]])
    }
}

/// Key of an IPv4 flow, 20 octets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct KeyV4 {
    /// Source address, then destination address, as on the wire.
    pub addresses: [u8; 8],
    /// Ports, protocol, type of service, VLAN, ingress interface.
    pub rest: KeyTail,
}

/// Key of an IPv6 flow, 44 octets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct KeyV6 {
    /// Source address, then destination address, as on the wire.
    pub addresses: [u8; 32],
    /// Ports, protocol, traffic class, VLAN, ingress interface.
    pub rest: KeyTail,
}

/// Key of a flow in the spill table, 48 octets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct SpillKey {
    /// Source and destination address as on the wire: 8 octets for IPv4 and zeros behind, 32 for IPv6.
    pub addresses: [u8; 32],
    /// Ports, protocol, type of service or traffic class, VLAN, ingress interface.
    pub rest: KeyTail,
    /// 4 or 6.
    pub version: u8,
    /// [`FLOW`], [`BY_DESTINATION`], [`BY_PROTOCOL`] or [`BY_VERSION`].
    pub level: u8,
    /// Zero.
    pub pad: [u8; 2],
}

/// One flow.
pub const FLOW: u8 = 0;
/// All flows of an ingress interface, protocol, destination address and destination port; the rest is zero.
pub const BY_DESTINATION: u8 = 1;
/// All flows of an ingress interface, IP version and protocol; the rest is zero.
pub const BY_PROTOCOL: u8 = 2;
/// All flows of an IP version; the protocol is 255, which is reserved, and the rest is zero.
pub const BY_VERSION: u8 = 3;

const _: () = assert!(size_of::<SpillKey>() == 48);
const _: () = assert!(size_of::<KeyTail>() == 12);
const _: () = assert!(size_of::<KeyV4>() == 20);
const _: () = assert!(size_of::<KeyV6>() == 44);
