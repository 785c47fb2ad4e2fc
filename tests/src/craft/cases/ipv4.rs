//! IPv4: options, lengths that contradict each other, and the octets that are the packet's own.

use super::super::Ignored::{Malformed, Truncated};
use super::super::ipv4::{MF, ipv4};
use super::super::transport::{icmp, other, sctp, tcp, udp};
use super::super::vlan::C_TAG;
use super::super::{CaptureFile, Frame, length16, length32, pcap};

pub(super) fn file() -> CaptureFile {
    let groups =
        [fields(), options(), header_lengths(), total_lengths(), offloaded(), ports_outside(), longer()];
    pcap::ethernet("crafted-ipv4.pcap", groups.concat())
}

fn fields() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (tos, ttl) in [(0, 1), (0, 255), (0, 0), (0x03, 64), (0xb8, 64), (0xff, 64)] {
        let frame = ipv4(1).tos(tos).ttl(ttl).carry(&udp(1000, 53)).ethernet();
        frames.push(frame.story(format!("type of service {tos:#04x}, TTL {ttl}")));
    }
    for (host, flags) in [(2, 0), (3, 0x4000), (4, 0x8000), (5, 0xc000)] {
        let frame = ipv4(host).fragment(flags).carry(&tcp(1000, 80, 0x10)).ethernet();
        frames.push(frame.story(format!("flags {flags:#06x}, no fragment")));
    }
    frames
}

/// The transport header stands behind the options.
fn options() -> Vec<Frame> {
    let router_alert = [148, 4, 0, 0];
    let record_route = [&[7, 39, 4][..], &[0; 37]].concat();
    let sets: [(&str, &[u8]); 4] = [
        ("router alert", &router_alert),
        ("no operation", &[1; 4]),
        ("end of options", &[0; 8]),
        ("record route, 40 octets", &record_route),
    ];
    let mut frames = Vec::new();
    for (host, (story, options)) in (10..).zip(sets) {
        let ip = ipv4(host).options(options);
        for upper in [tcp(1000, 80, 0x19), udp(1000, 53), icmp(3, 1), sctp(5, 6), other(2)] {
            frames.push(ip.carry(&upper).ethernet().story(format!("{story}, protocol {}", upper.protocol)));
        }
        let tagged = ip.carry(&tcp(1001, 80, 0x19)).tag(C_TAG, 10).ethernet();
        frames.push(tagged.story(format!("{story}, behind a tag")));
    }
    let cut = ipv4(15).options(&record_route).carry(&tcp(1000, 80, 0x19)).ethernet();
    for octets in [34, 73, 74, 77, 78, 87, 88] {
        frames.push(cut.clone().cut(octets).story(format!("options, {octets} octets captured")));
    }
    frames
}

/// A header of fewer than five words, or one that does not fit into the packet.
fn header_lengths() -> Vec<Frame> {
    let mut frames = Vec::new();
    for words in 0..5 {
        let frame = ipv4(20).carry(&udp(1000, 53).payload(40)).patch(0, &[0x40 | words]).ethernet();
        frames.push(frame.ignored(Malformed).story(format!("a header of {words} words")));
    }
    for words in 7..=15 {
        // Seven words are all of the 28 octets: there are no ports.
        let why = if words == 7 { Truncated } else { Malformed };
        let frame = ipv4(21).carry(&udp(1000, 53)).patch(0, &[0x40 | words]).ethernet().padded(90);
        frames.push(frame.ignored(why).story(format!("a header of {words} words in 28 octets")));
    }
    frames
}

fn total_lengths() -> Vec<Frame> {
    let mut frames = Vec::new();
    for total in [1, 19] {
        for octets in [42, 60] {
            let frame = ipv4(22).carry_as(&tcp(1000, 80, 2), total).ethernet().padded(octets + 12);
            frames.push(frame.ignored(Malformed).story(format!("total length {total}")));
        }
    }
    for total in [20, 24, 43] {
        let frame = ipv4(23).options(&[1; 24]).carry_as(&tcp(1000, 80, 2), total).ethernet();
        frames.push(frame.ignored(Malformed).story(format!("total length {total}, header 44")));
    }
    frames
}

