//! Fragments: the first has its ports, later ones have none, whatever octets they hold.

use super::super::Ignored::Truncated;
use super::super::extension::{authentication, destination, fragment, fragment_field, hop_by_hop, routing};
use super::super::ipv4::{MF, ipv4};
use super::super::ipv6::ipv6;
use super::super::transport::{Upper, dccp, icmp, icmpv6, other, sctp, tcp, udp, udp_lite};
use super::super::vlan::C_TAG;
use super::super::{CaptureFile, Frame, length16, pcap};

pub(super) fn file() -> CaptureFile {
    let groups = [version4(), version6(), odd_offsets(), chains(), cuts()];
    pcap::ethernet("crafted-fragments.pcap", groups.concat())
}

fn uppers() -> [Upper; 9] {
    [
        udp(1000, 53),
        tcp(1000, 80, 0x18),
        icmp(8, 0),
        icmpv6(128, 0),
        sctp(5, 6),
        dccp(7, 8),
        udp_lite(9, 10),
        other(50),
        other(47),
    ]
}

/// First, middle and last of each protocol.
fn version4() -> Vec<Frame> {
    let mut frames = Vec::new();
    for upper in uppers() {
        let upper = upper.payload(8);
        for (place, field) in [("first", MF), ("middle", MF | 185), ("last", 370), ("furthest", 0x1fff)] {
            let frame = ipv4(1).fragment(field).carry(&upper).ethernet();
            frames.push(frame.story(format!("{place} fragment of protocol {}", upper.protocol)));
        }
    }
    let options = ipv4(2).options(&[148, 4, 0, 0]);
    frames.push(options.clone().fragment(MF).carry(&udp(1000, 53)).ethernet().story("first, with options"));
    frames.push(options.fragment(1).carry(&udp(1000, 53)).ethernet().story("the last, with options"));
    let empty = Upper { octets: Vec::new(), ..udp(1000, 53) };
    frames.push(ipv4(3).fragment(9).carry(&empty).ethernet().story("a later one without payload"));
    frames.push(ipv4(3).fragment(9).carry(&empty).tag(C_TAG, 2).ethernet().padded(64).story("behind a tag"));
    frames
}

fn version6() -> Vec<Frame> {
    let mut frames = Vec::new();
    for upper in uppers() {
        let upper = upper.payload(8);
        for (place, header) in [
            ("first", fragment(0, true)),
            ("middle", fragment(181, true)),
            ("last", fragment(362, false)),
            ("furthest", fragment(0x1fff, false)),
            ("atomic", fragment(0, false)),
        ] {
            let frame = ipv6(1).with(header).carry(&upper).ethernet();
            frames.push(frame.story(format!("{place} fragment of protocol {}", upper.protocol)));
        }
    }
    frames
}

/// The reserved bits beside the offset are no offset, the least offset is one.
fn odd_offsets() -> Vec<Frame> {
    let mut frames = Vec::new();
    for field in [0, 1, 2, 6, 7, 8, 9, 0xfff8] {
        let frame = ipv6(2).with(fragment_field(field)).carry(&udp(1000, 53)).ethernet();
        frames.push(frame.story(format!("IPv6 offset field {field:#06x}")));
    }
    for field in [0x8000, 0xe000, 1, 0xe001, 0x1000] {
        let frame = ipv4(4).fragment(field).carry(&udp(1000, 53)).ethernet();
        frames.push(frame.story(format!("IPv4 fragment field {field:#06x}")));
    }
    frames
}

/// The place of the fragment header in the chain, and the next header of a later fragment.
fn chains() -> Vec<Frame> {
    let udp = udp(1000, 53).payload(8);
    let first = || fragment(0, true);
    let later = || fragment(100, false);
    [
        ("first, headers in front", ipv6(10).with(hop_by_hop(0)).with(routing(1)).with(first())),
        ("later, headers in front", ipv6(10).with(hop_by_hop(0)).with(routing(1)).with(later())),
        ("first, header behind", ipv6(11).with(first()).with(destination(1))),
        ("later, destination options as protocol", ipv6(11).with(later()).with(destination(1))),
        ("later, AH as protocol", ipv6(12).with(later()).with(authentication(4))),
        ("later, hop-by-hop as protocol", ipv6(13).with(later()).with(hop_by_hop(0))),
        ("later, fragment header as protocol", ipv6(14).with(later()).with(first())),
        ("atomic twice", ipv6(15).with(fragment(0, false)).with(fragment(0, false))),
        ("first, then later", ipv6(16).with(first()).with(later())),
        ("later behind AH", ipv6(17).with(authentication(3)).with(later())),
        ("later as the eighth", (0..7).fold(ipv6(18), |ip, _| ip.with(destination(0))).with(later())),
    ]
    .map(|(story, ip)| ip.carry(&udp).ethernet().story(story))
    .into()
}

/// A first fragment may be too short for its ports; a later one needs none.
fn cuts() -> Vec<Frame> {
    let mut frames = Vec::new();
    for upper in [tcp(1000, 80, 0x02), icmp(3, 3).payload(8)] {
        for inside in [0, 1, 2, 3, 4, 8, 14] {
            let short = Upper { octets: upper.octets[..inside].to_vec(), ..upper.clone() };
            let few = inside < upper.needed;
            for frame in [
                ipv4(20).fragment(MF).carry(&short).ethernet(),
                ipv6(20).with(fragment(0, true)).carry(&short).ethernet(),
            ] {
                let frame = if few { frame.ignored(Truncated) } else { frame };
                frames.push(frame.story(format!("first fragment of {inside} octets")));
            }
            let later = ipv4(20).fragment(2).carry(&short).ethernet();
            frames.push(later.story(format!("later fragment of {inside} octets")));
        }
    }
    let later = ipv6(21).with(fragment(100, true)).carry(&udp(1000, 53).payload(30)).ethernet();
    for captured in 54..=64 {
        frames.push(later.clone().cut(captured).story(format!("later, {captured} octets captured")));
    }
    for payload in [7, 8] {
        let frame = ipv6(22).with(fragment(5, false)).carry_as(&udp(1000, 53), length16(payload)).ethernet();
        let frame = if payload < 8 { frame.ignored(Truncated) } else { frame };
        frames.push(frame.story(format!("a fragment header in {payload} octets")));
    }
    frames
}
