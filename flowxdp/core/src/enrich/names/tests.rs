//! Verdicts over messages of another's making: the TLS library's hellos, divided in every way, and messages built by
//! the examples of their RFCs.

mod dns;
mod quic;

use std::{net::Ipv4Addr, sync::Arc};

use proptest::prelude::*;
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::ring::default_provider};

use super::{
    inspector::{Direction, FLOWS, Inspector, Payload},
    verdict::{Hello, Names, Reason, Request, Verdict},
};

/// A flow to a port, from a source port.
fn flow(protocol: u8, from: u16, to: u16) -> Direction {
    let address = |last| Ipv4Addr::new(192, 0, 2, last).into();
    Direction { source: address(1), destination: address(2), protocol, ports: [from, to] }
}

fn whole(octets: &[u8]) -> Payload<'_> {
    Payload { sequence: 1_000, octets, is_cut: false }
}

/// The configuration of a client that sends these ALPN names.
fn client(alpn: &[&str]) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let mut config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// The first record of the TLS library's client.
fn record(name: &'static str, alpn: &[&str]) -> Vec<u8> {
    let mut octets = Vec::new();
    ClientConnection::new(client(alpn), name.try_into().unwrap()).unwrap().write_tls(&mut octets).unwrap();
    octets
}

fn hello(name: &str, alpn: &[&str]) -> Hello {
    let alpn = alpn.iter().map(|name| (*name).into()).collect();
    Hello { server_name: Some(name.into()), alpn, has_ech: false }
}

/// A length in two octets.
fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap().to_be_bytes()
}

/// A handshake message in records of at most so many octets.
fn records(message: &[u8], most: usize) -> Vec<u8> {
    let record = |octets: &[u8]| [&[22, 3, 1], &short(octets.len())[..], octets].concat();
    message.chunks(most).flat_map(record).collect()
}

/// The verdict on a payload of a flow of its own.
fn alone(protocol: u8, port: u16, octets: &[u8]) -> Verdict {
    Inspector::default().inspect(&flow(protocol, 40_000, port), &whole(octets))
}

proptest! {
    #[test]
    fn a_hello_is_read_from_three_segments_in_any_order(
        first in 1_usize..120, second in 1_usize..120, order in Just([0, 1, 2]).prop_shuffle(), most in 20_usize..400,
    ) {
        let octets = records(&record("www.example.com", &["h2", "http/1.1"])[5..], most);
        let (first, second) = (first, first + second);
        let parts = [(0, first), (first, second), (second, octets.len())];
        let mut inspector = Inspector::default();
        let verdicts = order.map(|it| {
            let (from, to) = parts[it];
            let sequence = (u32::MAX - 100).wrapping_add(u32::try_from(from).unwrap());
            inspector.inspect(&flow(6, 40_000, 443), &Payload { sequence, octets: &octets[from..to], is_cut: false })
        });
        // Two segments may hold all of it.
        let at = verdicts.iter().position(|it| matches!(it, Verdict::Named(_)));
        prop_assert!(at.is_some(), "{:?}", verdicts);
        let (before, named) = verdicts.split_at(at.unwrap());
        // A later record that comes first may read as anything but a name.
        prop_assert!(before.iter().all(|it| matches!(it, Verdict::Unnamed(_))));
        prop_assert_eq!(&named[0], &Verdict::Named(Names::Tls(hello("www.example.com", &["h2", "http/1.1"]))));
    }

    #[test]
    fn no_octets_are_a_panic_and_no_prefix_of_a_hello_is_a_name(
        octets in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200, port in prop_oneof![Just(53), Just(443)],
    ) {
        for protocol in [6, 17] {
            let mut inspector = Inspector::default();
            for octets in [&octets, &[&[22, 3, 1], octets.as_slice()].concat(), &[&[0xc3, 0, 0, 0, 1, 8], octets.as_slice()].concat()] {
                inspector.inspect(&flow(protocol, 40_000, port), &whole(octets));
            }
        }
        let record = record("www.example.com", &[]);
        let cut = alone(6, 1234, &record[..cut.min(record.len() - 1)]);
        prop_assert!(matches!(cut, Verdict::Unnamed(Reason::Incomplete | Reason::Nameless)), "{:?}", cut);
    }
}

