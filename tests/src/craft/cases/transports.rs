//! Transport protocols on both versions of IP, TCP flags, ICMP types.

use super::super::ipv4::ipv4;
use super::super::ipv6::ipv6;
use super::super::transport::{Upper, dccp, icmp, icmpv6, other, sctp, tcp, udp, udp_lite};
use super::super::{CaptureFile, Frame, pcap};

pub(super) fn file() -> CaptureFile {
    let groups = [ports(), icmps(), others(), flags(), one_flow()];
    pcap::ethernet("crafted-transports.pcap", groups.concat())
}

fn both(host: u16, upper: &Upper) -> [Frame; 2] {
    [ipv4(host).carry(upper).ethernet(), ipv6(host).carry(upper).ethernet()]
}

fn ports() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (source, destination) in [(1, 2), (0, 0), (0xffff, 0xffff), (0x0102, 0x0304), (53, 40_000)] {
        for upper in [
            udp(source, destination),
            tcp(source, destination, 0x10),
            udp_lite(source, destination),
            sctp(source, destination),
            dccp(source, destination),
        ] {
            let frames_of = both(1, &upper);
            frames
                .extend(frames_of.map(|frame| frame.story(format!("ports of protocol {}", upper.protocol))));
        }
    }
    frames
}

/// ICMP in IPv6 and ICMPv6 in IPv4 too: the protocol decides, not the version.
fn icmps() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (kind, code) in [(0, 0), (3, 1), (8, 0), (11, 0), (128, 0), (129, 0), (135, 0), (255, 255)] {
        for upper in [icmp(kind, code), icmpv6(kind, code)] {
            frames.extend(both(2, &upper).map(|frame| frame.story(format!("ICMP type {kind} code {code}"))));
        }
    }
    frames
}

/// No ports. AH and the IPv6 extension headers are protocols like any other in IPv4.
fn others() -> Vec<Frame> {
    let mut frames = Vec::new();
    let anywhere = [2, 4, 41, 46, 47, 50, 59, 88, 89, 94, 103, 112, 115, 135, 137, 143, 253, 255];
    for protocol in anywhere {
        let story = format!("protocol {protocol}");
        frames.extend(both(3, &other(protocol)).map(|frame| frame.story(story.clone())));
    }
    for protocol in [0, 43, 44, 51, 60] {
        let frame = ipv4(4).carry(&other(protocol)).ethernet();
        frames.push(frame.story(format!("protocol {protocol}, which IPv4 does not walk")));
    }
    let empty = Upper { octets: Vec::new(), ..other(47) };
    frames.extend(both(5, &empty).map(|frame| frame.padded(60).story("nothing behind the header")));
    frames
}

/// Each flag alone, all, none; the four bits beside the data offset are not among them.
fn flags() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (host, flags) in (10..).zip([0, 1, 2, 4, 8, 16, 32, 64, 128, 0xff]) {
        frames.extend(both(host, &tcp(1, 2, flags)).map(|frame| frame.story(format!("flags {flags:#04x}"))));
    }
    let mut reserved = tcp(1, 2, 0x02);
    reserved.octets[12] = 0x5f;
    frames.extend(both(30, &reserved).map(|frame| frame.story("the reserved bits are set")));
    let mut offset = tcp(1, 2, 0x02);
    offset.octets[12] = 0x00;
    frames.extend(both(31, &offset).map(|frame| frame.story("a data offset of 0 is not looked at")));
    frames
}

/// Connections of many packets: flags are ORed, TTLs have a range, octets add up.
fn one_flow() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (flags, ttl, payload) in
        [(0x02, 64, 0), (0x10, 60, 0), (0x18, 62, 100), (0x18, 255, 1400), (0x10, 1, 7), (0x11, 64, 0)]
    {
        let upper = tcp(2000, 80, flags).payload(payload);
        let back = tcp(80, 2000, flags | 0x10).payload(payload);
        let pair = [
            ipv4(40).ttl(ttl).carry(&upper),
            ipv6(40).hop_limit(ttl).carry(&upper),
            ipv4(40).ttl(ttl).carry(&back),
        ];
        frames.extend(pair.map(|packet| packet.ethernet().story("one of many packets of a flow")));
    }
    frames
}