/// A total length of 0, as segmentation offload and BIG TCP leave it: TCP is as long as the frame says.
fn offloaded() -> Vec<Frame> {
    let segment = tcp(1000, 80, 0x18).payload(3000);
    let whole = || ipv4(50).carry_as(&segment, 0);
    let mut frames = vec![
        whole().ethernet().story("total length 0, TCP of 3040 octets"),
        whole().tag(C_TAG, 7).ethernet().story("the same behind a tag"),
        whole().pppoe().ethernet().story("the same in PPPoE"),
        whole().ethernet().padded(3060).octets(3046).story("the same, and six octets behind it"),
        whole().ethernet().cut(96).story("the same, cut behind the flags"),
        whole().ethernet().cut(40).story("the same, cut behind the ports"),
        whole().ethernet().cut(36).story("the same, cut in the ports"),
        whole().ethernet().cut(96).wire(70_014).octets(70_000).story("70,000 octets, cut"),
        whole().ethernet().cut(96).wire(65_550).octets(65_536).story("65,536 octets, cut"),
        ipv4(51).options(&[1; 40]).carry_as(&segment, 0).ethernet().story("behind 40 octets of options"),
        ipv4(52).fragment(MF).carry_as(&segment, 0).ethernet().story("a first fragment of no length"),
        ipv4(52).fragment(9).carry_as(&segment, 0).ethernet().story("a later fragment of no length"),
    ];
    let short = ipv4(53).carry_as(&tcp(1000, 80, 2), 0).ethernet();
    frames.push(short.clone().padded(60).octets(46).story("a SYN of no length, padded"));
    for octets in 34..=37 {
        let frame = short.clone().short(octets, Truncated);
        frames.push(frame.story(format!("total length 0, {octets} octets on the wire")));
    }
    let long = ipv4(54).carry_as(&tcp(1000, 80, 2), 0).patch(0, &[0x4b]).ethernet();
    frames.push(long.ignored(Malformed).story("total length 0, a header longer than the frame"));
    for upper in [udp(1000, 53).payload(40), icmp(8, 0), sctp(5, 6), other(47)] {
        for octets in [60, 1514] {
            let frame = ipv4(55).carry_as(&upper, 0).ethernet().padded(octets).ignored(Malformed);
            frames.push(frame.story(format!("total length 0, protocol {}", upper.protocol)));
        }
    }
    frames
}

/// Ports, type and code, and TCP flags count only where they are inside the total length.
fn ports_outside() -> Vec<Frame> {
    let mut frames = Vec::new();
    let uppers = [tcp(1000, 80, 0x17), udp(1000, 53), icmp(8, 0), other(47)];
    for (host, options) in [(30, vec![]), (31, vec![1; 12])] {
        for upper in &uppers {
            let header = 20 + options.len();
            let ip = ipv4(host).options(&options);
            for inside in 0..=16 {
                let total = length16(header + inside);
                let story = format!("protocol {}, {inside} octets are the packet's", upper.protocol);
                let frame = ip.carry_as(upper, total).trailed(&[0xee; 16]).ethernet().story(story);
                let outside = inside < upper.needed;
                frames.push(if outside { frame.ignored(Truncated) } else { frame });
            }
        }
    }
    frames
}

/// A packet may not be longer than the frame that brought it.
fn longer() -> Vec<Frame> {
    let mut frames = Vec::new();
    for excess in [0, 1, 100, 60_000] {
        for tagged in [false, true] {
            let upper = udp(1000, 53).payload(10);
            let packet = ipv4(40).carry_as(&upper, 38 + excess);
            let packet = if tagged { packet.tag(C_TAG, 4) } else { packet };
            let frame = packet.ethernet().story(format!("{excess} octets longer than the frame"));
            frames.push(if excess == 0 { frame } else { frame.ignored(Malformed) });
        }
    }
    let offloaded = ipv4(41).carry_as(&tcp(1000, 80, 0x18).payload(40), 2000).ethernet();
    let wire = length32(offloaded.data.len());
    for (missing, fits) in [(1920, true), (1919, false), (5000, true)] {
        let frame = offloaded.clone().wire(wire + missing);
        let frame = if fits { frame } else { frame.ignored(Malformed) };
        frames.push(frame.story(format!("{missing} octets were not captured of 2000")));
    }
    // The parser compares the length with the frame before it reads behind the fixed header.
    let cut = ipv4(42).options(&[1; 40]).carry(&tcp(1000, 80, 2)).ethernet();
    for octets in 14..=40 {
        let why = if octets < 34 { Truncated } else { Malformed };
        frames.push(cut.clone().short(octets, why).story(format!("a frame that ends at {octets}")));
    }
    frames
}
