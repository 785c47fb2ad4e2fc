//! One table a link type: the octets in front of the IP packet, and the Ethernet frame that comes out.

use super::super::{CaptureError, Lengths, to_ethernet};

/// The frame expected of a packet: an EtherType and the octets behind it, or a cut.
#[derive(Debug, PartialEq)]
enum Frame {
    Type(u16, Vec<u8>),
    Cut,
}

/// Gives `data` an Ethernet header; `missing` octets were not captured. Checks the lengths against
/// the link header's own.
fn ethernet(link: u32, data: &[u8], header: u32, missing: u32) -> Frame {
    let captured = u32::try_from(data.len()).unwrap();
    let mut out = vec![0xee; 99];
    let lengths = to_ethernet(link, data, captured + missing, &mut out).unwrap();
    assert_eq!(lengths.captured as usize, out.len());
    assert_eq!(lengths.wire, (captured + missing).saturating_sub(header) + 14, "{data:02x?}");
    match out.split_at_checked(14) {
        Some((head, rest)) => {
            assert_eq!(lengths.wire - lengths.captured, missing);
            Frame::Type(u16::from_be_bytes([head[12], head[13]]), rest.to_vec())
        }
        None => Frame::Cut,
    }
}

/// Each case at once: octets in front, EtherType, length of the link header.
fn check(link: u32, cases: &[(&[u8], u16, u32)]) {
    let packet = [0x45, 1, 2, 3, 4];
    for (front, kind, header) in cases {
        let data = [front, &packet[..]].concat();
        let behind = data[*header as usize..].to_vec();
        for missing in [0, 7] {
            assert_eq!(
                ethernet(link, &data, *header, missing),
                Frame::Type(*kind, behind.clone()),
                "link type {link}, {front:02x?}"
            );
        }
    }
}

fn check_cut(link: u32, header: u32, cases: &[&[u8]]) {
    for data in cases {
        assert_eq!(ethernet(link, data, header, 3), Frame::Cut, "link type {link}, {data:02x?}");
    }
}

const NOT_IP: u16 = 0x88b5;

#[test]
fn ethernet_is_passed_through() {
    let mut out = vec![1, 2, 3];
    for (length, wire, expected) in [(60, 60, 60), (60, 1514, 1514), (9, 0, 9), (0, 0, 0)] {
        let lengths = to_ethernet(1, &vec![7; length], wire, &mut out).unwrap();
        assert_eq!(lengths, Lengths { captured: u32::try_from(length).unwrap(), wire: expected });
        assert_eq!(out, vec![7; length]);
    }
}

#[test]
fn raw_ip_goes_by_its_version_nibble() {
    for link in [12, 14, 101] {
        check(link, &[(&[0x4f], 0x0800, 0), (&[0x60], 0x86dd, 0), (&[0x50], NOT_IP, 0), (&[0], NOT_IP, 0)]);
        check_cut(link, 1, &[&[]]);
    }
}

#[test]
fn raw_ipv4_and_ipv6_go_by_their_link_type() {
    // The wrong nibble stays for the parser, which calls it malformed; so does a packet of length 0.
    check(228, &[(&[0x45], 0x0800, 0), (&[0x60], 0x0800, 0)]);
    check(229, &[(&[0x45], 0x86dd, 0), (&[0x60], 0x86dd, 0)]);
    assert_eq!(ethernet(228, &[], 0, 0), Frame::Type(0x0800, vec![]));
    assert_eq!(ethernet(229, &[], 0, 5), Frame::Type(0x86dd, vec![]));
}

#[test]
fn loopback_families() {
    check(
        0,
        &[
            (&[2, 0, 0, 0], 0x0800, 4),
            (&[0, 0, 0, 2], 0x0800, 4),
            (&[10, 0, 0, 0], 0x86dd, 4),
            (&[0, 0, 0, 24], 0x86dd, 4),
            (&[28, 0, 0, 0], 0x86dd, 4),
            (&[0, 0, 0, 30], 0x86dd, 4),
            (&[7, 0, 0, 0], NOT_IP, 0),
            (&[2, 1, 0, 0], NOT_IP, 0),
            (&[0, 0, 2, 0], NOT_IP, 0),
            (&[0, 0, 0, 0], NOT_IP, 0),
        ],
    );
    check(
        108,
        &[
            (&[0, 0, 0, 2], 0x0800, 4),
            (&[0, 0, 0, 24], 0x86dd, 4),
            (&[2, 0, 0, 0], NOT_IP, 0),
            (&[0, 0, 0, 1], NOT_IP, 0),
        ],
    );
    for link in [0, 108] {
        check_cut(link, 4, &[&[], &[2], &[0, 0, 0]]);
    }
}

