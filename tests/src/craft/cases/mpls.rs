//! MPLS: stacks up to the limit and beyond it, and the guess at the packet beneath.

use super::super::Ignored::{Malformed, NotIp, Truncated};
use super::super::ethernet::not_ip;
use super::super::ipv4::ipv4;
use super::super::ipv6::ipv6;
use super::super::mpls::{UNICAST, UPSTREAM, stack};
use super::super::transport::{icmp, tcp, udp};
use super::super::vlan::{C_TAG, S_TAG};
use super::super::{CaptureFile, Frame, Packet, pcap};

pub(super) fn file() -> CaptureFile {
    pcap::ethernet("crafted-mpls.pcap", [depths(), places(), payloads(), cuts()].concat())
}

fn packet(host: u16) -> Packet {
    ipv4(host).ttl(61).carry(&udp(1000, 53))
}

/// One label to eight, and nine.
fn depths() -> Vec<Frame> {
    let mut frames = Vec::new();
    for labels in 1..=8 {
        let host = u16::from(labels);
        frames.push(packet(host).mpls(labels).ethernet().story(format!("{labels} labels")));
        let six = ipv6(host).carry(&tcp(1000, 80, 0x02)).mpls(labels).ethernet();
        frames.push(six.story(format!("{labels} labels, IPv6")));
    }
    for labels in [9, 10, 16] {
        let frame = packet(20).mpls(labels).ethernet().ignored(NotIp);
        frames.push(frame.story(format!("{labels} labels")));
    }
    frames.push(not_ip(UNICAST, &stack(8, false)).story("eight labels, none the last, and no more"));
    frames
}

fn places() -> Vec<Frame> {
    let upstream = |packet: Packet| packet.behind(UPSTREAM, &stack(2, true));
    vec![
        upstream(packet(30)).ethernet().story("upstream-assigned label"),
        packet(31).mpls(2).tag(C_TAG, 31).ethernet().story("behind a tag"),
        upstream(ipv6(31).carry(&icmp(8, 0)))
            .tag(C_TAG, 1)
            .tag(S_TAG, 32)
            .ethernet()
            .story("behind two tags"),
        packet(32).mpls(1).ethernet().padded(64).story("with padding"),
        packet(33)
            .mpls(1)
            .tag(C_TAG, 1)
            .tag(C_TAG, 2)
            .tag(C_TAG, 3)
            .ethernet()
            .ignored(NotIp)
            .story("three tags"),
    ]
}

/// The first nibble behind the stack decides.
fn payloads() -> Vec<Frame> {
    let mut frames = Vec::new();
    for nibble in [0, 1, 2, 3, 5, 7, 8, 15] {
        let frame = packet(40).patch(0, &[nibble << 4 | 5]).mpls(2).ethernet();
        frames.push(frame.ignored(NotIp).story(format!("first nibble {nibble}")));
    }
    let inner = [&[0, 0, 0, 0][..], &packet(41).ethernet().data].concat();
    let wire = [stack(1, true), inner].concat();
    frames.push(not_ip(UNICAST, &wire).story("a pseudowire with a control word"));
    let ihl = packet(42).patch(0, &[0x44]).mpls(1).ethernet().ignored(Malformed);
    frames.push(ihl.story("IPv4 with a header of 4 words"));
    let whole = packet(43).mpls(3).ethernet();
    let octets = whole.data.len() - 1;
    frames.push(whole.short(octets, Malformed).story("the IP packet is longer than the frame"));
    frames
}

fn cuts() -> Vec<Frame> {
    let mut frames = Vec::new();
    for octets in 14..=46 {
        // At 26 octets the stack is whole and the packet beneath has no octet.
        let frame = packet(50).mpls(3).ethernet().cut(octets);
        frames.push(frame.story(format!("{octets} octets captured of three labels")));
    }
    let telling = not_ip(UNICAST, &[&stack(2, true)[..], &[0x00]].concat());
    frames.push(telling.story("one octet behind the stack, which is not IP"));
    let telling = not_ip(UNICAST, &[&stack(2, true)[..], &[0x45]].concat());
    frames.push(telling.ignored(Truncated).story("one octet behind the stack, which is IPv4"));
    for octets in [31, 29] {
        let endless = not_ip(UNICAST, &stack(8, false)[..octets]);
        frames.push(endless.ignored(Truncated).story("eight labels, none the last, the eighth cut"));
    }
    frames
}
