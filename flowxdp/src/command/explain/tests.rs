//! A packet for each rule of the parser, and the words for it.

use flowxdp_common::observation::Observation;
use flowxdp_ebpf::{frame::Slice, observe::observe};
use proptest::prelude::*;

use super::{line::words, observed::Link};

/// An Ethernet frame: a type, and octets in hexadecimal behind it.
fn frame(ethernet_type: u16, rest: &str) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend(ethernet_type.to_be_bytes());
    let digits: Vec<u8> = rest.bytes().filter(u8::is_ascii_hexdigit).collect();
    for pair in digits.chunks(2) {
        frame.push(u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
    }
    frame
}

/// The words for a frame that was captured whole, but for octets that were on the wire only.
fn explained(frame: &[u8], more: u32) -> String {
    let mut observation = Observation::default();
    observe(&Slice::new(frame, u32::try_from(frame.len()).unwrap() + more), &mut observation);
    words(&observation, Link::ETHERNET)
}

const V4: &str = "4500 001c 0000 0000 4011 0000 c0000201 c0000202";
const V6: &str = "6000 0000 0008 1140 20010db8000000000000000000000001 20010db8000000000000000000000002";
const UDP: &str = "3039 0035 0008 0000";

#[test]
fn a_metered_packet_is_its_headers_and_its_octets() {
    for (ethernet_type, rest, text) in [
        (
            0x0800,
            format!("{V4}{UDP}"),
            "Ethernet 0x0800, IPv4 192.0.2.1 to 192.0.2.2, UDP ports 12345 to 53: metered, 28 octets",
        ),
        (
            0x8100,
            format!("a005 86dd {V6}{UDP}"),
            "Ethernet 0x8100, VLAN 5 priority 5, IPv6 2001:db8::1 to 2001:db8::2, UDP ports 12345 to 53: metered, 48 octets",
        ),
        (
            0x8864,
            format!("1100 0011 001e 0021 {V4}{UDP}"),
            "Ethernet 0x8864, PPPoE session 0x0011, IPv4 192.0.2.1 to 192.0.2.2, UDP ports 12345 to 53: metered, 28 octets",
        ),
        (
            0x8847,
            format!("00010040 00011140 {V4}{UDP}"),
            "Ethernet 0x8847, MPLS label 16, MPLS label 17, IPv4 192.0.2.1 to 192.0.2.2, UDP ports 12345 to 53: metered, 28 octets",
        ),
        (
            0x0800,
            "4500 001c 0000 0000 4001 0000 c0000201 c0000202 0800 0000 0000 0000".to_owned(),
            "Ethernet 0x0800, IPv4 192.0.2.1 to 192.0.2.2, ICMP type 8 code 0: metered, 28 octets",
        ),
        (
            0x0800,
            "4500 001c 0000 0007 4011 0000 c0000201 c0000202 0000 0000 0000 0000".to_owned(),
            "Ethernet 0x0800, IPv4 192.0.2.1 to 192.0.2.2: metered, 28 octets",
        ),
    ] {
        assert_eq!(explained(&frame(ethernet_type, &rest), 0), text);
    }
}

