//! THE table of information elements: all that flow records carry, and how. An element more is a row more.

use flowxdp_common::field::{Cold, Group};

use super::Source::{Computed, Row, Uptime};
use super::{Carried, Element, Key, NTOP, Of, Source, Within};
use crate::elements::data_type::DataType::{
    self, DateTimeMilliseconds, Ipv4Address, Ipv6Address, MacAddress, OctetArray, String, Unsigned8,
    Unsigned16, Unsigned32, Unsigned64, Unsigned256,
};
use crate::record::tail::Text;
use crate::record::{FlowRecord, row};

/// All elements, in the order of the templates' fields.
#[rustfmt::skip]
pub const ELEMENTS: [Element; 52] = [
    row(8, "sourceIPv4Address", Ipv4Address, Row(row::SOURCE_IPV4),
        "Source address.").within(Within::Ipv4).key(Key::FlowsOnly),
    row(12, "destinationIPv4Address", Ipv4Address, Row(row::DESTINATION_IPV4),
        "Destination address.").within(Within::Ipv4).key(Key::Always),
    row(27, "sourceIPv6Address", Ipv6Address, Row(row::SOURCE_IPV6),
        "Source address.").within(Within::Ipv6).key(Key::FlowsOnly),
    row(28, "destinationIPv6Address", Ipv6Address, Row(row::DESTINATION_IPV6),
        "Destination address.").within(Within::Ipv6).key(Key::Always),
    row(7, "sourceTransportPort", Unsigned16, Row(row::SOURCE_PORT),
        "Source port of TCP, UDP, UDP-Lite, SCTP or DCCP; 0 for ICMP, later fragments and other protocols.").of(Of::Flows).key(Key::Always),
    row(11, "destinationTransportPort", Unsigned16, Row(row::DESTINATION_PORT),
        "Destination port, 0 where there is none; type × 256 + code for ICMP and ICMPv6.").key(Key::Always),
    row(4, "protocolIdentifier", Unsigned8, Row(row::PROTOCOL),
        "IP protocol number; for IPv6 that of the header behind the extension headers.").key(Key::Always),
    row(5, "ipClassOfService", Unsigned8, Row(row::TOS),
        "Type of service or traffic class; part of the flow key.").of(Of::Flows).key(Key::Always),
    row(58, "vlanId", Unsigned16, Row(row::VLAN),
        "Identifier of the outer VLAN tag, 0 for none and for a priority tag; part of the flow key.").of(Of::Flows).key(Key::Always),
    row(10, "ingressInterface", Unsigned32, Row(row::INGRESS),
        "ifIndex of the interface that the packets came in on; part of the flow key.").key(Key::Always),
    row(2, "packetDeltaCount", Unsigned64, Row(row::PACKETS),
        "Packets since the flow's previous record."),
    row(1, "octetDeltaCount", Unsigned64, Row(row::OCTETS),
        "IP octets since the flow's previous record: headers and payload, no link layer and no padding."),
    row(152, "flowStartMilliseconds", DateTimeMilliseconds, Row(row::START_MS),
        "Time of the first packet, UTC. NetFlow v9 has flowStartSysUpTime.").carried(Carried::Ipfix),
    row(153, "flowEndMilliseconds", DateTimeMilliseconds, Row(row::END_MS),
        "Time of the last packet, UTC. NetFlow v9 has flowEndSysUpTime.").carried(Carried::Ipfix),
    row(22, "flowStartSysUpTime", Unsigned32, Uptime(row::START_MS),
        "Time of the first packet (FIRST_SWITCHED), milliseconds since system start, modulo 2^32.").carried(Carried::V9),
    row(21, "flowEndSysUpTime", Unsigned32, Uptime(row::END_MS),
        "Time of the last packet (LAST_SWITCHED), milliseconds since system start, modulo 2^32.").carried(Carried::V9),
    row(6, "tcpControlBits", Unsigned16, Row(row::TCP_FLAGS),
        "OR of the TCP flags of all packets (RFC 9565); 0 without TCP. The low eight of them, but in IPFIX all twelve, by templates of their own, where one of the upper four is set.").carried(Carried::LowOctet),
    row(52, "minimumTTL", Unsigned8, Row(row::TTL_MIN),
        "Smallest TTL or hop limit."),
    row(53, "maximumTTL", Unsigned8, Row(row::TTL_MAX),
        "Largest TTL or hop limit."),
    row(25, "minimumIpTotalLength", Unsigned64, Row(row::LENGTH_MIN),
        "Length of the smallest IP packet, octets; 65,535 stands for that and more."),
    row(26, "maximumIpTotalLength", Unsigned64, Row(row::LENGTH_MAX),
        "Length of the largest IP packet, octets; 65,535 stands for that and more."),
    row(136, "flowEndReason", Unsigned8, Row(row::END_REASON),
        "Why the record was made: 1 idle timeout, 2 active timeout, 3 end of flow, 4 forced, 5 lack of resources."),
    row(60, "ipVersion", Unsigned8, Row(row::VERSION),
        "IP version: 4 or 6."),
    row(61, "flowDirection", Unsigned8, Row(row::DIRECTION),
        "Where the packets were observed: 0 as they came in; part of the flow key.").key(Key::Always),
    row(161, "flowDurationMilliseconds", Unsigned32, Computed(4, duration_ms),
        "From the first packet to the last; 2^32 - 1 stands for that and more.").group(Group::Duration),
    row(32, "icmpTypeCodeIPv4", Unsigned16, Row(row::DESTINATION_PORT),
        "ICMP type × 256 + code.").within(Within::IcmpIpv4).key(Key::Always),
    row(139, "icmpTypeCodeIPv6", Unsigned16, Row(row::DESTINATION_PORT),
        "ICMPv6 type × 256 + code. NetFlow v9 has icmpTypeIPv6 and icmpCodeIPv6, which its collectors know.").within(Within::IcmpIpv6).carried(Carried::Ipfix).key(Key::Always),
    row(178, "icmpTypeIPv6", Unsigned8, Row(row::ICMP_TYPE),
        "ICMPv6 type.").within(Within::IcmpIpv6).carried(Carried::V9).key(Key::Always),
    row(179, "icmpCodeIPv6", Unsigned8, Row(row::ICMP_CODE),
        "ICMPv6 code.").within(Within::IcmpIpv6).carried(Carried::V9).key(Key::Always),
    row(9, "sourceIPv4PrefixLength", Unsigned8, Computed(1, |_| 0),
        "In aggregates alone: 0, for their flows may have any source.").within(Within::Ipv4).of(Of::Aggregates),
    row(13, "destinationIPv4PrefixLength", Unsigned8, Computed(1, |record| record.destination_prefix().into()),
        "In aggregates alone: 32, or 0 where their flows may have any destination.").within(Within::Ipv4).of(Of::Aggregates),
    row(29, "sourceIPv6PrefixLength", Unsigned8, Computed(1, |_| 0),
        "In aggregates alone: 0, for their flows may have any source.").within(Within::Ipv6).of(Of::Aggregates),
    row(30, "destinationIPv6PrefixLength", Unsigned8, Computed(1, |record| record.destination_prefix().into()),
        "In aggregates alone: 128, or 0 where their flows may have any destination.").within(Within::Ipv6).of(Of::Aggregates),
    row(3, "deltaFlowCount", Unsigned64, Computed(8, FlowRecord::packets),
        "In aggregates alone: flows in it; each packet counts as one, for it would have been a record of its own.").of(Of::Aggregates),
    row(80, "destinationMacAddress", MacAddress, Source::Cold(Cold::DestinationMac),
        "Destination address of the first packet's Ethernet header; 0 where `replay` reads another link type.").of(Of::Flows),
    row(56, "sourceMacAddress", MacAddress, Source::Cold(Cold::SourceMac),
        "Source address of the first packet's Ethernet header; 0 where `replay` reads another link type.").of(Of::Flows),
    row(31, "flowLabelIPv6", Unsigned32, Source::Cold(Cold::FlowLabel),
        "Flow label of the first packet, 20 bits; 0 for IPv4.").of(Of::Flows),
    row(515, "ipv6ExtensionHeadersFull", Unsigned256, Source::Cold(Cold::ExtensionHeaders),
        "Extension headers of all packets, by the bits of RFC 9740, in four octets: 0 destination options, 1 hop-by-hop options, 2 no next header, 4 and 6 first and later fragments, 5 routing, 7 mobility, 8 ESP, 9 authentication, 10 HIP, 11 Shim6, 12 and 13 experiments; 0 for IPv4.").of(Of::Flows),
    row(243, "dot1qVlanId", Unsigned16, Source::Cold(Cold::VlanId),
        "VLAN identifier of the first packet's outer tag, 802.1Q or 802.1ad; 0 for none and for a priority tag.").of(Of::Flows),
    row(245, "dot1qCustomerVlanId", Unsigned16, Source::Cold(Cold::CustomerVlanId),
        "VLAN identifier of the first packet's inner tag; 0 for none.").of(Of::Flows),
    row(244, "dot1qPriority", Unsigned8, Source::Cold(Cold::Priority),
        "Priority in the first packet's outer tag, 3 bits; 0 for none.").of(Of::Flows),
    row(246, "dot1qCustomerPriority", Unsigned8, Source::Cold(Cold::CustomerPriority),
        "Priority in the first packet's inner tag, 3 bits; 0 for none.").of(Of::Flows),
    row(70, "mplsTopLabelStackSection", OctetArray, Source::Cold(Cold::Label1),
        "Top entry of the first packet's label stack: label 20 bits, EXP 3, bottom of stack 1; 0 for none.").of(Of::Flows),
    row(71, "mplsLabelStackSection2", OctetArray, Source::Cold(Cold::Label2),
        "The second entry of the stack; 0 for none.").of(Of::Flows),
    row(72, "mplsLabelStackSection3", OctetArray, Source::Cold(Cold::Label3),
        "The third entry of the stack; 0 for none.").of(Of::Flows),
    row(351, "layer2SegmentId", Unsigned64, Source::Cold(Cold::Layer2SegmentId),
        "Segment of the innermost opened tunnel: 1 in the highest octet and the VNI for VXLAN, 2 and the upper 24 bits of the key for NVGRE (RFC 7637); 0 for none and for any other tunnel. Part of the flow key.").of(Of::Flows).key(Key::FlowsOnly),
    row(507, "gtpuTEid", Unsigned32, Source::Cold(Cold::GtpuTeid),
        "Tunnel endpoint identifier, where the innermost opened tunnel is GTP-U; else 0. Part of the flow key.").of(Of::Flows).key(Key::FlowsOnly),
    row(296, "greKey", Unsigned32, Source::Cold(Cold::GreKey),
        "Key, where the innermost opened tunnel is GRE; 0 for none and without one. Part of the flow key.").of(Of::Flows).key(Key::FlowsOnly),
    row(95, "applicationId", OctetArray, Source::Application,
        "Application by the messages of either direction (RFC 6759): engine 3, IANA-L4, and the well-known port of the service, or engine 6, user-defined, where it has none; options data have the names. 0 where no known protocol was seen.").of(Of::Flows),
    row(188, "tlsServerName", String, Source::Text(Text::Server),
        "Server name of the ClientHello of TLS or QUIC, as sent (TLS_SERVER_NAME).").of_ntop(),
    row(187, "httpHost", String, Source::Text(Text::Host),
        "Host of the last HTTP/1 request that was read, as sent (HTTP_HOST).").of_ntop(),
    row(205, "dnsQuery", String, Source::Text(Text::Dns),
        "Name that the last DNS message asked for, as sent; in another flow without a name, the name that its client had resolved to the other end's address, in lower case (DNS_QUERY).").of_ntop(),
];

