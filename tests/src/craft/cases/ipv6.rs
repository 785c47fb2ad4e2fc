//! IPv6: extension headers of every kind, in chains up to the limit and beyond it.

use super::super::Ignored::{Malformed, Truncated};
use super::super::extension::{Extension, authentication, destination, fragment, hop_by_hop, jumbo, routing};
use super::super::ipv6::{Ipv6, ipv6};
use super::super::transport::{TCP, Upper, icmpv6, other, tcp, udp};
use super::super::vlan::C_TAG;
use super::super::{CaptureFile, Frame, length16, length32, pcap};

pub(super) fn file() -> CaptureFile {
    let groups =
        [fields(), single(), chains(), authentication_lengths(), ends(), lengths(), outside(), longer()];
    let more = [offloaded(), jumbograms(), no_jumbograms()];
    pcap::ethernet("crafted-ipv6.pcap", [groups.concat(), more.concat()].concat())
}

/// One of each kind that is walked, of the least length.
fn kinds() -> [Extension; 5] {
    [hop_by_hop(0), routing(0), fragment(0, false), authentication(4), destination(0)]
}

fn chain(host: u16, extensions: impl IntoIterator<Item = Extension>) -> Ipv6 {
    extensions.into_iter().fold(ipv6(host), Ipv6::with)
}

fn nothing() -> Upper {
    Upper { octets: Vec::new(), ..other(59) }
}

fn fields() -> Vec<Frame> {
    [(0, 64), (0, 0), (0, 255), (0x0f, 64), (0xf0, 64), (0xb8, 64), (0xff, 1)]
        .map(|(class, hop_limit)| {
            let frame = ipv6(1).class(class).hop_limit(hop_limit).carry(&udp(1000, 53)).ethernet();
            frame.story(format!("traffic class {class:#04x}, hop limit {hop_limit}"))
        })
        .into()
}

fn single() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (host, extension) in (10..).zip(kinds()) {
        for upper in [tcp(1000, 80, 0x12), udp(1000, 53), icmpv6(128, 0), other(89)] {
            let frame = ipv6(host).with(extension.clone()).carry(&upper).ethernet();
            frames.push(frame.story(format!("header {} before protocol {}", extension.kind, upper.protocol)));
        }
    }
    for (host, extension) in (16..).zip([hop_by_hop(3), routing(6), destination(255), hop_by_hop(255)]) {
        let kind = extension.kind;
        frames.push(
            ipv6(host)
                .with(extension)
                .carry(&udp(1000, 53))
                .ethernet()
                .story(format!("a long header {kind}")),
        );
    }
    frames
}

/// Chains of one to nine headers: of one kind, and of all kinds in any order.
fn chains() -> Vec<Frame> {
    let mut frames = Vec::new();
    for length in 1..=10 {
        let host = 20 + length16(length);
        for (kind, extension) in kinds().into_iter().enumerate() {
            let alike = chain(host, vec![extension; length]);
            let mixed = chain(100 + host, kinds().into_iter().cycle().skip(kind).take(length));
            for ip in [alike, mixed] {
                let frame = ip.carry(&udp(1000, 53)).ethernet();
                let frame = if length > 8 { frame.ignored(Malformed) } else { frame };
                frames.push(frame.story(format!("{length} extension headers")));
            }
        }
    }
    // The ninth is too many whether it was captured or not; the eighth must be there.
    let nine = chain(40, vec![destination(0); 9]).carry(&udp(1000, 53)).ethernet();
    for (headers, why) in [(8, Malformed), (7, Truncated)] {
        let frame = nine.clone().cut(14 + 40 + headers * 8).ignored(why);
        frames.push(frame.story(format!("{headers} extension headers captured of nine")));
    }
    let lengths = chain(41, [hop_by_hop(1), authentication(1), destination(2), routing(0)]);
    frames.push(lengths.carry(&tcp(1000, 80, 1)).ethernet().story("headers of many lengths"));
    frames
}

/// Its length is in words of 4 octets, and not always a multiple of 8 octets.
fn authentication_lengths() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (host, words) in (50..).zip([0, 1, 2, 3, 4, 5, 63, 255]) {
        let ip = ipv6(host).with(authentication(words));
        frames.push(ip.carry(&tcp(1000, 80, 0x11)).ethernet().story(format!("AH with length {words}")));
        let chained = ip.with(destination(0)).carry(&udp(1000, 53)).ethernet();
        frames.push(chained.story(format!("AH with length {words} before another")));
    }
    frames
}

