//! A flow record: one flow between two instants, as a row of octets in network byte order.

mod batch;
mod flow;
pub mod row;
pub mod tail;

use std::fmt;

use flowxdp_common::tunnel;
use serde::{Deserialize, Serialize};

pub use self::batch::Batch;
pub(crate) use self::batch::Slice;
pub use self::flow::{Addresses, EndReason, Flow, FlowKey};
use self::row::Row;

/// One flow between two instants: its base row, from which templates copy.
///
/// Columns that are only there on request stand in an extension row beside it: see [`Entry`].
#[repr(align(16))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FlowRecord {
    row: Row,
    end_reason: EndReason,
    /// The slots that it came from.
    pub delivery: DeliveryId,
}

impl From<Flow> for FlowRecord {
    fn from(flow: Flow) -> Self {
        Self::new(&flow, DeliveryId::NONE)
    }
}

impl FlowRecord {
    /// The record of these values; the delivery stands for its slots.
    ///
    /// Inlined, so that each value passes in a register: a copy of the key right after its octets were stored one by
    /// one stalls the processor.
    #[inline]
    pub fn new(flow: &Flow, delivery: DeliveryId) -> Self {
        let mut row = Row::ZERO;
        let key = &flow.key;
        match key.addresses {
            Addresses::V4 { source, destination } => {
                row.set(row::SOURCE_IPV4, source);
                row.set(row::DESTINATION_IPV4, destination);
                row.set(row::VERSION, [4]);
            }
            Addresses::V6 { source, destination } => {
                row.set(row::SOURCE_IPV6, source);
                row.set(row::DESTINATION_IPV6, destination);
                row.set(row::VERSION, [6]);
            }
        }
        row.set(row::SOURCE_PORT, key.source_port.to_be_bytes());
        row.set(row::DESTINATION_PORT, key.destination_port.to_be_bytes());
        row.set(row::PROTOCOL, [key.protocol]);
        row.set(row::TOS, [key.tos]);
        row.set(row::VLAN, tunnel::vlan(key.vlan).to_be_bytes());
        row.set(row::INGRESS, key.ingress.to_be_bytes());
        row.set(row::PACKETS, flow.packets.to_be_bytes());
        row.set(row::OCTETS, flow.octets.to_be_bytes());
        row.set(row::START_MS, flow.start_ms.to_be_bytes());
        row.set(row::END_MS, flow.end_ms.to_be_bytes());
        row.set(row::TCP_FLAGS, flow.tcp_flags.to_be_bytes());
        row.set(row::TTL_MIN, [flow.ttl_min]);
        row.set(row::TTL_MAX, [flow.ttl_max]);
        row.set(row::LENGTH_MIN, flow.length_min.to_be_bytes());
        row.set(row::LENGTH_MAX, flow.length_max.to_be_bytes());
        row.set(row::END_REASON, [flow.end_reason.number()]);
        Self { row, end_reason: flow.end_reason, delivery }
    }

    /// Its values, each by its name.
    pub fn flow(&self) -> Flow {
        let [ttl_min] = self.row.get(row::TTL_MIN);
        let [ttl_max] = self.row.get(row::TTL_MAX);
        Flow {
            key: self.key(),
            packets: self.packets(),
            octets: self.octets(),
            start_ms: self.start_ms(),
            end_ms: self.end_ms(),
            tcp_flags: self.tcp_flags(),
            ttl_min,
            ttl_max,
            length_min: u16::from_be_bytes(self.row.get(row::LENGTH_MIN)),
            length_max: u16::from_be_bytes(self.row.get(row::LENGTH_MAX)),
            end_reason: self.end_reason,
        }
    }

    /// The same record with other values.
    #[must_use]
    pub fn with(self, change: impl FnOnce(&mut Flow)) -> Self {
        let mut flow = self.flow();
        change(&mut flow);
        Self::new(&flow, self.delivery)
    }

    /// The base row.
    #[inline]
    pub const fn row(&self) -> &[u8; row::ROW] {
        self.row.octets()
    }

