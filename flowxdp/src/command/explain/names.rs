//! Names of protocol numbers and EtherTypes that an operator meets most, from IANA's and IEEE's registries.

/// IANA protocol numbers with a name.
const PROTOCOLS: [(u8, &str); 22] = [
    (0, "hop-by-hop options"),
    (1, "ICMP"),
    (2, "IGMP"),
    (4, "IPv4 in IP"),
    (6, "TCP"),
    (17, "UDP"),
    (33, "DCCP"),
    (41, "IPv6 in IP"),
    (43, "routing header"),
    (44, "fragment header"),
    (47, "GRE"),
    (50, "ESP"),
    (51, "authentication header"),
    (58, "ICMPv6"),
    (59, "no next header"),
    (60, "destination options"),
    (88, "EIGRP"),
    (89, "OSPF"),
    (103, "PIM"),
    (112, "VRRP"),
    (132, "SCTP"),
    (136, "UDP-Lite"),
];

/// EtherTypes with a name.
const ETHERNET_TYPES: [(u16, &str); 16] = [
    (0x0800, "IPv4"),
    (0x0806, "ARP"),
    (0x22f0, "AVTP"),
    (0x8100, "802.1Q tag"),
    (0x86dd, "IPv6"),
    (0x8809, "LACP and other slow protocols"),
    (0x8847, "MPLS"),
    (0x8848, "MPLS, upstream labels"),
    (0x8863, "PPPoE discovery"),
    (0x8864, "PPPoE session"),
    (0x888e, "802.1X"),
    (0x88a8, "802.1ad tag"),
    (0x88cc, "LLDP"),
    (0x88e5, "MACsec"),
    (0x88f7, "PTP"),
    (0x9000, "loopback test"),
];

/// PPP protocols with a name.
const PPP: [(u16, &str); 7] = [
    (0x0021, "IPv4"),
    (0x0057, "IPv6"),
    (0x8021, "IPCP"),
    (0x8057, "IPV6CP"),
    (0xc021, "LCP"),
    (0xc023, "PAP"),
    (0xc223, "CHAP"),
];

fn named<T: PartialEq + Copy>(table: &[(T, &'static str)], number: T) -> Option<&'static str> {
    table.iter().find(|(its, _)| *its == number).map(|(_, name)| *name)
}

/// A protocol as text: its name, or its number.
pub(super) fn protocol(number: u8) -> String {
    named(&PROTOCOLS, number).map_or_else(|| format!("protocol {number}"), str::to_owned)
}

/// The number of a protocol that is named.
pub(super) fn protocol_number(text: &str) -> Option<u8> {
    PROTOCOLS.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(number, _)| *number)
}

/// An EtherType with its name, or the length that stands in its place (IEEE 802.3).
pub(super) fn ethernet_type(number: u16) -> String {
    match named(&ETHERNET_TYPES, number) {
        Some(name) => format!("EtherType 0x{number:04x} ({name})"),
        None if number < 0x0600 => format!("length {number} in place of an EtherType (IEEE 802.3)"),
        None => format!("EtherType 0x{number:04x}"),
    }
}

/// A PPP protocol with its name.
pub(super) fn ppp(number: u16) -> String {
    match named(&PPP, number) {
        Some(name) => format!("PPP protocol 0x{number:04x} ({name})"),
        None => format!("PPP protocol 0x{number:04x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_found_by_name_and_number() {
        assert_eq!((protocol(6), protocol(253)), ("TCP".to_owned(), "protocol 253".to_owned()));
        assert_eq!((protocol_number("icmpv6"), protocol_number("quic")), (Some(58), None));
    }

    #[test]
    fn lengths_of_802_3_are_no_ethertypes() {
        assert_eq!(ethernet_type(38), "length 38 in place of an EtherType (IEEE 802.3)");
        assert_eq!(ethernet_type(0x0806), "EtherType 0x0806 (ARP)");
        assert_eq!(ppp(0xc021), "PPP protocol 0xc021 (LCP)");
    }
}
