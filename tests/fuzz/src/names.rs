//! The target `names`: any octets as payloads of a few flows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use flowxdp_core::enrich::names::{
    cache::NameCache,
    flows::{FlowNames, Name},
    inspector::{Direction, Inspector, Payload},
    samples::{Initial, crypto},
    verdict::{Hello, Message, Names, Verdict},
};
use flowxdp_core::record::{Addresses, EndReason, FlowRecord};
use flowxdp_core::samples;

/// Payloads of an input that are taken.
const MOST: usize = 24;

/// Octets of the longest name as text: 255, each of which may be escaped.
const LONGEST: usize = 255 * 4;

/// Protocol and ports of the flows.
const FLOWS: [(u8, [u16; 2]); 8] = [
    (6, [40_000, 443]),
    (6, [443, 40_000]),
    (6, [40_000, 8000]),
    (6, [40_000, 53]),
    (17, [40_000, 443]),
    (17, [443, 40_000]),
    (17, [40_000, 53]),
    (17, [53, 40_000]),
];

/// Packets that the fuzzer could not protect by itself: it gives frames, or octets of the handshake.
const FRAMES: u8 = 0x10;
const HANDSHAKE: u8 = 0x20;

/// The payload has more octets than were captured.
const CUT: u8 = 0x40;

/// A payload of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its flow, and how its octets are to be taken.
    pub kind: u8,
    /// TCP sequence number, or offset in the handshake.
    pub sequence: u16,
    /// Its octets.
    pub octets: Vec<u8>,
}

/// The payloads of an input: a kind, a sequence number and a length in front of each.
fn decode(mut data: &[u8]) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some((&[kind, a, b, c, d], rest)) = data.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([c, d])).min(rest.len());
        let (octets, behind) = rest.split_at(length);
        steps.push(Step { kind, sequence: u16::from_le_bytes([a, b]), octets: octets.to_vec() });
        data = behind;
        if steps.len() == MOST {
            break;
        }
    }
    steps
}

/// The input for payloads.
#[must_use]
pub fn encode(steps: &[Step]) -> Vec<u8> {
    let mut data = Vec::new();
    for Step { kind, sequence, octets } in steps {
        let length = u16::try_from(octets.len()).unwrap_or(u16::MAX);
        data.push(*kind);
        data.extend(sequence.to_le_bytes());
        data.extend(length.to_le_bytes());
        data.extend(octets.iter().take(length.into()));
    }
    data
}

/// One input of the fuzzer.
///
/// # Panics
///
/// If a property fails.
pub fn target(data: &[u8]) {
    let steps = decode(data);
    let verdicts = run(&steps);
    assert_eq!(verdicts, run(&steps), "a second inspector differs");
}

/// The verdicts on payloads in their order.
fn run(steps: &[Step]) -> Vec<Verdict> {
    let (mut inspector, mut cache) = (Inspector::default(), NameCache::new(16));
    let mut flows = FlowNames::new(4, 16);
    let mut verdicts = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let (protocol, ports) = FLOWS[usize::from(step.kind) % FLOWS.len()];
        let address = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        let flow = Direction { source: address(1), destination: address(2), protocol, ports };
        let octets = payload(step, number);
        let is_cut = step.kind & CUT != 0;
        let payload = Payload { sequence: step.sequence.into(), octets: &octets, is_cut };
        let verdict = inspector.inspect(&flow, &payload);
        if let Verdict::Named(names) = &verdict {
            check(names);
            if let Names::Dns(message) = names {
                learned(message, &mut cache, number as u64);
            }
        }
        flows.learn(&flow, &verdict, number as u64);
        recorded(&mut flows, &flow, &verdict, number as u64);
        if let Verdict::Named(Names::Dns(message)) = &verdict {
            resolved(message, &mut flows, number);
        }
        verdicts.push(verdict);
    }
    FLOWS.iter().for_each(|(protocol, ports)| ended(&mut flows, *protocol, *ports));
    verdicts
}

/// Both records of a flow have the name that its last message said.
fn recorded(flows: &mut FlowNames, flow: &Direction, verdict: &Verdict, now: u64) {
    let [from, to] = flow.ports;
    let back = Direction { source: flow.destination, destination: flow.source, ports: [to, from], ..*flow };
    for direction in [*flow, back] {
        let names = flows.names(&record(&direction, now)).and_then(|names| names.name.clone());
        let Verdict::Named(said) = verdict else { continue };
        let expected = match said {
            Names::Tls(hello) | Names::Quic(hello) => {
                hello.server_name.clone().map(|it| Name::Server((*it).into()))
            }
            Names::Http(request) => request.host.clone().map(|it| Name::Host((*it).into())),
            Names::Dns(message) => message.question.clone().map(|it| Name::Dns((*it).into())),
        };
        assert!(expected.is_none() || names == expected, "{names:?}, said {expected:?}");
    }
}

