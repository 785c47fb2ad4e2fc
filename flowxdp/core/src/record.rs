//! A flow record: what one flow did between two instants, ready for any encoder.

use serde::{Deserialize, Serialize};

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

/// What makes a flow.
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
    /// Outer VLAN identifier, 0 for none.
    pub vlan: u16,
    /// ifIndex of the ingress interface.
    pub ingress: u32,
}

impl Addresses {
    /// Significant bits of an aggregate's destination: none of the unspecified address, which stands for all.
    pub(crate) fn destination_prefix(&self) -> u8 {
        match self {
            Self::V4 { destination: [0, 0, 0, 0], .. } => 0,
            Self::V4 { .. } => 32,
            Self::V6 { destination, .. } if *destination == [0; 16] => 0,
            Self::V6 { .. } => 128,
        }
    }
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
    /// The flow goes on, past the active timeout.
    ActiveTimeout = 2,
    /// A TCP FIN or RST was seen.
    EndOfFlow = 3,
    /// The agent was told to stop, or the capture ended.
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

/// One flow between two instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// What makes the flow.
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
    /// Why it ended.
    pub end_reason: EndReason,
    /// The slots that it came from.
    pub ticket: Ticket,
}

/// Stands for the slots that a record came from, which are kept until every collector has it.
///
/// Whoever sends the record, or gives it up, hands the ticket back: see [`crate::hold`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub(crate) u32);

impl Ticket {
    /// No slots: nothing waits for this record.
    pub const NONE: Self = Self(0);

    /// Notes the ticket of a message's record behind those of the `before` records in front of it. A list
    /// is empty as long as no record has a ticket, and ends with the last one that has.
    pub(crate) fn keep(tickets: &mut Vec<Self>, before: u64, ticket: Self) {
        if ticket != Self::NONE {
            tickets.resize(usize::try_from(before).unwrap_or_default(), Self::NONE);
            tickets.push(ticket);
        }
    }
}

/// Packets and octets: a term of the books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub octets: u64,
}

impl std::ops::AddAssign for Total {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.octets += other.octets;
    }
}

/// Records, with the packets and octets in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordTotal {
    /// Data records.
    pub records: u64,
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub octets: u64,
}

impl RecordTotal {
    /// Packets and octets alone.
    pub const fn total(&self) -> Total {
        Total { packets: self.packets, octets: self.octets }
    }

    /// Counts one record more.
    pub const fn count(&mut self, record: &FlowRecord) {
        self.records += 1;
        self.packets += record.packets;
        self.octets += record.octets;
    }
}

impl std::ops::AddAssign for RecordTotal {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.packets += other.packets;
        self.octets += other.octets;
    }
}

impl std::ops::SubAssign for RecordTotal {
    fn sub_assign(&mut self, other: Self) {
        self.records -= other.records;
        self.packets -= other.packets;
        self.octets -= other.octets;
    }
}