/// Next headers at which the walk ends.
fn ends() -> Vec<Frame> {
    let mut frames = Vec::new();
    for protocol in [50, 59, 135, 139, 140, 253, 254, 4, 41, 255] {
        let host = 60 + u16::from(protocol);
        frames.push(ipv6(host).carry(&other(protocol)).ethernet().story(format!("protocol {protocol}")));
        let behind = ipv6(host).with(destination(0)).carry(&other(protocol)).ethernet();
        frames.push(behind.story(format!("protocol {protocol} behind a header")));
    }
    frames.push(ipv6(70).carry(&nothing()).ethernet().story("no next header, payload length 0"));
    let padded = ipv6(71).carry(&nothing()).ethernet().padded(60);
    frames.push(padded.story("no next header, payload length 0, padding"));
    frames
}

/// Octets outside the payload length are not the packet's.
fn lengths() -> Vec<Frame> {
    let mut frames = Vec::new();
    for upper in [tcp(1000, 80, 0x17), udp(1000, 53), icmpv6(1, 4), other(50)] {
        for (host, extensions) in [(80, vec![]), (81, vec![hop_by_hop(0), fragment(0, true)])] {
            let ip = chain(host, extensions.clone());
            // TCP without a length is another matter.
            for inside in usize::from(upper.protocol == TCP && extensions.is_empty())..=16 {
                let payload = length16(extensions.len() * 8 + inside);
                let frame = ip.carry_as(&upper, payload).trailed(&[0xee; 16]).ethernet();
                let frame = if inside < upper.needed { frame.ignored(Truncated) } else { frame };
                let story = format!("protocol {}, {inside} octets are the packet's", upper.protocol);
                frames.push(frame.story(story));
            }
        }
    }
    frames
}

/// Extension headers that are not wholly inside the packet.
fn outside() -> Vec<Frame> {
    let mut frames = Vec::new();
    for extension in kinds() {
        for payload in [0, 1, 7] {
            let ip = ipv6(90).with(extension.clone());
            let frame = ip.carry_as(&udp(1000, 53), payload).ethernet().ignored(Truncated);
            frames.push(frame.story(format!("payload length {payload}, header {}", extension.kind)));
        }
    }
    let long = ipv6(91).with(hop_by_hop(1));
    for payload in 8..16 {
        let frame = long.carry_as(&udp(1000, 53), payload).ethernet().ignored(Truncated);
        frames.push(frame.story(format!("a header of 16 octets in {payload}")));
    }
    let beyond = ipv6(93).with(destination(0)).carry(&udp(1000, 53)).patch(41, &[30]).ethernet();
    frames.push(beyond.ignored(Truncated).story("an extension header longer than the packet"));
    let short_ah = ipv6(94).with(authentication(0)).carry_as(&other(59), 7).ethernet();
    frames.push(short_ah.ignored(Truncated).story("an authentication header of 8 octets in 7"));
    frames
}

/// A payload length of 0 in front of TCP, as BIG TCP leaves it: the packet is as long as the frame says.
fn offloaded() -> Vec<Frame> {
    let whole = || ipv6(100).carry_as(&tcp(1000, 80, 0x18).payload(3000), 0);
    let mut frames = vec![
        whole().ethernet().story("payload length 0, TCP of 3060 octets"),
        whole().tag(C_TAG, 7).ethernet().story("the same behind a tag"),
        whole().ethernet().padded(3080).octets(3066).story("the same, and six octets behind it"),
        whole().ethernet().cut(96).story("the same, cut behind the flags"),
        whole().ethernet().cut(60).story("the same, cut behind the ports"),
        whole().ethernet().cut(57).story("the same, cut in the ports"),
        whole().ethernet().cut(96).wire(70_074).octets(70_060).story("70,060 octets, cut"),
    ];
    let short = ipv6(101).carry_as(&tcp(1000, 80, 2), 0).ethernet();
    for octets in 54..58 {
        let frame = short.clone().short(octets, Truncated);
        frames.push(frame.story(format!("payload length 0, {octets} octets on the wire")));
    }
    for extension in [routing(0), fragment(0, false), authentication(4), destination(0)] {
        let frame = ipv6(102).with(extension.clone()).carry_as(&tcp(1000, 80, 2), 0).ethernet();
        let story = format!("payload length 0, header {} before TCP", extension.kind);
        frames.push(frame.ignored(Truncated).story(story));
    }
    frames
}