#[test]
fn a_packet_without_ip_ends_with_the_octet_and_the_rule() {
    let labels = "00010040".repeat(8);
    for (ethernet_type, rest, text) in [
        (0x0806, "0001", "Ethernet 0x0806 at octet 0: EtherType 0x0806 (ARP) is no IP: not_ip"),
        (
            0x0026,
            "4242",
            "Ethernet 0x0026 at octet 0: length 38 in place of an EtherType (IEEE 802.3) is no IP: not_ip",
        ),
        (
            0x8100,
            "6005 88cc",
            "Ethernet 0x8100, VLAN 5 priority 3 at octet 14: EtherType 0x88cc (LLDP) is no IP: not_ip",
        ),
        (
            0x88a8,
            "0005 8100 0006 8100 0007 0800",
            "Ethernet 0x88a8, VLAN 5 priority 0, VLAN 6 priority 0 at octet 18: a third tag follows (0x8100): not_ip",
        ),
        (
            0x8100,
            "6005 08",
            "Ethernet 0x8100, VLAN tag at octet 14: 4 octets are needed, 3 captured: truncated",
        ),
        (
            0x8864,
            "1109 0011",
            "Ethernet 0x8864, PPPoE header at octet 14: 8 octets are needed, 4 captured: truncated",
        ),
        (
            0x8864,
            "1109 0011 0004 0021",
            "Ethernet 0x8864, PPPoE header at octet 14: version, type and code are 0x1109, not 0x1100: malformed",
        ),
        (
            0x8864,
            "1100 0011 0004 c021",
            "Ethernet 0x8864, PPPoE header at octet 14: PPP protocol 0xc021 (LCP) is no IP: not_ip",
        ),
        (
            0x8847,
            "0001 00",
            "Ethernet 0x8847, MPLS label at octet 14: 4 octets are needed, 3 captured: truncated",
        ),
        (
            0x8847,
            "0001 0140",
            "Ethernet 0x8847, MPLS label 16, IP version at octet 18: 1 octet is needed, 0 captured: truncated",
        ),
        (
            0x8847,
            "0001 0140 0000",
            "Ethernet 0x8847, MPLS label 16, IP version at octet 18: neither version 4 nor version 6 stands behind the last label: not_ip",
        ),
        (
            0x8847,
            labels.as_str(),
            "Ethernet 0x8847, MPLS label 16, MPLS label 16, MPLS label 16, MPLS label 16, MPLS label 16, MPLS label 16, \
             MPLS label 16, MPLS label 16 at octet 42: more than 8 MPLS labels: not_ip",
        ),
    ] {
        assert_eq!(explained(&frame(ethernet_type, rest), 0), text);
    }
}

#[test]
fn a_faulty_ip_header_ends_with_the_octet_and_the_rule() {
    let chain = format!("6000 0000 0048 0040 {} {}", &V6[20..], "0000 0000 0000 0000".repeat(9));
    for (ethernet_type, rest, text) in [
        (
            0x0800,
            "4500",
            "Ethernet 0x0800, IPv4 header at octet 14: 20 octets are needed, 2 captured: truncated",
        ),
        (
            0x8100,
            "6005 0800 4400 0014 0000 0000 4011 0000 c0000201 c0000202",
            "Ethernet 0x8100, VLAN 5 priority 3, IPv4 header at octet 18: header length 4 is below 5 words: malformed",
        ),
        (
            0x0800,
            "6500 0014 0000 0000 4011 0000 c0000201 c0000202",
            "Ethernet 0x0800, IPv4 header at octet 14: version is 6: malformed",
        ),
        (
            0x0800,
            "4600 0014 0000 0000 4011 0000 c0000201 c0000202",
            "Ethernet 0x0800, IPv4 header at octet 14: total length 20 is below the header's 24 octets: malformed",
        ),
        (
            0x0800,
            "4600 0000 0000 0000 4006 0000 c0000201 c0000202",
            "Ethernet 0x0800, IPv4 header at octet 14: header length 6 words is above the 20 octets that the frame has: malformed",
        ),
        (
            0x0800,
            "4500 0015 0000 0000 4011 0000 c0000201 c0000202",
            "Ethernet 0x0800, IPv4 header at octet 14: total length 21 is above the 20 octets that the frame has: malformed",
        ),
        (
            0x0800,
            "4500 0017 0000 0000 4011 0000 c0000201 c0000202 303900",
            "Ethernet 0x0800, IPv4 192.0.2.1 to 192.0.2.2, UDP header at octet 34: 4 octets are needed, the IP packet has 3: truncated",
        ),
        (
            0x86dd,
            &V6.replacen("60", "40", 1),
            "Ethernet 0x86dd, IPv6 header at octet 14: version is 4: malformed",
        ),
        (
            0x86dd,
            V6,
            "Ethernet 0x86dd, IPv6 header at octet 14: payload length 8 is above the 0 octets that the frame has: malformed",
        ),
        (
            0x86dd,
            chain.as_str(),
            "Ethernet 0x86dd, IPv6 2001:db8::1 to 2001:db8::2, hop-by-hop options, hop-by-hop options, hop-by-hop options, \
             hop-by-hop options, hop-by-hop options, hop-by-hop options, hop-by-hop options, hop-by-hop options header at \
             octet 110: more than 8 extension headers: malformed",
        ),
    ] {
        assert_eq!(explained(&frame(ethernet_type, rest), 0), text);
    }
    assert_eq!(
        explained(&[0; 13], 0),
        "Ethernet header at octet 0: 14 octets are needed, 13 captured: truncated"
    );
}