/// From the first packet to the last, milliseconds, as far as 32 bits hold them.
fn duration_ms(record: &FlowRecord) -> u64 {
    record.end_ms().saturating_sub(record.start_ms()).min(u32::MAX.into())
}

/// A row of [`ELEMENTS`]: of all records, in both protocols, at full size, no part of the key.
const fn row(
    id: u16,
    name: &'static str,
    data_type: DataType,
    source: Source,
    manual: &'static str,
) -> Element {
    Element {
        id,
        enterprise: 0,
        name,
        data_type,
        source,
        within: Within::All,
        carried: Carried::Both,
        of: Of::All,
        key: Key::No,
        group: match source {
            Source::Cold(cold) => cold.field().group,
            Source::Application | Source::Text(_) => Group::Names,
            _ => Group::Base,
        },
        manual,
    }
}

impl Element {
    const fn within(self, within: Within) -> Self {
        Self { within, ..self }
    }

    const fn carried(self, carried: Carried) -> Self {
        Self { carried, ..self }
    }

    const fn of(self, of: Of) -> Self {
        Self { of, ..self }
    }

    /// An element of ntop, of flows alone.
    const fn of_ntop(self) -> Self {
        Self { enterprise: NTOP, of: Of::Flows, ..self }
    }

    const fn group(self, group: Group) -> Self {
        Self { group, ..self }
    }

    const fn key(self, key: Key) -> Self {
        Self { key, ..self }
    }
}
