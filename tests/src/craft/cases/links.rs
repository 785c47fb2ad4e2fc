//! Every link type, in one pcapng file with an interface for each.

use super::super::Ignored::{self, Malformed, NotIp, Truncated};
use super::super::ipv4::ipv4;
use super::super::ipv6::ipv6;
use super::super::link::{cooked, cooked2};
use super::super::mpls::{UNICAST, stack};
use super::super::pcap::Order;
use super::super::pcapng::{self, Clock, Writer};
use super::super::transport::{icmp, tcp, udp};
use super::super::vlan::{C_TAG, S_TAG};
use super::super::{CaptureFile, Frame, Packet};

pub(super) fn file() -> CaptureFile {
    let groups = [ethernet(), raw(), raw_by_version(), loopback(), ppp(), hdlc(), linux(113), linux(276)];
    let mut writer = Writer::new(Order::Little);
    let mut interfaces: Vec<u32> = Vec::new();
    for frame in pcapng::timed(groups.concat()) {
        let number = interfaces.iter().position(|link| *link == frame.link).unwrap_or_else(|| {
            writer.interface(frame.link, 0, Clock::MICRO);
            interfaces.push(frame.link);
            interfaces.len() - 1
        });
        writer.enhanced(super::super::length32(number), Clock::MICRO, frame);
    }
    writer.finish("crafted-link-types.pcapng")
}

fn four(link: u32) -> Packet {
    ipv4(u16::try_from(link).unwrap_or(0)).carry(&tcp(1000, 80, 0x12))
}

fn six(link: u32) -> Packet {
    ipv6(u16::try_from(link).unwrap_or(0)).carry(&udp(1000, 53))
}

fn ignored(link: u32, data: &[u8], why: Ignored) -> Frame {
    Frame::ignored_as(link, data.to_vec(), why)
}

/// The packet behind a link header, whole and cut at every octet of the header and a bit further.
fn cuts(link: u32, header: &[u8], packet: &Packet) -> Vec<Frame> {
    let frame = |captured: usize| packet.clone().frame(link, header).cut(captured);
    let story = |captured: usize| format!("link type {link}, {captured} octets captured");
    (0..header.len() + 26).map(|captured| frame(captured).story(story(captured))).collect()
}

fn ethernet() -> Vec<Frame> {
    vec![four(1).ethernet().story("Ethernet"), six(1).tag(C_TAG, 9).ethernet().story("Ethernet, a tag")]
}

/// No link header: the first nibble is the version.
fn raw() -> Vec<Frame> {
    let mut frames = Vec::new();
    for link in [12, 14, 101] {
        frames.push(four(link).frame(link, &[]).story("raw IPv4"));
        frames.push(six(link).frame(link, &[]).story("raw IPv6"));
        frames.push(four(link).trailed(&[0; 9]).frame(link, &[]).story("raw IPv4 with a trailer"));
        for nibble in [0, 1, 5, 7, 15] {
            let frame = four(link).patch(0, &[nibble << 4]).frame(link, &[]);
            frames.push(frame.ignored(NotIp).story(format!("raw, nibble {nibble}")));
        }
        frames.push(
            four(link).patch(0, &[0x44]).frame(link, &[]).ignored(Malformed).story("raw, short header"),
        );
        frames.push(ignored(link, &[], Truncated).story("raw, no octet"));
        frames.push(ignored(link, &[0x45], Truncated).story("raw, one octet of IPv4"));
        frames.push(ignored(link, &[0x50], NotIp).story("raw, one octet of something"));
        frames.push(four(link).frame(link, &[]).short(39, Malformed).story("raw, one octet too few"));
        frames.extend(cuts(link, &[], &four(link)));
    }
    frames
}

/// The link type is the version, so that another nibble is a fault.
fn raw_by_version() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (link, packet, wrong) in [(228, four(228), six(228)), (229, six(229), four(229))] {
        let wrong = wrong.trailed(&[0; 40]);
        frames.push(packet.clone().frame(link, &[]).story("raw by version"));
        frames.push(wrong.frame(link, &[]).ignored(Malformed).story("raw of the wrong version"));
        frames.push(ignored(link, &[], Truncated).story("raw by version, no octet"));
        frames.push(ignored(link, &[0x00], Truncated).story("raw by version, one octet"));
        frames.extend(cuts(link, &[], &packet));
    }
    frames
}

fn loopback() -> Vec<Frame> {
    let mut frames = Vec::new();
    for link in [0, 108] {
        // The former has the family in the order of the host that captured.
        let both = if link == 0 { 2 } else { 1 };
        for family in [2u32, 10, 24, 28, 30, 7, 0, 0x0201] {
            for header in [family.to_be_bytes(), family.to_le_bytes()].into_iter().take(both) {
                let packet = if family == 2 { four(link) } else { six(link) };
                let frame = packet.frame(link, &header);
                let is_ip = matches!(family, 2 | 10 | 24 | 28 | 30);
                let frame = if is_ip { frame } else { frame.ignored(NotIp) };
                frames.push(frame.story(format!("link type {link}, family {family}")));
            }
        }
        let mismatch = six(link).trailed(&[0; 9]).frame(link, &2u32.to_be_bytes());
        frames.push(mismatch.ignored(Malformed).story("an IPv6 packet of the IPv4 family"));
        frames.extend(cuts(link, &2u32.to_be_bytes(), &four(link)));
    }
    let little = four(108).frame(108, &2u32.to_le_bytes()).ignored(NotIp);
    frames.push(little.story("link type 108 has the family in network byte order only"));
    frames
}

