//! Names of flows: both directions, later connections, and bounds.

use std::net::Ipv4Addr;

use super::*;
use crate::enrich::names::verdict::{Answer, Message, Reason, Request};
use crate::samples;

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const UNNAMED: Verdict = Verdict::Unnamed(Reason::Encrypted);

fn flow(protocol: u8, port: u16) -> Direction {
    Direction { source: CLIENT.into(), destination: SERVER.into(), protocol, ports: [40_000, port] }
}

fn back(flow: Direction) -> Direction {
    let [from, to] = flow.ports;
    Direction { source: flow.destination, destination: flow.source, ports: [to, from], ..flow }
}

/// A record of these packets' times.
fn record(flow: Direction, start_ms: u64, end_ms: u64, tcp_flags: u16) -> FlowRecord {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (flow.source, flow.destination) else {
        unreachable!()
    };
    samples::udp(flow.ports[0]).with(|it| {
        it.key.addresses = Addresses::V4 { source: source.octets(), destination: destination.octets() };
        (it.key.protocol, it.key.destination_port) = (flow.protocol, flow.ports[1]);
        (it.start_ms, it.end_ms, it.tcp_flags) = (start_ms, end_ms, tcp_flags);
    })
}

fn hello(name: Option<&str>, alpn: &[&str]) -> Hello {
    let alpn = alpn.iter().map(|name| (*name).into()).collect();
    Hello { server_name: name.map(Into::into), alpn, has_ech: false }
}

fn tls(name: &str) -> Verdict {
    Verdict::Named(Names::Tls(hello(Some(name), &[])))
}

fn answer(name: &str) -> Verdict {
    let answers = vec![Answer { address: SERVER.into(), ttl: 60 }];
    Verdict::Named(Names::Dns(Message {
        is_response: true,
        question: Some(name.into()),
        kind: 1,
        code: 0,
        answers,
    }))
}

/// The resolver's answer to the client.
fn to_client() -> Direction {
    Direction { source: Ipv4Addr::new(192, 0, 2, 53).into(), ..back(flow(17, 53)) }
}

fn server(names: Option<&FlowName>) -> Option<&str> {
    match names?.name.as_ref()? {
        Name::Server(name) => Some(name),
        _ => None,
    }
}

fn dns(names: Option<&FlowName>) -> Option<&str> {
    match names?.name.as_ref()? {
        Name::Dns(name) => Some(name),
        _ => None,
    }
}

#[test]
fn both_directions_have_the_name_and_every_later_record_of_the_flow() {
    let mut names = FlowNames::new(16, 16);
    let flow = flow(6, 443);
    names.learn(&flow, &tls("a.example"), 1_010);
    names.learn(&flow, &UNNAMED, 1_020);
    for (direction, start, end, flags) in [
        (flow, 1_000, 60_000, SYN | 0x10),
        (back(flow), 1_005, 60_000, SYN | 0x10),
        (back(flow), 60_001, 200_000, 0x10),
        (flow, 900_000_000, 900_000_001, 0x11),
    ] {
        let asked = names.names(&record(direction, start, end, flags));
        assert_eq!(server(asked), Some("a.example"), "{start}");
        assert_eq!(asked.unwrap().application, Application::HTTPS);
    }
    assert_eq!(names.names(&record(Direction { protocol: 17, ..flow }, 1, 1, 0)), None);
}

#[test]
fn a_later_connection_with_the_same_ports_has_no_name_of_the_former_one() {
    let mut names = FlowNames::new(16, 16);
    let flow = flow(6, 443);
    names.learn(&flow, &tls("a.example"), 1_010);
    assert_eq!(server(names.names(&record(flow, 1_000, 1_500, SYN))), Some("a.example"));
    assert_eq!(names.names(&record(flow, 2_000, 2_500, SYN | 0x10)), None);
    names.learn(&flow, &tls("b.example"), 3_010);
    assert_eq!(server(names.names(&record(flow, 3_000, 3_500, SYN))), Some("b.example"));
    // Without connections, a long silence ends a flow.
    let flow = Direction { protocol: 17, ..flow };
    names.learn(&flow, &Verdict::Named(Names::Quic(hello(Some("c.example"), &["h3"]))), 1_000);
    assert_eq!(server(names.names(&record(flow, 1_000, 200_000, 0))), Some("c.example"));
    assert_eq!(server(names.names(&record(back(flow), 400_000, 500_000, 0))), Some("c.example"));
    assert_eq!(names.names(&record(flow, 800_001, 800_002, 0)), None);
}

