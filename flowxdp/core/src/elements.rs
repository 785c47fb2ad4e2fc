//! THE table of information elements: all that we export, and how.
//!
//! Templates, encoders and the manual follow from it; a row more here is an element more in all three.
//! The order of the rows is the order of the fields in every template.
//!
//! Architecture invariant: only this table (and the registry that it is tested against) knows element
//! numbers, and no length of a field or record is typed anywhere else. [`options`] is its second part.

pub mod options;

use crate::data_type::DataType::{
    self, DateTimeMilliseconds, Ipv4Address, Ipv6Address, Unsigned8, Unsigned16, Unsigned32, Unsigned64,
};
use crate::facts::Fact;
use crate::template::Kind;
use crate::wire::Protocol;

/// An information element that we export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Number in IANA's registry, which RFC 3954 field types share up to 127 and v9 collectors beyond.
    pub id: u16,
    /// Name in IANA's registry.
    pub name: &'static str,
    /// Abstract data type in IANA's registry.
    pub data_type: DataType,
    /// The fact of a flow record that it carries.
    pub fact: Fact,
    /// The kinds of flow record that carry it.
    pub within: Within,
    /// The protocols that carry it, and its length there.
    pub length: Length,
    /// A line for the manual.
    pub manual: &'static str,
}

/// The kinds of flow record that carry an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// Every flow record.
    All,
    /// Those of IPv4 packets.
    Ipv4,
    /// Those of IPv6 packets.
    Ipv6,
    /// Those of ICMP in IPv4.
    IcmpIpv4,
    /// Those of ICMPv6 in IPv6.
    IcmpIpv6,
}

impl Within {
    /// Whether a record of this kind carries the element.
    pub const fn holds(self, kind: Kind) -> bool {
        match self {
            Self::All => true,
            Self::Ipv4 => matches!(kind, Kind::Ipv4 | Kind::IcmpIpv4),
            Self::Ipv6 => matches!(kind, Kind::Ipv6 | Kind::IcmpIpv6),
            Self::IcmpIpv4 => matches!(kind, Kind::IcmpIpv4),
            Self::IcmpIpv6 => matches!(kind, Kind::IcmpIpv6),
        }
    }
}

/// The length of an element's field, octets, in the protocols that carry it.
///
/// Shorter than the data type where a reduced size (RFC 7011 section 6.2) holds every value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// The same in IPFIX and v9.
    Both(u16),
    /// In IPFIX, then in v9.
    Each(u16, u16),
    /// In IPFIX where the fewer octets hold the value, in IPFIX where they do not, then in v9.
    Wider(u16, u16, u16),
    /// Carried by IPFIX alone: v9 says the same by another element.
    Ipfix(u16),
    /// Carried by v9 alone: IPFIX says the same by another element.
    V9(u16),
}

impl Length {
    /// The usual length in `protocol`, octets; `None` if it does not carry the element.
    pub const fn of(self, protocol: Protocol) -> Option<u16> {
        match (self, protocol) {
            (Self::Both(n) | Self::Each(n, _) | Self::Wider(n, ..) | Self::Ipfix(n), Protocol::Ipfix)
            | (Self::Both(n) | Self::Each(_, n) | Self::Wider(.., n) | Self::V9(n), Protocol::V9) => Some(n),
            (Self::Ipfix(_), Protocol::V9) | (Self::V9(_), Protocol::Ipfix) => None,
        }
    }

    /// The length in `protocol` where a value needs more than the usual one, octets.
    pub const fn wide(self, protocol: Protocol) -> Option<u16> {
        match (self, protocol) {
            (Self::Wider(_, n, _), Protocol::Ipfix) => Some(n),
            _ => self.of(protocol),
        }
    }
}

