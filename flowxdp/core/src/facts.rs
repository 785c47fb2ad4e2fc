//! The facts of a flow record, laid out once in network byte order for the encoders to copy from.
//!
//! Every abstract data type that we export is its value in network byte order (RFC 7011 section 6.1),
//! and a reduced-size encoding is its low octets (section 6.2). So a record is written once into an
//! image of all its facts, and a data record of any template is a few copies out of that image. The
//! facts lie in the order of the element table, so that most copies join into one.

use std::ops::Range;

use crate::record::{Addresses, FlowRecord};

/// Octets of an [`Image`].
const SIZE: usize = 93;

/// One fact of a flow record, named by what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// IPv6 source address.
    SourceIpv6,
    /// IPv6 destination address.
    DestinationIpv6,
    /// IPv4 source address.
    SourceIpv4,
    /// IPv4 destination address.
    DestinationIpv4,
    /// Source port; 0 for ICMP.
    SourcePort,
    /// Destination port, or ICMP type × 256 + code.
    DestinationPort,
    /// ICMP type: the high octet of [`Fact::DestinationPort`].
    IcmpType,
    /// ICMP code: the low octet of [`Fact::DestinationPort`].
    IcmpCode,
    /// IANA protocol number.
    Protocol,
    /// Type of service or traffic class.
    Tos,
    /// Outer VLAN identifier.
    Vlan,
    /// ifIndex of the ingress interface.
    Ingress,
    /// Packets.
    Packets,
    /// IP octets.
    Octets,
    /// First packet, milliseconds since 1970.
    StartMs,
    /// Last packet, milliseconds since 1970.
    EndMs,
    /// OR of the TCP flags.
    TcpFlags,
    /// Smallest TTL or hop limit.
    TtlMin,
    /// Largest TTL or hop limit.
    TtlMax,
    /// Smallest IP length, octets.
    LengthMin,
    /// Largest IP length, octets.
    LengthMax,
    /// Why the flow record ended.
    EndReason,
    /// First packet, milliseconds since system start, modulo 2^32.
    StartUptime,
    /// Last packet, milliseconds since system start, modulo 2^32.
    EndUptime,
}

impl Fact {
    /// Whether it is part of the flow key.
    pub(crate) const fn is_key(self) -> bool {
        matches!(
            self,
            Self::SourceIpv6
                | Self::DestinationIpv6
                | Self::SourceIpv4
                | Self::DestinationIpv4
                | Self::SourcePort
                | Self::DestinationPort
                | Self::IcmpType
                | Self::IcmpCode
                | Self::Protocol
                | Self::Tos
                | Self::Vlan
                | Self::Ingress
        )
    }

    /// Where the fact lies in an [`Image`].
    ///
    /// The IPv4 addresses share the last octets of the IPv6 ones, since a record has one or the other.
    pub(crate) const fn place(self) -> Range<usize> {
        match self {
            Self::SourceIpv6 => 0..16,
            Self::DestinationIpv6 => 16..32,
            Self::SourceIpv4 => 24..28,
            Self::DestinationIpv4 => 28..32,
            Self::SourcePort => 32..34,
            Self::DestinationPort => 34..36,
            Self::IcmpType => 34..35,
            Self::IcmpCode => 35..36,
            Self::Protocol => 36..37,
            Self::Tos => 37..38,
            Self::Vlan => 38..40,
            Self::Ingress => 40..44,
            Self::Packets => 44..52,
            Self::Octets => 52..60,
            Self::StartMs => 60..68,
            Self::EndMs => 68..76,
            Self::TcpFlags => 76..78,
            Self::TtlMin => 78..79,
            Self::TtlMax => 79..80,
            Self::LengthMin => 80..82,
            Self::LengthMax => 82..84,
            Self::EndReason => 84..85,
            Self::StartUptime => 85..89,
            Self::EndUptime => 89..SIZE,
        }
    }
}

/// All facts of one record, in network byte order.
pub(crate) struct Image([u8; SIZE]);

impl Image {
    /// Lays `record` out. `system_start_ms`, milliseconds since 1970, is the zero of the two uptimes.
    #[inline]
    pub(crate) fn new(record: &FlowRecord, system_start_ms: u64) -> Self {
        let mut image = Self([0; SIZE]);
        let key = &record.key;
        match key.addresses {
            Addresses::V4 { source, destination } => {
                image.put(Fact::SourceIpv4, source);
                image.put(Fact::DestinationIpv4, destination);
            }
            Addresses::V6 { source, destination } => {
                image.put(Fact::SourceIpv6, source);
                image.put(Fact::DestinationIpv6, destination);
            }
        }
        image.put(Fact::SourcePort, key.source_port.to_be_bytes());
        image.put(Fact::DestinationPort, key.destination_port.to_be_bytes());
        image.put(Fact::Protocol, [key.protocol]);
        image.put(Fact::Tos, [key.tos]);
        image.put(Fact::Vlan, key.vlan.to_be_bytes());
        image.put(Fact::Ingress, key.ingress.to_be_bytes());
        image.put(Fact::Packets, record.packets.to_be_bytes());
        image.put(Fact::Octets, record.octets.to_be_bytes());
        image.put(Fact::StartMs, record.start_ms.to_be_bytes());
        image.put(Fact::EndMs, record.end_ms.to_be_bytes());
        image.put(Fact::TcpFlags, record.tcp_flags.to_be_bytes());
        image.put(Fact::TtlMin, [record.ttl_min]);
        image.put(Fact::TtlMax, [record.ttl_max]);
        image.put(Fact::LengthMin, record.length_min.to_be_bytes());
        image.put(Fact::LengthMax, record.length_max.to_be_bytes());
        image.put(Fact::EndReason, [record.end_reason as u8]);
        image.put(Fact::StartUptime, uptime(record.start_ms, system_start_ms).to_be_bytes());
        image.put(Fact::EndUptime, uptime(record.end_ms, system_start_ms).to_be_bytes());
        image
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, fact: Fact, octets: [u8; N]) {
        self.0[fact.place()].copy_from_slice(&octets);
    }

    /// The octets at a place that [`Fact::place`] gave, or at several that follow each other.
    #[inline(always)]
    pub(crate) fn get(&self, place: &Range<usize>) -> &[u8] {
        &self.0[place.start..place.end]
    }
}

/// Milliseconds from system start to an instant, modulo 2^32 as RFC 3954 has sysUptime wrap (49.7 days).
#[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is what the protocol says")]
pub(crate) const fn uptime(ms: u64, system_start_ms: u64) -> u32 {
    ms.wrapping_sub(system_start_ms) as u32
}
