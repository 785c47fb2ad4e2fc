//! One table a link type: what is in front of the IP packet, and the Ethernet frame that comes out.

use super::super::{CaptureError, Lengths, to_ethernet};

/// What is expected of a packet: an EtherType and what follows it, or a cut.
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