/// All elements, in the order of the templates' fields.
#[rustfmt::skip]
pub const ELEMENTS: [Element; 31] = [
    row(8, "sourceIPv4Address", Ipv4Address, Fact::SourceIpv4, Within::Ipv4, Length::Both(4),
        "Source address."),
    row(12, "destinationIPv4Address", Ipv4Address, Fact::DestinationIpv4, Within::Ipv4, Length::Both(4),
        "Destination address."),
    row(27, "sourceIPv6Address", Ipv6Address, Fact::SourceIpv6, Within::Ipv6, Length::Both(16),
        "Source address."),
    row(28, "destinationIPv6Address", Ipv6Address, Fact::DestinationIpv6, Within::Ipv6, Length::Both(16),
        "Destination address."),
    row(7, "sourceTransportPort", Unsigned16, Fact::SourcePort, Within::All, Length::Both(2),
        "Source port of TCP, UDP, UDP-Lite, SCTP or DCCP; 0 for ICMP, later fragments and other protocols."),
    row(11, "destinationTransportPort", Unsigned16, Fact::DestinationPort, Within::All, Length::Both(2),
        "Destination port, 0 where there is none; type × 256 + code for ICMP and ICMPv6."),
    row(4, "protocolIdentifier", Unsigned8, Fact::Protocol, Within::All, Length::Both(1),
        "IP protocol number; for IPv6 that of the header behind the extension headers."),
    row(5, "ipClassOfService", Unsigned8, Fact::Tos, Within::All, Length::Both(1),
        "Type of service or traffic class; part of the flow key."),
    row(58, "vlanId", Unsigned16, Fact::Vlan, Within::All, Length::Both(2),
        "Identifier of the outer VLAN tag, 0 for none and for a priority tag; part of the flow key."),
    row(10, "ingressInterface", Unsigned32, Fact::Ingress, Within::All, Length::Both(4),
        "ifIndex of the interface that the packets came in on; part of the flow key."),
    row(2, "packetDeltaCount", Unsigned64, Fact::Packets, Within::All, Length::Both(8),
        "Packets since the flow's previous record."),
    row(1, "octetDeltaCount", Unsigned64, Fact::Octets, Within::All, Length::Both(8),
        "IP octets since the flow's previous record: headers and payload, no link layer and no padding."),
    row(152, "flowStartMilliseconds", DateTimeMilliseconds, Fact::StartMs, Within::All, Length::Ipfix(8),
        "Time of the first packet, UTC. NetFlow v9 has flowStartSysUpTime."),
    row(153, "flowEndMilliseconds", DateTimeMilliseconds, Fact::EndMs, Within::All, Length::Ipfix(8),
        "Time of the last packet, UTC. NetFlow v9 has flowEndSysUpTime."),
    row(22, "flowStartSysUpTime", Unsigned32, Fact::StartUptime, Within::All, Length::V9(4),
        "Time of the first packet (FIRST_SWITCHED), milliseconds since system start, modulo 2^32."),
    row(21, "flowEndSysUpTime", Unsigned32, Fact::EndUptime, Within::All, Length::V9(4),
        "Time of the last packet (LAST_SWITCHED), milliseconds since system start, modulo 2^32."),
    row(6, "tcpControlBits", Unsigned16, Fact::TcpFlags, Within::All, Length::Wider(1, 2, 1),
        "OR of the TCP flags of all packets (RFC 9565); 0 without TCP. The low eight of them, but in IPFIX all twelve, by templates of their own, where one of the upper four is set."),
    row(52, "minimumTTL", Unsigned8, Fact::TtlMin, Within::All, Length::Both(1),
        "Smallest TTL or hop limit."),
    row(53, "maximumTTL", Unsigned8, Fact::TtlMax, Within::All, Length::Both(1),
        "Largest TTL or hop limit."),
    row(25, "minimumIpTotalLength", Unsigned64, Fact::LengthMin, Within::All, Length::Both(2),
        "Length of the smallest IP packet, octets; 65,535 stands for that and more."),
    row(26, "maximumIpTotalLength", Unsigned64, Fact::LengthMax, Within::All, Length::Both(2),
        "Length of the largest IP packet, octets; 65,535 stands for that and more."),
    row(136, "flowEndReason", Unsigned8, Fact::EndReason, Within::All, Length::Both(1),
        "Why the record was made: 1 idle timeout, 2 active timeout, 3 end of flow, 4 forced, 5 lack of resources."),
    row(32, "icmpTypeCodeIPv4", Unsigned16, Fact::DestinationPort, Within::IcmpIpv4, Length::Both(2),
        "ICMP type × 256 + code."),
    row(139, "icmpTypeCodeIPv6", Unsigned16, Fact::DestinationPort, Within::IcmpIpv6, Length::Ipfix(2),
        "ICMPv6 type × 256 + code. NetFlow v9 has icmpTypeIPv6 and icmpCodeIPv6, which its collectors know."),
    row(178, "icmpTypeIPv6", Unsigned8, Fact::IcmpType, Within::IcmpIpv6, Length::V9(1),
        "ICMPv6 type."),
    row(179, "icmpCodeIPv6", Unsigned8, Fact::IcmpCode, Within::IcmpIpv6, Length::V9(1),
        "ICMPv6 code."),
    row(9, "sourceIPv4PrefixLength", Unsigned8, Fact::SourcePrefix, Within::Ipv4, Length::Both(1),
        "In aggregates alone: 0, for their flows may have any source."),
    row(13, "destinationIPv4PrefixLength", Unsigned8, Fact::DestinationPrefix, Within::Ipv4, Length::Both(1),
        "In aggregates alone: 32, or 0 where their flows may have any destination."),
    row(29, "sourceIPv6PrefixLength", Unsigned8, Fact::SourcePrefix, Within::Ipv6, Length::Both(1),
        "In aggregates alone: 0, for their flows may have any source."),
    row(30, "destinationIPv6PrefixLength", Unsigned8, Fact::DestinationPrefix, Within::Ipv6, Length::Both(1),
        "In aggregates alone: 128, or 0 where their flows may have any destination."),
    row(3, "deltaFlowCount", Unsigned64, Fact::Flows, Within::All, Length::Both(8),
        "In aggregates alone: flows in it; each packet counts as one, for it would have been a record of its own."),
];