#[test]
fn a_cut_capture_says_how_many_octets_are_there() {
    for (ethernet_type, rest, more, text) in [
        (
            0x0800,
            format!("{V4} 3039"),
            6,
            "Ethernet 0x0800, IPv4 192.0.2.1 to 192.0.2.2, UDP header at octet 34: 4 octets are needed, 2 captured: truncated",
        ),
        (
            0x0800,
            "4700 0024 0000 0000 4011 0000 c0000201 c0000202 01010101".to_owned(),
            12,
            "Ethernet 0x0800, IPv4 header at octet 14: 28 octets are needed, 24 captured: truncated",
        ),
        (
            0x86dd,
            format!("{} 1102 0000 0000 0000", V6.replacen("0008 11", "0020 3c", 1)),
            24,
            "Ethernet 0x86dd, IPv6 2001:db8::1 to 2001:db8::2, destination options header at octet 54: 24 octets are needed, 8 captured: truncated",
        ),
        (
            0x86dd,
            format!("{} 1102", V6.replacen("0008 11", "0020 33", 1)),
            30,
            "Ethernet 0x86dd, IPv6 2001:db8::1 to 2001:db8::2, authentication header at octet 54: 8 octets are needed, 2 captured: truncated",
        ),
        (
            0x86dd,
            format!("{} 1100", V6.replacen("0008 11", "0002 2b", 1)),
            0,
            "Ethernet 0x86dd, IPv6 2001:db8::1 to 2001:db8::2, routing header at octet 54: 8 octets are needed, the IP packet has 2: truncated",
        ),
    ] {
        assert_eq!(explained(&frame(ethernet_type, &rest), more), text);
    }
}

#[test]
fn offsets_of_another_link_type_count_its_own_header() {
    let ip = frame(0x0800, "4400 0014 0000 0000 4011 0000 c0000201 c0000202");
    let mut observation = Observation::default();
    observe(&Slice::new(&ip, 34), &mut observation);
    assert_eq!(
        words(&observation, Link { number: 113, length: 16 }),
        "link type 113 with EtherType 0x0800, IPv4 header at octet 16: header length 4 is below 5 words: malformed"
    );
}

/// EtherTypes that lead somewhere, and others.
fn ethernet_type() -> impl Strategy<Value = u16> {
    prop_oneof![
        proptest::sample::select(vec![0x0800, 0x86dd, 0x8100, 0x88a8, 0x8864, 0x8847, 0x8848]),
        any::<u16>(),
    ]
}

proptest! {
    #[test]
    fn any_frame_has_words(
        kind in ethernet_type(),
        rest in proptest::collection::vec(any::<u8>(), 0..120),
        cut in 0..140_usize,
        more in 0..200_u32,
        link in prop_oneof![Just(1), any::<u32>()],
        length in 0..40_u32,
    ) {
        let mut octets = frame(kind, "");
        octets.extend(rest);
        octets.truncate(cut);
        let mut observation = Observation::default();
        observe(&Slice::new(&octets, u32::try_from(octets.len()).unwrap() + more), &mut observation);
        let link = if link == 1 { Link::ETHERNET } else { Link { number: link, length } };
        let words = words(&observation, link);
        let end = ["octets", "not_ip", "truncated", "malformed"].into_iter().find(|end| words.ends_with(end));
        prop_assert!(end.is_some() && words.contains(": ") && !words.contains("no reason given"), "{}", words);
    }
}