#[test]
fn cooked_linux() {
    let sll = |hardware: u16, kind: u16| {
        [&[0, 0][..], &hardware.to_be_bytes(), &[0, 6, 1, 2, 3, 4, 5, 6, 0, 0], &kind.to_be_bytes()].concat()
    };
    let sll2 = |hardware: u16, kind: u16| {
        [&kind.to_be_bytes()[..], &[0; 6], &hardware.to_be_bytes(), &[4, 6, 1, 2, 3, 4, 5, 6, 0, 0]].concat()
    };
    for kind in [0x0800, 0x86dd, 0x8100, 0x88a8, 0x8847, 0x8864, 0x0004, 0x0806] {
        check(113, &[(&sll(1, kind), kind, 16), (&sll(772, kind), kind, 16)]);
        check(276, &[(&sll2(1, kind), kind, 20)]);
    }
    // A netlink family that looks like an EtherType is none.
    check(113, &[(&sll(824, 0x0800), NOT_IP, 0)]);
    check(276, &[(&sll2(824, 0x0800), NOT_IP, 0)]);
    check_cut(113, 16, &[&[], &sll(824, 0x0800)[..15], &sll(1, 0x0800)[..2]]);
    check_cut(276, 20, &[&[], &sll2(824, 0x0800)[..19], &sll2(1, 0x0800)[..2]]);
}

#[test]
fn ppp_protocols() {
    for link in [9, 50] {
        check(
            link,
            &[
                (&[0xff, 0x03, 0x00, 0x21], 0x0800, 4),
                (&[0xff, 0x03, 0x00, 0x57], 0x86dd, 4),
                (&[0xff, 0x03, 0x02, 0x81], 0x8847, 4),
                (&[0xff, 0x03, 0x02, 0x83], 0x8848, 4),
                (&[0xff, 0x03, 0xc0, 0x21], NOT_IP, 0),
                (&[0xff, 0x03, 0x21], 0x0800, 3),
                (&[0x00, 0x21], 0x0800, 2),
                (&[0x02, 0x81], 0x8847, 2),
                (&[0x21], 0x0800, 1),
                (&[0x57], 0x86dd, 1),
                (&[0x81], NOT_IP, 0),
                (&[0xff, 0x21], NOT_IP, 0),
                (&[0x80, 0x21], NOT_IP, 0),
            ],
        );
        check_cut(link, 2, &[&[], &[0xff], &[0x21]]);
        check_cut(link, 3, &[&[0xff, 0x03]]);
        check_cut(link, 4, &[&[0xff, 0x03, 0x00]]);
        assert_eq!(ethernet(link, &[0x21, 0x45], 1, 0), Frame::Type(0x0800, vec![0x45]));
    }
}

#[test]
fn cisco_hdlc_by_a_link_type_of_its_own() {
    check(
        104,
        &[
            (&[0x0f, 0x00, 0x08, 0x00], 0x0800, 4),
            (&[0x8f, 0x00, 0x86, 0xdd], 0x86dd, 4),
            (&[0x0f, 0x00, 0x88, 0x47], 0x8847, 4),
            (&[0x8f, 0x00, 0x80, 0x35], 0x8035, 4),
        ],
    );
    check_cut(104, 4, &[&[], &[0x0f, 0x00, 0x08]]);
}

#[test]
fn pppoe_without_an_ethernet_header() {
    check(51, &[(&[0x11, 0, 0, 1, 0, 7, 0, 0x21], 0x8864, 0), (&[], 0x8864, 0)]);
}

#[test]
fn ppp_behind_its_direction() {
    for direction in [0, 1, 0xff] {
        check(
            204,
            &[
                (&[direction, 0xff, 0x03, 0x00, 0x21], 0x0800, 5),
                (&[direction, 0x00, 0x57], 0x86dd, 3),
                (&[direction, 0x21], 0x0800, 2),
                (&[direction, 0xc0, 0x21], NOT_IP, 0),
                (&[direction, 0x0f, 0x00, 0x08, 0x00], NOT_IP, 0),
            ],
        );
    }
    check_cut(204, 1, &[&[]]);
    check_cut(204, 3, &[&[0], &[0, 0xff]]);
}

#[test]
fn pflog_by_its_own_length_and_a_family() {
    let header = |length: u8, family: u8, octets: usize| {
        let mut header = vec![length, family];
        header.resize(octets, 7);
        header
    };
    check(
        117,
        &[
            (&header(61, 2, 64), 0x0800, 64),
            (&header(61, 24, 64), 0x86dd, 64),
            (&header(64, 28, 64), 0x86dd, 64),
            (&header(100, 30, 100), 0x86dd, 100),
            (&header(45, 2, 48), 0x0800, 48),
            (&header(61, 9, 64), NOT_IP, 0),
            (&header(44, 2, 44), NOT_IP, 0),
        ],
    );
    check_cut(117, 2, &[&[], &[61]]);
    check_cut(117, 64, &[&header(61, 2, 63)]);
}

