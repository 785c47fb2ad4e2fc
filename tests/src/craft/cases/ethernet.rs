//! Ethernet: tags, frames that are no IP packet, frames of hardly any octets, padding.

use super::super::Ignored::{Malformed, Truncated};
use super::super::ethernet::{self, LINK, not_ip};
use super::super::ipv4::ipv4;
use super::super::ipv6::ipv6;
use super::super::transport::{tcp, udp};
use super::super::vlan::{C_TAG, S_TAG};
use super::super::{CaptureFile, Frame, Packet, pcap};

pub(super) fn file() -> CaptureFile {
    let groups = [tags(), collisions(), too_many_tags(), no_ip(), wrong_version(), tiny(), padding()];
    pcap::ethernet("crafted-ethernet.pcap", groups.concat())
}

/// An IPv4 and an IPv6 packet of hosts of their own.
fn both(host: u16) -> [Packet; 2] {
    [ipv4(host).carry(&udp(1000, 53)), ipv6(host).carry(&tcp(1000, 443, 0x18))]
}

/// Untagged, one tag, two tags, in any order; priority bits are no part of the identifier.
fn tags() -> Vec<Frame> {
    let stacks: [(&str, &[(u16, u16)]); 13] = [
        ("untagged", &[]),
        ("802.1Q", &[(C_TAG, 1)]),
        ("802.1Q, greatest identifier", &[(C_TAG, 4094)]),
        ("802.1Q, reserved identifier", &[(C_TAG, 4095)]),
        ("802.1Q with priority and drop eligible", &[(C_TAG, 0xf064)]),
        ("802.1ad", &[(S_TAG, 200)]),
        ("priority tag", &[(C_TAG, 0)]),
        ("priority tag with priority", &[(C_TAG, 0xe000)]),
        ("802.1ad and 802.1Q", &[(C_TAG, 7), (S_TAG, 300)]),
        ("802.1Q twice", &[(C_TAG, 7), (C_TAG, 301)]),
        ("802.1Q and 802.1ad", &[(S_TAG, 7), (C_TAG, 302)]),
        ("802.1ad twice", &[(S_TAG, 7), (S_TAG, 303)]),
        ("the outer one a priority tag", &[(C_TAG, 7), (S_TAG, 0x6000)]),
    ];
    let mut frames = Vec::new();
    for (host, (story, tags)) in (1..).zip(stacks) {
        for packet in both(host) {
            let tagged = tags.iter().fold(packet, |packet, (kind, control)| packet.tag(*kind, *control));
            frames.push(tagged.ethernet().story(story));
        }
    }
    frames
}

/// One connection in several VLANs and classes: one five-tuple, several flows.
fn collisions() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (vlan, tos) in [(0, 0), (10, 0), (20, 0), (10, 0xb8), (0, 0xb8), (10, 0)] {
        for packet in
            [ipv4(50).tos(tos).carry(&tcp(1000, 80, 0x10)), ipv6(50).class(tos).carry(&tcp(1000, 80, 0x10))]
        {
            let tagged = if vlan == 0 { packet } else { packet.tag(C_TAG, vlan) };
            frames.push(tagged.ethernet().story(format!("VLAN {vlan}, class {tos}")));
        }
    }
    frames
}

/// A third tag and private tag types are not walked.
fn too_many_tags() -> Vec<Frame> {
    let packet = || ipv4(60).carry(&udp(1000, 53));
    let three = || packet().tag(C_TAG, 5).tag(C_TAG, 6).tag(S_TAG, 7);
    let stacks = [
        ("three tags", three()),
        ("four tags", three().tag(C_TAG, 8)),
        ("private tag type", packet().tag(0x9100, 5)),
        ("private tag type behind 802.1Q", packet().tag(0x9100, 5).tag(C_TAG, 6)),
        ("another private tag type", packet().tag(0x9200, 5)),
    ];
    let mut frames: Vec<Frame> = stacks
        .into_iter()
        .map(|(story, packet)| {
            let frame = packet.ethernet();
            Frame::not_ip(LINK, frame.data).story(story)
        })
        .collect();
    let third = three().ethernet().data;
    frames.push(Frame::not_ip(LINK, third[..22].to_vec()).story("a third tag that is cut away"));
    frames
}