#[test]
fn a_flow_without_a_name_has_the_one_that_its_client_had_resolved() {
    let mut names = FlowNames::new(16, 16);
    names.learn(&to_client(), &answer("wWw.Example"), 1_000);
    // As asked in the flow of DNS itself, in both directions.
    for direction in [to_client(), back(to_client())] {
        let asked = names.names(&record(direction, 999, 1_000, 0));
        assert_eq!((dns(asked), asked.unwrap().application), (Some("wWw.Example"), Application::DOMAIN));
    }
    let ssh = flow(6, 22);
    names.learn(&back(ssh), &Verdict::Unnamed(Reason::Unknown), 1_020);
    for (direction, start) in [(ssh, 1_010), (back(ssh), 1_015), (ssh, 90_000_000)] {
        let asked = names.names(&record(direction, start, start + 10, 0x10));
        assert_eq!((dns(asked), asked.unwrap().application), (Some("www.example"), Application::UNKNOWN));
    }
    // No payload at all, in both directions; and a hello without a name.
    for (direction, start) in [(flow(6, 23), 1_500), (back(flow(6, 23)), 1_600)] {
        assert_eq!(dns(names.names(&record(direction, start, start + 10, SYN))), Some("www.example"));
    }
    names.learn(&flow(6, 993), &Verdict::Named(Names::Tls(hello(None, &[]))), 1_700);
    let asked = names.names(&record(flow(6, 993), 1_700, 1_700, 0));
    assert_eq!(
        (dns(asked), asked.unwrap().application),
        (Some("www.example"), Application::over_tls(993).unwrap())
    );
    // Resolved by another, later than the flow, or too long ago.
    let other = Direction { source: Ipv4Addr::new(192, 0, 2, 9).into(), ..flow(6, 24) };
    assert_eq!(names.names(&record(other, 2_000, 2_000, 0)), None);
    assert_eq!(
        names.names(&record(flow(6, 25), 1, 2_000, 0)).and_then(|it| it.name.clone()),
        Some(Name::Dns("www.example".into()))
    );
    let mut names = FlowNames::new(16, 16);
    names.learn(&to_client(), &answer("late.example"), 10_000);
    for start in [5_000, 90_000] {
        assert_eq!(names.names(&record(flow(6, 26), start, 90_000, 0)), None, "{start}");
    }
}

#[test]
fn an_application_is_known_by_its_protocol_and_never_by_its_port_alone() {
    let of = |hello: Hello, port| application(&Names::Tls(hello), port).number();
    assert_eq!(of(hello(None, &[]), 443), 0x0300_01bb);
    assert_eq!(of(hello(None, &["h2", "http/1.1"]), 8443), 0x0300_01bb);
    assert_eq!(of(hello(None, &["xmpp-client"]), 443), Application::TLS.number());
    assert_eq!(of(hello(None, &[]), 12_345), Application::TLS.number());
    assert_eq!(of(hello(None, &["dot"]), 8853), 0x0300_0355);
    assert_eq!(of(hello(None, &["imap"]), 993), 0x0300_03e1);
    assert_eq!(application(&Names::Quic(hello(None, &["hq-interop"])), 4433), Application::QUIC);
    assert_eq!(application(&Names::Http(Request::default()), 8080), Application::HTTP);
    let mut names = FlowNames::new(16, 16);
    names.learn(&flow(6, 443), &UNNAMED, 1);
    assert_eq!(names.names(&record(flow(6, 443), 1, 1, 0)), None);
}

#[test]
fn the_host_of_the_last_request_is_the_name_and_an_aggregate_has_none() {
    let mut names = FlowNames::new(16, 16);
    for host in ["a.example", "b.example"] {
        names.learn(&flow(6, 80), &Verdict::Named(Names::Http(Request { host: Some(host.into()) })), 5);
    }
    let record = record(flow(6, 80), 5, 5, 0);
    let expected = FlowName { application: Application::HTTP, name: Some(Name::Host("b.example".into())) };
    assert_eq!(names.names(&record), Some(&expected));
    assert_eq!(names.names(&record.with(|flow| flow.end_reason = EndReason::Aggregated)), None);
}

#[test]
fn the_number_is_bounded_and_a_flow_with_records_stays() {
    let mut names = FlowNames::new(64, 16);
    let at = |port| flow(6, port);
    names.learn(&at(1), &tls("stays.example"), 1);
    for port in 2..1_000 {
        names.learn(&at(port), &tls("goes.example"), 1);
        assert_eq!(server(names.names(&record(at(1), 1, 1, 0))), Some("stays.example"), "{port}");
    }
    let left = (2..1_000).filter(|port| names.names(&record(at(*port), 1, 1, 0)).is_some()).count();
    assert!((16..64).contains(&left), "{left}");
}
