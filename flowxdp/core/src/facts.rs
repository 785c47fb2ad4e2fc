//! The facts of a flow record. [`shape`] is how they are written into data records.

pub(crate) mod shape;

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
    /// Of an aggregate: significant bits of the source address, 0.
    SourcePrefix,
    /// Of an aggregate: significant bits of the destination address, 0 or all.
    DestinationPrefix,
    /// Of an aggregate: flows in it.
    Flows,
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

    /// Whether records of flows have it, and whether those of aggregates (RFC 7015) do.
    pub(crate) const fn is_of(self, aggregates: bool) -> bool {
        match self {
            Self::SourcePrefix | Self::DestinationPrefix | Self::Flows => aggregates,
            Self::SourcePort | Self::Tos | Self::Vlan => !aggregates,
            _ => true,
        }
    }

    /// Whether it is the source's, which is no part of an aggregate's key.
    pub(crate) const fn is_source(self) -> bool {
        matches!(self, Self::SourceIpv4 | Self::SourceIpv6)
    }

    /// How many facts there are.
    pub(crate) const COUNT: usize = Self::Flows as usize + 1;

    /// Octets of the fact at full size.
    pub(crate) const fn length(self) -> usize {
        match self {
            Self::SourceIpv6 | Self::DestinationIpv6 => 16,
            Self::Packets | Self::Octets | Self::StartMs | Self::EndMs | Self::Flows => 8,
            Self::SourceIpv4
            | Self::DestinationIpv4
            | Self::Ingress
            | Self::StartUptime
            | Self::EndUptime => 4,
            Self::SourcePort
            | Self::DestinationPort
            | Self::Vlan
            | Self::TcpFlags
            | Self::LengthMin
            | Self::LengthMax => 2,
            Self::IcmpType
            | Self::IcmpCode
            | Self::Protocol
            | Self::Tos
            | Self::TtlMin
            | Self::TtlMax
            | Self::SourcePrefix
            | Self::DestinationPrefix
            | Self::EndReason => 1,
        }
    }
}

/// Milliseconds from system start to an instant, modulo 2^32 as RFC 3954 has sysUptime wrap (49.7 days).
#[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is what the protocol says")]
pub(crate) const fn uptime(ms: u64, system_start_ms: u64) -> u32 {
    ms.wrapping_sub(system_start_ms) as u32
}
