//! Long frames, and headers that lie far behind the start of a frame.

use super::super::Ignored::Malformed;
use super::super::extension::{Extension, authentication, destination, hop_by_hop, routing};
use super::super::ipv4::ipv4;
use super::super::ipv6::{Ipv6, ipv6};
use super::super::transport::{icmpv6, tcp, udp};
use super::super::vlan::C_TAG;
use super::super::{CaptureFile, pcap};

/// Jumbo frames, up to the longest that an IP header can tell of.
pub(super) fn file() -> CaptureFile {
    let frames = vec![
        ipv4(1).carry(&tcp(1000, 80, 0x10).payload(8960)).ethernet().story("9000 octets"),
        ipv6(1).carry(&udp(1000, 53).payload(8952)).tag(C_TAG, 9).ethernet().story("9000 octets, a tag"),
        ipv4(2).carry(&udp(1000, 53).payload(60_100)).ethernet().story("above 60,000 octets"),
        ipv4(3).carry(&tcp(1000, 80, 0x18).payload(65_535 - 40)).ethernet().story("the longest IPv4 packet"),
        ipv4(3).carry(&tcp(1000, 80, 0x10).payload(65_535 - 40)).ethernet().cut(96).story("the same, cut"),
        ipv6(3)
            .carry(&udp(1000, 53).payload(65_535 - 8))
            .ethernet()
            .cut(80)
            .story("the longest IPv6 packet, cut"),
        ipv4(4).carry(&udp(1000, 53)).ethernet().wire(65_577).story("65,535 octets of padding, not captured"),
        ipv4(5)
            .carry_as(&udp(1000, 53), 65_535)
            .ethernet()
            .wire(65_548)
            .ignored(Malformed)
            .story("one too few"),
    ];
    pcap::ethernet("crafted-jumbo.pcap", frames)
}

fn chain(host: u16, extensions: impl IntoIterator<Item = Extension>) -> Ipv6 {
    extensions.into_iter().fold(ipv6(host), Ipv6::with)
}

/// Chains whose end is further from the start than a program sees at once.
pub(super) fn chains() -> CaptureFile {
    let mut frames = Vec::new();
    // The ports at each multiple of 4 octets around 3,520, and around a page.
    for (host, units) in (10..).zip((178..=186).chain([250])) {
        for (more, last) in [(0, authentication(2)), (1, authentication(3))] {
            let ip = chain(host * 2 + more, [hop_by_hop(250), destination(units), last]);
            let frame = ip.carry(&tcp(1000, 80, 0x12)).ethernet();
            let length = frame.data.len() - 20;
            frames.push(frame.story(format!("TCP at octet {length}")));
        }
    }
    let long = || chain(50, [hop_by_hop(255), routing(255)]);
    let whole = long().carry(&tcp(1000, 80, 0x17)).ethernet();
    let end = whole.data.len();
    for behind in [0, 1, 6, 7, 16, 17, 20, 21, 600, 2068, 2069] {
        let frame = whole.clone().cut(end - behind);
        frames.push(frame.story(format!("two long headers and TCP, {behind} octets cut")));
    }
    frames.push(long().carry(&icmpv6(129, 0)).ethernet().story("two long headers and ICMPv6"));
    let eight = chain(51, vec![destination(255); 8]).carry(&udp(1000, 53)).ethernet();
    frames.push(eight.story("eight of the longest headers"));
    let nine = chain(52, vec![destination(255); 9]).carry(&udp(1000, 53)).ethernet();
    frames.push(nine.cut(14 + 40 + 8 * 2048).ignored(Malformed).story("nine of the longest headers"));
    pcap::ethernet("crafted-long-chains.pcap", frames)
}
