//! Packets in tunnels. The verdict is that on the outermost header; `.inner.csv` has the rows with tunnels opened.

use super::super::extension::{destination, fragment, hop_by_hop};
use super::super::ipv4::{MF, ipv4};
use super::super::ipv6::ipv6;
use super::super::transport::{Upper, icmp, icmpv6, sctp, tcp, udp};
use super::super::tunnel::{BRIDGED, bits, bridged, geneve, gre, gtp, ip, of, over_udp, vxlan};
use super::super::vlan::{C_TAG, S_TAG};
use super::super::{CaptureFile, Frame, Packet, pcap};

pub(super) fn file() -> CaptureFile {
    let groups =
        [nested(), in_gre(), in_vxlan(), in_geneve(), in_gtp(), hostile(), fragments(), behind(), cuts()];
    pcap::ethernet("crafted-tunnels.pcap", groups.concat())
}

fn tcp4(host: u16) -> Packet {
    ipv4(host).tos(8).ttl(33).carry(&tcp(1000, 80, 0x12).payload(5))
}

fn udp6(host: u16) -> Packet {
    ipv6(host).class(9).hop_limit(44).carry(&udp(53, 1000).payload(6))
}

fn named(upper: &Upper, story: impl Into<String>) -> [Frame; 2] {
    let story = story.into();
    [
        ipv4(7).carry(upper).ethernet().story(format!("{story}, in IPv4")),
        ipv6(7).carry(upper).ethernet().story(format!("{story}, in IPv6")),
    ]
}

/// The third tunnel stays closed.
fn nested() -> Vec<Frame> {
    let (four, six) = (tcp4(100), udp6(100));
    let twice = ipv6(101).carry(&ip(&ipv4(101).carry(&ip(&six))));
    let thrice = ipv4(102).carry(&ip(&twice));
    [
        named(&ip(&four), "IPv4"),
        named(&ip(&six), "IPv6"),
        named(&ip(&ipv4(103).carry(&ip(&six))), "two tunnels"),
        named(&ip(&twice), "three tunnels"),
        named(&ip(&thrice), "four tunnels"),
        named(&ip(&ipv4(104).carry(&icmp(3, 1))), "ICMP"),
        named(&ip(&ipv6(104).carry(&icmpv6(128, 0))), "ICMPv6"),
        named(&ip(&ipv4(105).carry(&sctp(5, 6))), "SCTP"),
        named(&vxlan(8, 7, &bridged(&ipv4(106).carry(&gre(0, &[], 0x0800, &four.octets)))), "GRE in VXLAN"),
        named(&gre(0, &[], 0x86dd, &ipv6(107).carry(&vxlan(8, 7, &bridged(&four))).octets), "VXLAN in GRE"),
    ]
    .concat()
}

fn in_gre() -> Vec<Frame> {
    use bits::{CHECKSUM, KEY, ROUTING, SEQUENCE};
    let (four, six) = (tcp4(110), udp6(110));
    let ethernet = bridged(&four);
    let all = CHECKSUM | KEY | SEQUENCE;
    [
        named(&gre(0, &[], 0x0800, &four.octets), "GRE"),
        named(&gre(0, &[], 0x86dd, &six.octets), "GRE, IPv6"),
        named(&gre(CHECKSUM, &[1], 0x0800, &four.octets), "GRE with a checksum"),
        named(&gre(KEY, &[0x0102_0304], 0x0800, &four.octets), "GRE with a key"),
        named(&gre(SEQUENCE, &[3], 0x86dd, &six.octets), "GRE with a sequence number"),
        named(&gre(all, &[1, 2, 3], 0x86dd, &six.octets), "GRE with all three"),
        named(&gre(all | 0x0ff8, &[1, 2, 3], 0x86dd, &six.octets), "GRE with reserved bits"),
        named(&gre(KEY, &[0x0102_0304], BRIDGED, &ethernet), "NVGRE"),
        named(&gre(0, &[], BRIDGED, &ethernet), "GRE with Ethernet"),
        named(&gre(ROUTING, &[0], 0x0800, &four.octets), "GRE with routing"),
        named(&gre(1, &[], 0x0800, &four.octets), "GRE version 1"),
        named(&gre(7, &[], 0x0800, &four.octets), "GRE version 7"),
        named(&gre(0, &[], 0x88be, &ethernet), "ERSPAN"),
        named(&gre(0, &[], 0x86dd, &four.octets), "GRE with another version inside"),
        named(&gre(all, &[1, 2], 0, &[]), "GRE that ends in its fields"),
        named(&of(47, vec![0, 0, 8]), "GRE that ends in its header"),
    ]
    .concat()
}

