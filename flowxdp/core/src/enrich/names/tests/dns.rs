//! DNS messages built by the letter of RFC 1035.

use super::{alone, flow, short, whole};
use crate::enrich::names::{
    cache::NameCache,
    inspector::{Inspector, Payload},
    verdict::{Answer, Message, Names, Reason, Verdict},
};

/// A name in labels.
fn labels(name: &str) -> Vec<u8> {
    let label = |label: &str| [&short(label.len())[1..], label.as_bytes()].concat();
    name.split('.').flat_map(label).chain([0]).collect()
}

/// A message with one question of a type, and records.
fn message(flags: u16, question: &str, kind: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let words = [0x1234, flags, 1, u16::from_be_bytes(short(records.len())), 0, 0];
    let mut octets: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    octets.extend(labels(question));
    octets.extend([kind, 1].iter().flat_map(|word| word.to_be_bytes()));
    octets.extend(records.concat());
    octets
}

fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let head = [kind.to_be_bytes(), 1_u16.to_be_bytes()].concat();
    [owner, &head, &ttl.to_be_bytes(), &short(data.len()), data].concat()
}

/// A pointer to the question's name.
const QUESTION: [u8; 2] = [0xc0, 12];

fn read(octets: &[u8]) -> Message {
    match alone(17, 53, octets) {
        Verdict::Named(Names::Dns(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// An answer with an alias of an alias, in any order, and a record that answers nothing.
fn aliased() -> Vec<u8> {
    let records = [
        record(&labels("c.example"), 1, 30, &[198, 51, 100, 3]),
        record(&labels("b.example"), 5, 30, &labels("C.example")),
        record(&QUESTION, 5, 30, &labels("b.example")),
        record(&labels("forged.example"), 1, 30, &[6, 6, 6, 6]),
        record(&labels("c.example"), 28, 40, &[0x20; 16]),
    ];
    message(0x8180, "wWw.Example", 1, &records)
}

#[test]
fn answers_are_those_of_the_last_alias_and_the_name_is_the_one_asked_for() {
    let said = read(&aliased());
    assert_eq!(
        (said.question.as_deref(), said.is_response, said.kind, said.code),
        (Some("wWw.Example"), true, 1, 0)
    );
    let of = |address: &str, ttl| Answer { address: address.parse().unwrap(), ttl };
    assert_eq!(said.answers, [of("198.51.100.3", 30), of("2020:2020:2020:2020:2020:2020:2020:2020", 40)]);
    let mut cache = NameCache::new(10);
    let client = "192.0.2.9".parse().unwrap();
    cache.learn(client, &said, 0);
    let name = |address: &str| cache.name(client, address.parse().unwrap(), 0).map(ToOwned::to_owned);
    assert_eq!(name("198.51.100.3").as_deref(), Some("www.example"));
    assert_eq!(name("6.6.6.6"), None);
}

#[test]
fn queries_errors_and_the_root_are_read() {
    let query = read(&message(0x0100, "example.com", 28, &[]));
    assert_eq!((query.is_response, query.kind, query.question.as_deref()), (false, 28, Some("example.com")));
    assert_eq!(read(&message(0x8183, "example.com", 1, &[])).code, 3);
    let root: Vec<u8> =
        message(0x0100, "", 2, &[]).iter().enumerate().filter(|(at, _)| *at != 13).map(|it| *it.1).collect();
    assert_eq!(read(&root).question.as_deref(), Some("."));
    assert_eq!(read(&message(0x0100, "a\u{1b}b.c d", 1, &[])).question.as_deref(), Some("a\\027b.c\\ d"));
}

#[test]
fn faults_have_reasons_and_keep_the_records_in_front_of_them() {
    let address = record(&QUESTION, 1, 30, &[198, 51, 100, 3]);
    let cut = message(0x8180, "example.com", 1, &[address.clone(), address[..8].to_vec()]);
    assert_eq!(read(&cut).answers.len(), 1);
    assert_eq!(read(&message(0x8180, "example.com", 1, &[record(&QUESTION, 1, 30, &[1, 2])])).answers, []);
    assert_eq!(read(&message(0x8180, "example.com", 1, &vec![address; 1000])).answers.len(), 256);
    let mut looped = message(0x0100, "a", 1, &[]);
    looped[12..14].copy_from_slice(&QUESTION);
    for (octets, reason) in [
        (looped.as_slice(), Reason::Malformed),
        (&looped[..11], Reason::Malformed),
        (&message(0x2800, "a", 1, &[]), Reason::Nameless),
        (&[0; 12], Reason::Nameless),
    ] {
        assert_eq!(alone(17, 53, octets), Verdict::Unnamed(reason));
    }
    let cut = Payload { is_cut: true, ..whole(&looped[..14]) };
    assert_eq!(
        Inspector::default().inspect(&flow(17, 53, 40_000), &cut),
        Verdict::Unnamed(Reason::Truncated)
    );
}

#[test]
fn a_message_of_a_stream_comes_in_two_segments() {
    let octets = aliased();
    let stream = [&short(octets.len())[..], &octets].concat();
    let mut inspector = Inspector::default();
    let (first, second) = stream.split_at(40);
    let flow = flow(6, 53, 40_000);
    assert_eq!(inspector.inspect(&flow, &whole(first)), Verdict::Unnamed(Reason::Incomplete));
    let second = Payload { sequence: 1_040, ..whole(second) };
    assert_eq!(inspector.inspect(&flow, &second), Verdict::Named(Names::Dns(read(&octets))));
}
