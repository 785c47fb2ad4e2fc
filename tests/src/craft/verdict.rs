//! The verdict that a frame must get.

use std::net::IpAddr;

/// A packet that is metered: its flow key, and its facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metered {
    /// Source address of the outermost IP header.
    pub source: IpAddr,
    /// Destination address of the same.
    pub destination: IpAddr,
    /// IANA protocol number.
    pub protocol: u8,
    /// Source port; 0 for ICMP, later fragments and protocols without ports.
    pub source_port: u16,
    /// Destination port, or ICMP type × 256 + code.
    pub destination_port: u16,
    /// Outer VLAN identifier; 0 for none and for a priority tag.
    pub vlan: u16,
    /// IPv4 type of service or IPv6 traffic class.
    pub tos: u8,
    /// IP octets: total length, or 40 + payload length.
    pub octets: u32,
    /// Octet 13 of the TCP header; 0 where it is not available.
    pub tcp_flags: u8,
    /// IPv4 TTL or IPv6 hop limit.
    pub ttl: u8,
}

/// Why a frame is not metered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ignored {
    /// No IP packet that the metering process reaches.
    NotIp,
    /// A header, or the ports, are not wholly captured and inside the IP packet.
    Truncated,
    /// A header that contradicts itself or the frame.
    Malformed,
}

impl Ignored {
    /// The name in the books.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
        }
    }
}

/// The verdict that a frame must get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The packet counts for a flow.
    Metered(Metered),
    /// The packet counts for a reason.
    Ignored(Ignored),
}