fn in_vxlan() -> Vec<Frame> {
    let (four, six) = (tcp4(120), udp6(120));
    let tagged = four.clone().tag(C_TAG, 0x2005);
    let twice = tagged.clone().tag(S_TAG, 6);
    [
        named(&vxlan(8, 0xab_cdef, &bridged(&four)), "VXLAN"),
        named(&vxlan(0xff, 1, &bridged(&six)), "VXLAN with all flags"),
        named(&vxlan(0xf7, 1, &bridged(&six)), "VXLAN without a valid VNI"),
        named(&vxlan(8, 2, &bridged(&tagged)), "VXLAN with a tag inside"),
        named(&vxlan(8, 2, &bridged(&twice)), "VXLAN with two tags inside"),
        named(&vxlan(8, 2, &bridged(&twice.tag(C_TAG, 7))), "VXLAN with three tags inside"),
        named(&vxlan(8, 3, &bridged(&four.clone().mpls(1))), "VXLAN with a label inside"),
        named(&vxlan(8, 3, &bridged(&four.clone().pppoe())), "VXLAN with PPPoE inside"),
        named(&vxlan(8, 3, &[0; 40]), "VXLAN with an IEEE 802.3 frame"),
        named(&vxlan(8, 3, &bridged(&four)[..13]), "VXLAN that ends in the Ethernet header"),
        named(&over_udp(4789, &[8, 0, 0]), "VXLAN that ends in its header"),
        named(&over_udp(4790, &bridged(&four)), "the port beside VXLAN's"),
        named(
            &Upper { ports: (4789, 1000), ..udp_from(4789, &vxlan(8, 1, &bridged(&four))) },
            "VXLAN's port as source",
        ),
    ]
    .concat()
}

/// The same octets from this port to another one.
fn udp_from(port: u16, upper: &Upper) -> Upper {
    let header = udp(port, 1000);
    Upper { octets: [&header.octets[..], &upper.octets[8..]].concat(), ..header }
}

fn in_geneve() -> Vec<Frame> {
    let (four, six) = (tcp4(130), udp6(130));
    [
        named(&geneve(0, 0x0800, 5, &[], &four.octets), "Geneve"),
        named(&geneve(0, BRIDGED, 5, &[], &bridged(&six)), "Geneve with Ethernet"),
        named(&geneve(1, 0x86dd, 5, &[0; 4], &six.octets), "Geneve with an option"),
        named(&geneve(63, 0x86dd, 5, &[0xff; 252], &six.octets), "Geneve with all options"),
        named(&geneve(63, 0x86dd, 5, &[0xff; 20], &[]), "Geneve that ends in its options"),
        named(&geneve(0x40, 0x0800, 5, &[], &four.octets), "Geneve version 1"),
        named(&geneve(0, 0x8847, 5, &[], &four.octets), "Geneve with MPLS"),
    ]
    .concat()
}

fn in_gtp() -> Vec<Frame> {
    let (four, six) = (tcp4(140), udp6(140));
    let next = |count: usize| {
        let mut more = vec![0, 0, 0, if count > 0 { 0x85 } else { 0 }];
        for left in (0..count).rev() {
            more.extend([1, 0, 0, if left > 0 { 0xc0 } else { 0 }]);
        }
        more
    };
    let mut frames = [
        named(&gtp(0x30, 255, 9, &[], &four.octets), "GTP-U"),
        named(&gtp(0x32, 255, 9, &[0, 1, 0, 0], &six.octets), "GTP-U with a sequence number"),
        named(&gtp(0x31, 255, 9, &[0, 1, 7, 0x85], &six.octets), "GTP-U with an N-PDU number"),
        named(
            &gtp(0x34, 255, 9, &[0, 0, 0, 0x85, 0, 0, 0, 0], &six.octets),
            "an extension header of length 0",
        ),
        named(
            &gtp(0x34, 255, 9, &[0, 0, 0, 0x85, 255, 0, 0, 0], &six.octets),
            "an extension header that is cut",
        ),
        named(
            &gtp(0x34, 255, 9, &[0, 0, 0, 0x85, 2, 0, 0, 1, 2, 3, 4, 0], &four.octets),
            "an extension header of two words",
        ),
        named(&gtp(0x30, 254, 9, &[], &four.octets), "an end marker"),
        named(&gtp(0x50, 255, 9, &[], &four.octets), "GTP version 2"),
        named(&gtp(0x20, 255, 9, &[], &four.octets), "GTP prime"),
        named(&gtp(0x30, 255, 9, &[], &[0x50; 40]), "GTP-U with neither version inside"),
        named(&gtp(0x30, 255, 9, &[], &[]), "GTP-U without a packet"),
    ]
    .concat();
    for count in 0..6 {
        let upper = gtp(0x34, 255, 9, &next(count), &four.octets);
        frames.extend(named(&upper, format!("GTP-U with {count} extension headers")));
    }
    frames
}