    /// The flow key.
    pub fn key(&self) -> FlowKey {
        let [protocol, tos] = self.row.get(row::PROTOCOL);
        FlowKey {
            addresses: if self.is_ipv6() {
                Addresses::V6 {
                    source: self.row.get(row::SOURCE_IPV6),
                    destination: self.row.get(row::DESTINATION_IPV6),
                }
            } else {
                Addresses::V4 {
                    source: self.row.get(row::SOURCE_IPV4),
                    destination: self.row.get(row::DESTINATION_IPV4),
                }
            },
            source_port: u16::from_be_bytes(self.row.get(row::SOURCE_PORT)),
            destination_port: u16::from_be_bytes(self.row.get(row::DESTINATION_PORT)),
            protocol,
            tos,
            vlan: u16::from_be_bytes(self.row.get(row::VLAN)),
            ingress: self.ingress(),
        }
    }

    /// Whether its packets are IPv6.
    #[inline]
    pub fn is_ipv6(&self) -> bool {
        self.row.get(row::VERSION) == [6]
    }

    /// IANA protocol number.
    #[inline]
    pub fn protocol(&self) -> u8 {
        let [protocol] = self.row.get(row::PROTOCOL);
        protocol
    }

    /// ifIndex of the ingress interface.
    pub fn ingress(&self) -> u32 {
        u32::from_be_bytes(self.row.get(row::INGRESS))
    }

    /// Packets, never 0.
    #[inline]
    pub fn packets(&self) -> u64 {
        u64::from_be_bytes(self.row.get(row::PACKETS))
    }

    /// IP octets.
    #[inline]
    pub fn octets(&self) -> u64 {
        u64::from_be_bytes(self.row.get(row::OCTETS))
    }

    /// First packet, milliseconds since 1970.
    #[inline]
    pub fn start_ms(&self) -> u64 {
        u64::from_be_bytes(self.row.get(row::START_MS))
    }

    /// Last packet, milliseconds since 1970; never before the first.
    #[inline]
    pub fn end_ms(&self) -> u64 {
        u64::from_be_bytes(self.row.get(row::END_MS))
    }

    /// OR of the TCP flags, 12 bits.
    #[inline]
    pub fn tcp_flags(&self) -> u16 {
        u16::from_be_bytes(self.row.get(row::TCP_FLAGS))
    }

    /// Why it ended.
    #[inline]
    pub const fn end_reason(&self) -> EndReason {
        self.end_reason
    }

    /// Significant bits of an aggregate's destination: 0 of the unspecified address, which stands for all.
    pub(crate) fn destination_prefix(&self) -> u8 {
        match self.key().addresses {
            Addresses::V4 { destination: [0, 0, 0, 0], .. } => 0,
            Addresses::V4 { .. } => 32,
            Addresses::V6 { destination, .. } if destination == [0; 16] => 0,
            Addresses::V6 { .. } => 128,
        }
    }
}

impl fmt::Debug for FlowRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FlowRecord").field(&self.flow()).field(&self.delivery).finish()
    }
}

/// A record with its extension row: the columns of the groups that are collected.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The base row.
    pub record: &'a FlowRecord,
    /// The extension row; octets that a shorter one lacks are zero. Behind a whole one the [`tail`].
    pub more: &'a [u8],
}

impl<'a> From<&'a FlowRecord> for Entry<'a> {
    fn from(record: &'a FlowRecord) -> Self {
        Self { record, more: &[] }
    }
}

/// Stands for the slots that a record came from, which are kept until every collector has it.
///
/// The exporter that sends the record, or gives it up, hands the delivery back: see [`crate::metering::deliveries`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub(crate) u32);

impl DeliveryId {
    /// No slots: nothing waits for this record.
    pub const NONE: Self = Self(0);

    /// Notes the delivery of a message's record behind those of the `before` records in front of it. A list
    /// is empty as long as no record has a delivery, and ends with the last one that has.
    pub(crate) fn keep(deliveries: &mut Vec<Self>, before: u64, delivery: Self) {
        if delivery != Self::NONE {
            deliveries.resize(usize::try_from(before).unwrap_or_default(), Self::NONE);
            deliveries.push(delivery);
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
    pub fn count(&mut self, record: &FlowRecord) {
        self.records += 1;
        self.packets += record.packets();
        self.octets += record.octets();
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
