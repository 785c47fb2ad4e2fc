//! Frames that the snap length cut, at every octet up to behind their headers.

use super::super::extension::{authentication, destination, fragment, hop_by_hop};
use super::super::ipv4::ipv4;
use super::super::ipv6::ipv6;
use super::super::transport::{icmp, icmpv6, other, sctp, tcp, udp};
use super::super::vlan::{C_TAG, S_TAG};
use super::super::{CaptureFile, Frame, pcap};

pub(super) fn file() -> CaptureFile {
    let mut frames = Vec::new();
    for whole in wholes() {
        for captured in 0..=whole.data.len() {
            let story = format!("{}, {captured} octets captured", whole.story);
            frames.push(whole.clone().cut(captured).story(story));
        }
    }
    pcap::ethernet("crafted-cut.pcap", frames)
}

fn wholes() -> Vec<Frame> {
    let tcp = tcp(1000, 80, 0x12);
    let udp = udp(1000, 53);
    [
        ("IPv4, TCP", ipv4(1).carry(&tcp)),
        ("IPv4 with options, UDP", ipv4(2).options(&[1; 8]).carry(&udp)),
        ("IPv4, ICMP", ipv4(3).carry(&icmp(3, 1))),
        ("IPv4, GRE", ipv4(4).carry(&other(47))),
        ("IPv4, a later fragment", ipv4(5).fragment(7).carry(&udp)),
        ("IPv4 behind two tags, TCP", ipv4(6).carry(&tcp).tag(C_TAG, 1).tag(S_TAG, 2)),
        ("IPv4 in PPPoE, UDP", ipv4(7).carry(&udp).pppoe()),
        ("IPv4 behind labels, SCTP", ipv4(8).carry(&sctp(5, 6)).mpls(2).tag(C_TAG, 3)),
        ("IPv6, TCP", ipv6(1).carry(&tcp)),
        ("IPv6, ICMPv6", ipv6(2).carry(&icmpv6(128, 0))),
        ("IPv6 with two headers, UDP", ipv6(3).with(hop_by_hop(1)).with(fragment(0, true)).carry(&udp)),
        ("IPv6 with AH, TCP", ipv6(4).with(authentication(3)).with(destination(0)).carry(&tcp)),
        ("IPv6, a later fragment", ipv6(5).with(destination(0)).with(fragment(9, false)).carry(&udp)),
    ]
    .map(|(story, packet)| packet.ethernet().story(story))
    .into()
}