#[test]
fn enc_by_a_family_in_either_order() {
    let header = |family: [u8; 4]| [&family[..], &[9; 8]].concat();
    check(
        109,
        &[
            (&header([2, 0, 0, 0]), 0x0800, 12),
            (&header([0, 0, 0, 2]), 0x0800, 12),
            (&header([24, 0, 0, 0]), 0x86dd, 12),
            (&header([0, 0, 0, 28]), 0x86dd, 12),
            (&header([1, 0, 0, 0]), NOT_IP, 0),
        ],
    );
    check_cut(109, 12, &[&[], &header([2, 0, 0, 0])[..11]]);
}

/// The packet of an NFLOG message with these attributes, and its length on the wire.
fn nflog(family: u8, big: bool, attributes: &[(u16, &[u8])]) -> (Frame, u32) {
    let word = |value: u16| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let mut data = vec![family, 0, 0, 5];
    for (kind, value) in attributes {
        data.extend(word(u16::try_from(value.len()).unwrap() + 4));
        data.extend(word(*kind));
        data.extend(*value);
        data.resize(data.len().next_multiple_of(4), 0);
    }
    let mut out = Vec::new();
    let lengths = to_ethernet(239, &data, u32::try_from(data.len()).unwrap(), &mut out).unwrap();
    assert_eq!(lengths.captured as usize, out.len());
    let frame = match out.split_at_checked(14) {
        Some((head, rest)) => Frame::Type(u16::from_be_bytes([head[12], head[13]]), rest.to_vec()),
        None => Frame::Cut,
    };
    (frame, lengths.wire)
}

#[test]
fn nflog_has_the_packet_in_an_attribute() {
    let v4 = [0x45, 0, 0, 7, 1, 2, 3];
    let v6 = [0x60, 0, 0, 0, 0, 1, 17, 64];
    let hook: (u16, &[u8]) = (1, &[8, 0, 1, 0]);
    let prefix: (u16, &[u8]) = (10, b"odd\0\0");
    for big in [false, true] {
        assert_eq!(nflog(2, big, &[(9, &v4)]), (Frame::Type(0x0800, v4.to_vec()), 21));
        // Octets behind the packet are no part of it.
        assert_eq!(
            nflog(2, big, &[hook, prefix, (9, &v4), (11, &[0; 4])]).0,
            Frame::Type(0x0800, v4.to_vec())
        );
        // Only the first octets were copied: the packet's own length is the one on the wire.
        assert_eq!(nflog(10, big, &[prefix, (9, &v6)]), (Frame::Type(0x86dd, v6.to_vec()), 14 + 41));
        for (frame, _) in [nflog(0, big, &[(9, &v4)]), nflog(2, big, &[hook]), nflog(2, big, &[(0x109, &v4)])]
        {
            assert!(matches!(frame, Frame::Type(NOT_IP, _)), "{frame:?}");
        }
    }
    for cut in [&[][..], &[2, 0, 0], &[2, 0, 0, 0, 8, 0, 1], &[2, 0, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0]] {
        let mut out = Vec::new();
        to_ethernet(239, cut, 99, &mut out).unwrap();
        assert!(out.len() < 14, "{cut:02x?}");
    }
    // Another version, an attribute shorter than its own header.
    for other in [&[2, 1, 0, 0, 8, 0, 9, 0][..], &[2, 0, 0, 0, 3, 0, 9, 0]] {
        let mut out = Vec::new();
        to_ethernet(239, other, 99, &mut out).unwrap();
        assert_eq!(out[12..14], NOT_IP.to_be_bytes(), "{other:02x?}");
    }
}

#[test]
fn cisco_hdlc_is_told_by_its_address_and_only_there() {
    check(
        50,
        &[
            (&[0x0f, 0x00, 0x08, 0x00], 0x0800, 4),
            (&[0x8f, 0x00, 0x86, 0xdd], 0x86dd, 4),
            (&[0x0f, 0x00, 0x81, 0x00], 0x8100, 4),
            (&[0x0f, 0x00, 0x80, 0x35], 0x8035, 4),
        ],
    );
    check_cut(50, 2, &[&[0x0f]]);
    check_cut(50, 4, &[&[0x0f, 0x00], &[0x8f, 0x00, 0x08]]);
    check(9, &[(&[0x0f, 0x00, 0x08, 0x00], NOT_IP, 0)]);
}

#[test]
fn any_other_link_type_is_named() {
    for link in [2, 6, 105, 127, 195, 65_536] {
        let error = to_ethernet(link, &[0; 60], 60, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, CaptureError::LinkType { link: named } if named == link));
        assert!(error.to_string().starts_with(&format!("link type {link} is not supported")));
    }
}