/// EtherTypes that are not IP, and 802.3 frames, whose field is a length.
fn no_ip() -> Vec<Frame> {
    let snap = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &ipv4(61).carry(&udp(1, 2)).octets].concat();
    let ip = ipv4(62).carry(&udp(1, 2)).octets;
    let tagged = |kind: u16| [&7u16.to_be_bytes()[..], &kind.to_be_bytes(), &[0; 28]].concat();
    [
        ("ARP", not_ip(0x0806, &[0; 28]).padded(60)),
        ("LLDP", not_ip(0x88cc, &[0; 46])),
        ("EAPOL", not_ip(0x888e, &[0; 46])),
        ("PPPoE discovery", not_ip(0x8863, &[0x11, 9, 0, 0, 0, 0]).padded(60)),
        ("802.3 with LLC", not_ip(0x0026, &[0x42, 0x42, 3]).padded(60)),
        ("802.3 with SNAP and IPv4", not_ip(0x0024, &snap)),
        ("length 0", not_ip(0, &ip)),
        ("the greatest length", not_ip(0x05dc, &ip)),
        ("between length and EtherType", not_ip(0x05ff, &ip)),
        ("the smallest EtherType", not_ip(0x0600, &ip)),
        ("0x0801", not_ip(0x0801, &ip)),
        ("0x86de", not_ip(0x86de, &ip)),
        ("local experiment", not_ip(0x88b5, &ip)),
        ("0xffff", not_ip(0xffff, &ip)),
        ("ARP behind a tag", not_ip(C_TAG, &tagged(0x0806)).padded(60)),
        ("a length behind a tag", not_ip(S_TAG, &tagged(0x0026)).padded(60)),
        ("ARP, header only", not_ip(0x0806, &[])),
    ]
    .map(|(story, frame)| frame.story(story))
    .into()
}

/// The version nibble must be the EtherType's.
fn wrong_version() -> Vec<Frame> {
    let mut frames = Vec::new();
    for version in [0, 1, 5, 6, 7, 15] {
        let packet = ipv4(63).carry(&udp(1000, 53).payload(20)).patch(0, &[version << 4 | 5]);
        frames.push(packet.ethernet().ignored(Malformed).story(format!("IPv4 of version {version}")));
    }
    for version in [0, 4, 5, 7] {
        let packet = ipv6(63).carry(&udp(1000, 53)).patch(0, &[version << 4]);
        frames.push(packet.ethernet().ignored(Malformed).story(format!("IPv6 of version {version}")));
    }
    let packet = ipv4(63).carry(&udp(1, 2).payload(20)).tag(C_TAG, 9).patch(2, &[0x86, 0xdd]);
    frames.push(packet.ethernet().ignored(Malformed).story("an IPv4 packet with IPv6's EtherType"));
    frames
}

/// Frames that end in their link header or right behind it.
fn tiny() -> Vec<Frame> {
    let mut frames = Vec::new();
    let whole = ipv4(64).carry(&udp(1000, 53)).tag(C_TAG, 5).tag(S_TAG, 6).ethernet();
    for octets in 0..=22 {
        frames.push(whole.clone().short(octets, Truncated).story(format!("{octets} octets with tags")));
    }
    for kind in [0x0800, 0x86dd, 0x8847, 0x8864, C_TAG] {
        let frame = Frame::ignored_as(LINK, ethernet::header(kind), Truncated);
        frames.push(frame.story(format!("nothing behind EtherType {kind:#06x}")));
    }
    for octets in 0..=14 {
        let frame = ipv4(64).carry(&udp(1000, 53)).ethernet().padded(60).cut(octets);
        frames.push(frame.story(format!("{octets} octets of 60 captured")));
    }
    frames
}

/// Octets behind the IP packet do not count, and are not read.
fn padding() -> Vec<Frame> {
    let small = || ipv4(65).carry(&udp(1000, 53));
    let telling = [0x12, 0x34, 0x56, 0x78, 0x50, 0xff];
    vec![
        small().ethernet().padded(60).story("padding to 60 octets"),
        small().trailed(&telling).ethernet().story("a trailer"),
        small().tag(C_TAG, 3).ethernet().padded(64).story("padding behind a tag"),
        ipv4(66).carry(&tcp(1000, 80, 2)).ethernet().padded(60).story("TCP with padding"),
        ipv6(65).carry(&udp(1000, 53)).ethernet().padded(70).story("IPv6 with padding"),
        small().ethernet().wire(60).story("padding that was not captured"),
        small().ethernet().wire(20).story("a wire length below the captured one"),
    ]
}
