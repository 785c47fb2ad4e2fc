//! PPPoE sessions: their IP packets, and the rules of their header.

use super::super::Ignored::{Malformed, NotIp, Truncated};
use super::super::ethernet::not_ip;
use super::super::ipv4::ipv4;
use super::super::ipv6::ipv6;
use super::super::pppoe::SESSION;
use super::super::transport::{tcp, udp};
use super::super::vlan::{C_TAG, S_TAG};
use super::super::{CaptureFile, Frame, Packet, pcap};

pub(super) fn file() -> CaptureFile {
    pcap::ethernet("crafted-pppoe.pcap", [sessions(), protocols(), faults(), cuts()].concat())
}

fn packet(host: u16) -> Packet {
    ipv4(host).carry(&tcp(1000, 80, 0x12))
}

fn sessions() -> Vec<Frame> {
    let six = |host| ipv6(host).carry(&udp(1000, 53));
    vec![
        packet(1).pppoe().ethernet().story("IPv4"),
        six(1).pppoe().ethernet().story("IPv6"),
        packet(2).pppoe().tag(C_TAG, 7).ethernet().story("IPv4 behind a tag"),
        six(2).pppoe().tag(S_TAG, 8).ethernet().story("IPv6 behind a tag"),
        packet(3).pppoe().tag(C_TAG, 7).tag(S_TAG, 9).ethernet().story("behind two tags"),
        ipv4(4).carry(&udp(1, 2)).pppoe().ethernet().padded(60).story("with padding"),
        // The parser does not read the length field: the IP packet has its own.
        packet(5).pppoe().patch(4, &[0, 0]).ethernet().story("length field 0"),
        packet(6).pppoe().patch(4, &[0xff, 0xff]).ethernet().story("length field 65535"),
        packet(7).pppoe().patch(2, &[0, 0]).ethernet().story("session 0"),
        packet(8).pppoe().patch(2, &[0xff, 0xff]).ethernet().story("session 65535"),
    ]
}

/// PPP protocols other than IPv4 and IPv6.
fn protocols() -> Vec<Frame> {
    [0xc021, 0x8021, 0x8057, 0xc023, 0xc223, 0x0281, 0x0283, 0x0000, 0x0022, 0x2145, 0x5760]
        .map(|protocol| {
            let frame = packet(10).pppoe_as([0x11, 0], protocol).ethernet();
            frame.ignored(NotIp).story(format!("PPP protocol {protocol:#06x}"))
        })
        .into()
}

fn faults() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (version_code, story) in [
        ([0x01, 0], "version 0"),
        ([0x21, 0], "version 2"),
        ([0x10, 0], "type 0"),
        ([0x12, 0], "type 2"),
        ([0x11, 1], "code 1"),
        ([0x11, 0x09], "code of a discovery packet"),
        ([0x11, 0xff], "code 255"),
    ] {
        for protocol in [0x0021, 0xc021] {
            let frame = packet(11).pppoe_as(version_code, protocol).ethernet();
            frames.push(frame.ignored(Malformed).story(story));
        }
    }
    let mismatch = packet(12).pppoe_as([0x11, 0], 0x0057).trailed(&[0; 20]).ethernet();
    frames.push(mismatch.ignored(Malformed).story("an IPv4 packet as IPv6"));
    let short = packet(13).pppoe().ethernet();
    let octets = short.data.len() - 1;
    frames.push(short.short(octets, Malformed).story("the IP packet is longer than the frame"));
    let discovery = not_ip(0x8863, &[0x11, 9, 0, 0, 0, 0]);
    frames.push(discovery.story("discovery has an EtherType of its own"));
    frames
}

/// The header must be there before it is judged.
fn cuts() -> Vec<Frame> {
    let mut frames = Vec::new();
    for octets in 14..=22 {
        let bad = packet(14).pppoe_as([0x21, 9], 0xc021).ethernet();
        let why = if octets < 22 { Truncated } else { Malformed };
        frames.push(bad.short(octets, why).story(format!("{octets} octets of a bad header")));
    }
    for octets in [22, 41, 42, 45, 46] {
        let good = packet(15).pppoe().ethernet().cut(octets);
        frames.push(good.story(format!("{octets} octets captured")));
    }
    let empty = not_ip(SESSION, &[0x11, 0, 0, 1, 0, 2, 0, 0x21]);
    frames.push(empty.ignored(Truncated).story("a session without an IP packet"));
    frames
}