#[test]
fn an_encrypted_hello_says_so_and_keeps_its_outer_name() {
    let mut octets = record("outer.example", &[]);
    let extension = [0xfe, 0x0d, 0, 3, 0, 1, 2];
    octets.extend(extension);
    // The lengths of record, message and extensions grow with it: the last stands behind cipher suites and compression.
    let session = usize::from(octets[43]);
    let suites = 44 + session;
    let compression = suites + 2 + usize::from(u16::from_be_bytes([octets[suites], octets[suites + 1]]));
    for at in [3, 7, compression + 1 + usize::from(octets[compression])] {
        let length =
            u16::from_be_bytes([octets[at], octets[at + 1]]) + u16::try_from(extension.len()).unwrap();
        octets[at..at + 2].copy_from_slice(&length.to_be_bytes());
    }
    let expected = Hello { has_ech: true, ..hello("outer.example", &[]) };
    assert_eq!(alone(6, 443, &octets), Verdict::Named(Names::Tls(expected)));
}

#[test]
fn other_records_of_tls_have_reasons() {
    for (octets, reason) in [
        (vec![23, 3, 3, 0, 3, 1, 2, 3], Reason::Encrypted),
        (records(&[2, 0, 0, 2, 3, 3], 100), Reason::Nameless),
        (records(&[1, 0, 0, 2, 3, 3], 100), Reason::Malformed),
        (records(&[1, 1, 0, 0, 3, 3], 100), Reason::TooLong),
        (vec![22, 3, 1, 0, 0], Reason::Malformed),
        (vec![22, 4, 1, 0, 0], Reason::Unknown),
    ] {
        assert_eq!(alone(6, 4430, &octets), Verdict::Unnamed(reason), "{octets:02x?}");
    }
    let record = record("www.example.com", &[]);
    let cut = Payload { is_cut: true, ..whole(&record[..50]) };
    let verdict = Inspector::default().inspect(&flow(6, 40_000, 443), &cut);
    assert_eq!(verdict, Verdict::Unnamed(Reason::Truncated));
}

#[test]
fn requests_name_their_host() {
    let named = |host: Option<&str>| Verdict::Named(Names::Http(Request { host: host.map(Into::into) }));
    for (octets, verdict) in [
        ("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n", named(Some("www.example.com"))),
        ("GET / HTTP/1.1\r\nAccept: */*\r\nhOST:  [::1]:8080 \r\nA: b", named(Some("[::1]:8080"))),
        ("BASELINE-CONTROL / HTTP/1.1\r\nHost: a\r\n\r\n", named(Some("a"))),
        ("GET / HTTP/1.0\r\n\r\n", named(None)),
        ("GET / HTTP/1.1\r\nHost: www.exa", Verdict::Unnamed(Reason::Incomplete)),
        ("HTTP/1.1 200 OK\r\nHost: no\r\n", Verdict::Unnamed(Reason::Nameless)),
        ("USER anonymous\r\n", Verdict::Unnamed(Reason::Unknown)),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Verdict::Unnamed(Reason::Unknown)),
        ("GET / HTTP/1.1\r\nA b: c\r\n\r\n", Verdict::Unnamed(Reason::Malformed)),
    ] {
        assert_eq!(alone(6, 8000, octets.as_bytes()), verdict, "{octets}");
    }
}

#[test]
fn a_flood_of_beginnings_holds_no_more_flows_than_agreed() {
    let mut inspector = Inspector::default();
    let octets = [[22, 3, 1, 0x40, 0, 1, 0, 0x20, 0].as_slice(), &[7; 1_000]].concat();
    const { assert!(FLOWS < 5_000) };
    for port in 0..5_000 {
        let verdict = inspector.inspect(&flow(6, port, 443), &whole(&octets));
        assert_eq!(verdict, Verdict::Unnamed(Reason::Incomplete));
    }
    let again = |port: u16, inspector: &mut Inspector| {
        (0..2)
            .map(|it| {
                inspector.inspect(&flow(6, port, 443), &Payload { sequence: 9_000 + it, ..whole(&octets) })
            })
            .last()
    };
    // The newest flow still counts its segments; the oldest was forgotten and begins again.
    assert_eq!(again(4_999, &mut inspector), Some(Verdict::Unnamed(Reason::TooLong)));
    assert_eq!(again(0, &mut inspector), Some(Verdict::Unnamed(Reason::Incomplete)));
}