fn ppp() -> Vec<Frame> {
    let mut frames = Vec::new();
    for link in [9, 50] {
        let four = || four(link);
        let labelled = |labels| four().mpls(labels);
        let upstream = six(link).behind(UNICAST, &stack(3, true));
        for (packet, header) in [
            (four(), &[0xff, 3, 0, 0x21][..]),
            (six(link), &[0xff, 3, 0, 0x57]),
            (labelled(2), &[0xff, 3, 0x02, 0x81]),
            (upstream, &[0xff, 3, 0x02, 0x83]),
            (four(), &[0, 0x21]),
            (labelled(8), &[0x02, 0x81]),
            (four(), &[0xff, 3, 0x21]),
            (six(link), &[0x57]),
        ] {
            frames.push(packet.frame(link, header).story(format!("PPP header {header:02x?}")));
        }
        for header in [
            &[0xff, 3, 0xc0, 0x21][..],
            &[0xff, 3, 0x80, 0x21],
            &[0xc0, 0x21],
            &[0xff, 3, 0x81],
            &[0xff, 0x21],
            &[0xff, 3, 0x21 ^ 4],
            &[0, 0x23],
        ] {
            let frame = four().frame(link, header).ignored(NotIp);
            frames.push(frame.story(format!("PPP header {header:02x?}")));
        }
        frames.push(labelled(9).frame(link, &[0xff, 3, 2, 0x81]).ignored(NotIp).story("PPP, nine labels"));
        frames.push(ignored(link, &[0xff, 3], Truncated).story("PPP, no protocol"));
        frames.push(ignored(link, &[0x21], Truncated).story("PPP, one octet"));
        frames.push(ignored(link, &[0x21, 0x45], Truncated).story("PPP, one octet of IPv4"));
        frames.extend(cuts(link, &[0xff, 3, 0, 0x21], &four()));
        frames.extend(cuts(link, &[0xff, 3, 0x02, 0x83], &labelled(1)));
    }
    frames
}

/// Cisco HDLC in the same link type: its address tells it, and it has an EtherType.
fn hdlc() -> Vec<Frame> {
    let link = 50;
    let mut frames = vec![
        four(51).frame(link, &[0x0f, 0, 8, 0]).story("HDLC unicast"),
        six(51).frame(link, &[0x8f, 0, 0x86, 0xdd]).story("HDLC multicast"),
        four(52).tag(C_TAG, 4).frame(link, &[0x0f, 0, 0x81, 0]).story("HDLC with a tag"),
        four(53).mpls(1).frame(link, &[0x0f, 0, 0x88, 0x47]).story("HDLC with a label"),
        four(54).frame(link, &[0x8f, 0, 0x80, 0x35]).ignored(NotIp).story("HDLC keepalive"),
        four(54).frame(9, &[0x0f, 0, 8, 0]).ignored(NotIp).story("PPP knows no HDLC"),
        ignored(link, &[0x0f], Truncated).story("HDLC, one octet"),
    ];
    frames.extend(cuts(link, &[0x0f, 0, 8, 0], &four(55)));
    frames
}

/// Linux cooked: any EtherType, so all that Ethernet has, except where a netlink message is.
fn linux(link: u32) -> Vec<Frame> {
    let header = |hardware: u16, kind: u16| {
        if link == 113 { cooked(hardware, kind) } else { cooked2(hardware, kind) }
    };
    let on = |packet: Packet, hardware: u16| {
        let header = header(hardware, packet.kind);
        packet.frame(link, &header)
    };
    let mut frames = vec![
        on(four(link), 1).story("cooked IPv4"),
        on(six(link), 1).story("cooked IPv6"),
        on(four(link), 772).story("cooked, from the loopback device"),
        on(four(link), 0xfffe).story("cooked, from a device without a link header"),
        on(four(link).tag(C_TAG, 5), 1).story("cooked, a tag"),
        on(six(link).tag(C_TAG, 5).tag(S_TAG, 6), 1).story("cooked, two tags"),
        on(four(link).tag(C_TAG, 5).tag(C_TAG, 6).tag(S_TAG, 7), 1)
            .ignored(NotIp)
            .story("cooked, three tags"),
        on(four(link).mpls(2), 1).story("cooked, labels"),
        on(ipv4(400).carry(&icmp(8, 0)).pppoe(), 1).story("cooked, PPPoE"),
        on(four(link), 824).ignored(NotIp).story("netlink, its family like an EtherType"),
        four(link).frame(link, &header(1, 0x0806)).ignored(NotIp).story("cooked ARP"),
        four(link).frame(link, &header(1, 0x0004)).ignored(NotIp).story("cooked LLC"),
        four(link).frame(link, &header(1, 0x0001)).ignored(NotIp).story("cooked 802.3"),
        four(link).trailed(&[0; 9]).frame(link, &header(1, 0x86dd)).ignored(Malformed).story("IPv4 as IPv6"),
    ];
    let netlink = header(824, 0x0800);
    frames.push(ignored(link, &netlink, NotIp).story("netlink, header only"));
    frames.push(ignored(link, &netlink[..netlink.len() - 1], Truncated).story("netlink, cut"));
    frames.extend(cuts(link, &header(1, 0x0800), &four(link)));
    frames
}