/// A row of [`ELEMENTS`].
const fn row(
    id: u16,
    name: &'static str,
    data_type: DataType,
    fact: Fact,
    within: Within,
    length: Length,
    manual: &'static str,
) -> Element {
    Element { id, name, data_type, fact, within, length, manual }
}

/// Whether the element with this number is part of the flow key.
pub(crate) fn is_key(id: u16) -> bool {
    ELEMENTS.iter().any(|element| element.id == id && element.fact.is_key())
}

/// Whether the element with this number tells of the source alone.
pub(crate) fn is_source(id: u16) -> bool {
    ELEMENTS.iter().any(|element| element.id == id && element.fact.is_source())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;

    #[test]
    fn every_row_agrees_with_the_registry() {
        for element in &ELEMENTS {
            let entry = registry::get(element.id).unwrap();
            assert_eq!((element.name, element.data_type), (entry.name, entry.data_type), "{}", element.id);
        }
    }

    #[test]
    fn no_field_is_longer_than_its_fact_or_its_type() {
        for element in &ELEMENTS {
            for protocol in [Protocol::Ipfix, Protocol::V9] {
                for length in [element.length.of(protocol), element.length.wide(protocol)] {
                    let Some(length) = length.map(usize::from) else { continue };
                    assert!(length > 0 && length <= element.fact.length(), "{}", element.name);
                    assert!(length <= element.data_type.length().unwrap(), "{}", element.name);
                }
            }
        }
    }

    #[test]
    fn only_unsigned_elements_are_reduced_in_size() {
        for element in &ELEMENTS {
            let full = element.data_type.length();
            let reduced = [Protocol::Ipfix, Protocol::V9]
                .iter()
                .any(|&protocol| element.length.of(protocol).is_some_and(|n| Some(n.into()) != full));
            assert!(!reduced || matches!(element.data_type, Unsigned16 | Unsigned64), "{}", element.name);
        }
    }
}