/// The next flow of a client to each address that it had resolved has the name, in lower case.
fn resolved(message: &Message, flows: &mut FlowNames, number: usize) {
    let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    let asked = message.question.as_ref().map(|name| name.to_ascii_lowercase());
    let Some(last) = message.answers.last().filter(|_| message.is_response) else { return };
    let ports = [u16::try_from(number).unwrap_or_default(), 9];
    let source = if last.address.is_ipv4() { client } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
    let flow = Direction { source, destination: last.address, protocol: 132, ports };
    let names = flows.names(&record(&flow, number as u64)).and_then(|names| names.name.clone());
    let expected = asked.filter(|_| source == client).map(|name| Name::Dns(name.into()));
    assert_eq!(names, expected, "resolved {message:?}");
}

/// A later flow with the same addresses and ports has no name of an earlier one's messages, and an aggregate has none.
fn ended(flows: &mut FlowNames, protocol: u8, ports: [u16; 2]) {
    let address = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
    let flow = Direction { source: address(1), destination: address(2), protocol, ports };
    let later = record(&flow, 1 << 40).with(|record| record.tcp_flags = 2);
    assert_eq!(flows.names(&later.with(|record| record.end_reason = EndReason::Aggregated)), None);
    assert_eq!(flows.names(&later), None);
}

/// A record of one packet of a flow.
fn record(flow: &Direction, now: u64) -> FlowRecord {
    samples::udp(flow.ports[0]).with(|record| {
        record.key.addresses = match (flow.source, flow.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Addresses::V4 { source: source.octets(), destination: destination.octets() }
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                Addresses::V6 { source: source.octets(), destination: destination.octets() }
            }
            mixed => unreachable!("a flow of two IP versions: {mixed:?}"),
        };
        (record.key.protocol, record.key.destination_port) = (flow.protocol, flow.ports[1]);
        (record.start_ms, record.end_ms) = (now, now);
    })
}

/// The octets of a payload, protected as a QUIC packet where its kind asks for it.
fn payload(step: &Step, number: usize) -> Vec<u8> {
    let frames = match step.kind & (FRAMES | HANDSHAKE) {
        FRAMES => step.octets.clone(),
        HANDSHAKE => crypto(step.sequence & 0x3fff, &step.octets),
        _ => return step.octets.clone(),
    };
    let initial = Initial {
        version: usize::from(step.kind >> 7),
        side: rustls::Side::Client,
        chosen: b"chosen first",
        destination: b"chosen first",
        number: u8::try_from(number).unwrap_or_default(),
        frames: &frames,
    };
    initial.protected().unwrap_or_else(|| step.octets.clone())
}

/// Names are short, safe on a terminal, and never empty.
fn check(names: &Names) {
    let mut all: Vec<&str> = Vec::new();
    match names {
        Names::Tls(hello) | Names::Quic(hello) => {
            let Hello { server_name, alpn, .. } = hello;
            all.extend(server_name.as_deref());
            all.extend(alpn.iter().map(AsRef::as_ref));
        }
        Names::Http(request) => all.extend(request.host.as_deref()),
        Names::Dns(message) => {
            all.extend(message.question.as_deref());
            assert!(message.is_response || message.answers.is_empty(), "a query has answers");
            assert!(message.answers.len() <= 256, "too many answers");
        }
    }
    for name in all {
        assert!(!name.is_empty() && name.len() <= LONGEST, "a name of {} octets", name.len());
        assert!(name.bytes().all(|octet| (b' '..=b'~').contains(&octet)), "a terminal acts on {name:?}");
    }
}

/// The client finds the name that it asked for behind each of its answers.
fn learned(message: &Message, cache: &mut NameCache, now: u64) {
    let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    cache.learn(client, message, now);
    let asked = message.question.as_ref().map(|name| name.to_ascii_lowercase());
    for answer in message.answers.iter().rev().take(8) {
        assert_eq!(cache.name(client, answer.address, now), asked.as_deref(), "the cache has another name");
    }
}
