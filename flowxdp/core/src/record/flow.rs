//! The values of a flow record, each by its name: the one form that makes a [`FlowRecord`], and that tests read.

/// Source and destination address of one IP version, as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Addresses {
    /// IPv4.
    V4 {
        /// Source address.
        source: [u8; 4],
        /// Destination address.
        destination: [u8; 4],
    },
    /// IPv6.
    V6 {
        /// Source address.
        source: [u8; 16],
        /// Destination address.
        destination: [u8; 16],
    },
}

/// The flow key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// Source and destination address.
    pub addresses: Addresses,
    /// Source port; 0 where there is none.
    pub source_port: u16,
    /// Destination port, or ICMP type × 256 + code; 0 where there is none.
    pub destination_port: u16,
    /// IANA protocol number.
    pub protocol: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Outer VLAN identifier, 0 for none. In a slot's key the kind of its tunnel stands above its 12 bits: see
    /// [`flowxdp_common::tunnel`].
    pub vlan: u16,
    /// ifIndex of the ingress interface.
    pub ingress: u32,
}

impl FlowKey {
    /// Whether the destination port holds an ICMP or ICMPv6 type and code.
    pub const fn is_icmp(&self) -> bool {
        matches!(self.protocol, 1 | 58)
    }
}

/// Why a flow record ended: flowEndReason (IANA 136, RFC 5102).
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndReason {
    /// No packet for the idle timeout.
    IdleTimeout = 1,
    /// The flow continues past the active timeout.
    ActiveTimeout = 2,
    /// A TCP FIN or RST was seen.
    EndOfFlow = 3,
    /// The agent stops, a flush was asked for, or the capture ended.
    Forced = 4,
    /// Retired early to make room.
    LackOfResources = 5,
    /// The same, and the record is of many flows that there was no room to keep apart (RFC 7015).
    Aggregated = 6,
}

impl EndReason {
    /// Number of flowEndReason: an aggregate is one for lack of resources.
    pub const fn number(self) -> u8 {
        match self {
            Self::Aggregated => Self::LackOfResources as u8,
            own => own as u8,
        }
    }
}

/// The values of one flow record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The flow key.
    pub key: FlowKey,
    /// Packets, never 0.
    pub packets: u64,
    /// IP octets.
    pub octets: u64,
    /// First packet, milliseconds since 1970.
    pub start_ms: u64,
    /// Last packet, milliseconds since 1970; never before `start_ms`.
    pub end_ms: u64,
    /// OR of the TCP flags, 12 bits.
    pub tcp_flags: u16,
    /// Smallest TTL or hop limit.
    pub ttl_min: u8,
    /// Largest TTL or hop limit.
    pub ttl_max: u8,
    /// Smallest IP length, octets, at most 65,535.
    pub length_min: u16,
    /// Largest IP length, octets, at most 65,535.
    pub length_max: u16,
    /// Why the record ended.
    pub end_reason: EndReason,
}