/// Headers inside that are not good leave the packet to the header outside.
fn hostile() -> Vec<Frame> {
    let tcp = tcp(1000, 80, 0x12).payload(5);
    let longer = ipv4(150).carry_as(&tcp, 46);
    let shorter = ipv4(150).carry_as(&tcp, 44);
    let chain = |count| (0..count).fold(ipv6(151), |ip, _| ip.with(destination(0)));
    let raw = |octets: &[u8]| of(4, octets.to_vec());
    [
        named(&ip(&longer), "longer than the packet outside"),
        named(&ip(&shorter), "with padding behind it"),
        named(&ip(&ipv4(150).carry_as(&tcp, 0)), "TCP of length 0"),
        named(&ip(&ipv4(150).carry_as(&tcp, 23)), "ports behind the end"),
        named(&ip(&ipv4(152).carry(&tcp).patch(0, &[0x44])), "a header length of 4 words"),
        named(&raw(&udp6(153).octets), "version 6 in protocol 4"),
        named(&raw(&ipv4(154).carry(&tcp).octets[..19]), "a header of 19 octets"),
        named(&raw(&ipv4(154).carry(&tcp).octets[..20]), "a length beyond the end"),
        named(&raw(&[]), "nothing"),
        named(&ip(&chain(8).carry(&udp(1, 2))), "eight extension headers"),
        named(&ip(&chain(9).carry(&udp(1, 2))), "nine extension headers"),
        named(
            &ip(&ipv6(155).with(hop_by_hop(0)).carry(&ip(&ipv4(156).carry_as(&tcp, 46)))),
            "the second is too long",
        ),
    ]
    .concat()
}

/// Fragments outside are not opened; fragments inside are metered as fragments.
fn fragments() -> Vec<Frame> {
    let inner = tcp4(160);
    let outside = |field| ipv4(161).fragment(field).carry(&ip(&inner)).ethernet();
    let inside = |field| ip(&ipv4(162).fragment(field).carry(&udp(53, 7).payload(16)));
    let outside6 = |header| ipv6(161).with(header).carry(&gre(0, &[], 0x0800, &inner.octets)).ethernet();
    let mut frames = vec![
        outside(MF).story("the first fragment of a tunnel"),
        outside(9).story("a later fragment of a tunnel"),
        outside6(fragment(0, true)).story("the first fragment of GRE"),
        outside6(fragment(0, false)).story("an atomic fragment of GRE"),
        outside6(fragment(5, false)).story("a later fragment of GRE"),
    ];
    for (field, story) in [(MF, "first"), (MF | 3, "middle"), (6, "last")] {
        frames.extend(named(&inside(field), format!("{story} fragment inside")));
    }
    frames
}

/// Headers in front of the packet outside.
fn behind() -> Vec<Frame> {
    let outer = || ipv4(170).carry(&vxlan(8, 12, &bridged(&udp6(171).tag(C_TAG, 5))));
    vec![
        outer().tag(C_TAG, 0x6007).ethernet().story("behind a tag"),
        outer().tag(C_TAG, 1).tag(S_TAG, 2).ethernet().story("behind two tags"),
        outer().mpls(2).ethernet().story("behind labels"),
        outer().pppoe().ethernet().story("behind PPPoE"),
        outer().ethernet().padded(1000).story("with padding behind the frame"),
    ]
}

/// The snap length cuts the headers inside at each octet.
fn cuts() -> Vec<Frame> {
    let packets = [
        ipv4(180).carry(&gre(bits::KEY, &[4], BRIDGED, &bridged(&tcp4(181)))),
        ipv6(180).carry(&gtp(0x34, 255, 9, &[0, 0, 0, 0x85, 1, 0, 0, 0], &udp6(181).octets)),
    ];
    let mut frames = Vec::new();
    for packet in packets {
        let whole = packet.ethernet();
        for captured in 40..whole.data.len() {
            frames.push(whole.clone().cut(captured).story(format!("{captured} octets captured")));
        }
    }
    frames
}