/// Lengths in a jumbo payload option (RFC 2675).
fn jumbograms() -> Vec<Frame> {
    let mut frames = Vec::new();
    for (host, upper) in (110..).zip([tcp(1000, 80, 0x18), udp(1000, 53), icmpv6(128, 0), other(50)]) {
        let upper = upper.payload(1000);
        let length = 8 + length32(upper.octets.len());
        let of = |length| ipv6(host).with(jumbo(0, length)).carry_as(&upper, 0);
        let protocol = upper.protocol;
        for behind in [0, 1, 900] {
            let frame = of(length - behind).ethernet();
            frames.push(frame.story(format!("a jumbogram, protocol {protocol}, {behind} octets behind it")));
        }
        for longer in [length + 1, 70_000, u32::MAX - 39, u32::MAX] {
            let frame = of(longer).ethernet().ignored(Malformed);
            frames.push(frame.story(format!("a jumbogram of {longer} octets in a shorter frame")));
        }
        let cut = of(70_028).ethernet().wire(70_082).cut(96);
        frames.push(cut.story(format!("a jumbogram of 70,068 octets, protocol {protocol}, cut")));
    }
    let long = ipv6(115).with(jumbo(2, 24 + 20)).with(destination(1)).with(fragment(0, true));
    let frame = long.carry_as(&tcp(1000, 80, 0x10).payload(100), 0).ethernet();
    frames.push(frame.ignored(Truncated).story("a jumbogram that ends in its headers"));
    let tagged = ipv6(116).with(jumbo(0, 28)).carry_as(&tcp(1000, 80, 0x10), 0).tag(C_TAG, 3).ethernet();
    frames.push(tagged.clone().story("a jumbogram behind a tag"));
    for octets in [58 + 7, 58 + 8, 58 + 11, 58 + 12, 58 + 21, 58 + 22] {
        frames.push(tagged.clone().cut(octets).story(format!("the same, {octets} octets captured")));
    }
    frames
}

/// Where 40 octets are all of the packet: no jumbo payload option comes first.
fn no_jumbograms() -> Vec<Frame> {
    let segment = tcp(1000, 80, 0x10).payload(100);
    let options = |octets: &[u8; 6]| {
        let mut extension = hop_by_hop(0);
        extension.octets.splice(2..8, octets.iter().copied());
        extension
    };
    let without = [
        ("PadN", hop_by_hop(0)),
        ("of another length", options(&[0xc2, 3, 0, 0, 0, 128])),
        ("of another type", options(&[0xc3, 4, 0, 0, 0, 128])),
        ("behind a Pad1", options(&[0, 0xc2, 4, 0, 0, 0])),
        ("in destination options", Extension { kind: 60, jumbo: None, ..jumbo(0, 128) }),
    ];
    let mut frames = Vec::new();
    for (story, extension) in without {
        let frame = ipv6(120).with(extension).carry_as(&segment, 0).ethernet().ignored(Truncated);
        frames.push(frame.story(format!("payload length 0, jumbo payload option {story}")));
    }
    for length in [0, 7] {
        let frame = ipv6(121).with(jumbo(0, length)).carry_as(&segment, 0).ethernet().ignored(Truncated);
        frames.push(frame.story(format!("a jumbo payload of {length} octets ends in its option")));
    }
    // The length that RFC 2675 forbids beside the option counts.
    frames.push(ipv6(122).with(jumbo(0, 60)).carry(&segment).ethernet().story("an option beside a length"));
    frames
}

fn longer() -> Vec<Frame> {
    let mut frames = Vec::new();
    for excess in [0, 1, 200, 65_000] {
        let frame = ipv6(95).carry_as(&udp(1000, 53), 8 + excess).ethernet();
        let frame = if excess == 0 { frame } else { frame.ignored(Malformed) };
        frames.push(frame.story(format!("{excess} octets longer than the frame")));
    }
    let unseen = ipv6(96).carry_as(&tcp(1000, 80, 0x18), 5000).ethernet();
    frames.push(unseen.clone().wire(5054).story("the rest was not captured"));
    frames.push(unseen.wire(5053).ignored(Malformed).story("the rest was one octet less"));
    let whole = ipv6(97).with(hop_by_hop(1)).carry(&udp(1000, 53)).ethernet();
    for octets in 14..78 {
        let why = if octets < 54 { Truncated } else { Malformed };
        frames.push(whole.clone().short(octets, why).story(format!("a frame that ends at {octets}")));
    }
    frames
}
