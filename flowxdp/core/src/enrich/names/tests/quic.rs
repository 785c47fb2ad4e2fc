//! Initial packets that the TLS library protects, as a client divides its hello over them.

use proptest::prelude::*;
use rustls::{
    Side,
    quic::{self, ClientConnection},
};

use super::{client, flow, hello, whole};
use crate::enrich::names::{
    inspector::{Inspector, Payload},
    samples::{Initial, VERSIONS, crypto},
    verdict::{Names, Reason, Verdict},
};

const ALPN: [&str; 2] = ["h3", "h3-29"];

/// The handshake octets of the TLS library's client.
fn handshake(version: quic::Version) -> Vec<u8> {
    let name = "www.example.com".try_into().unwrap();
    let mut connection = ClientConnection::new(client(&ALPN), version, name, vec![7; 20]).unwrap();
    let mut octets = Vec::new();
    connection.write_hs(&mut octets);
    octets
}

/// A packet of a side of the connection, protected with the keys of `chosen`.
fn packet(
    version: usize,
    side: Side,
    (chosen, destination): (&[u8], &[u8]),
    number: u8,
    frames: &[u8],
) -> Vec<u8> {
    Initial { version, side, chosen, destination, number, frames }.protected().unwrap()
}

const CHOSEN: &[u8] = b"chosen first";
const GIVEN: &[u8] = b"given";

proptest! {
    #[test]
    fn a_hello_is_read_from_pieces_in_any_order_over_several_packets(
        version in 0..VERSIONS.len(), size in 5_usize..300, shuffle in any::<u16>(), apart in 1_usize..4,
    ) {
        let octets = handshake(VERSIONS[version].0);
        let mut pieces: Vec<_> = octets.chunks(size).enumerate().map(|(it, piece)| crypto(u16::try_from(it * size).unwrap(), piece)).collect();
        let length = pieces.len();
        for it in 0..length {
            pieces.swap(it, (usize::from(shuffle) + it * 7) % length);
        }
        let packets: Vec<_> = pieces.chunks(length.div_ceil(apart)).enumerate().map(|(number, pieces)| {
            // A client takes its server's connection ID as soon as it has one; the keys stay.
            let to = if number == 0 { CHOSEN } else { GIVEN };
            packet(version, Side::Client, (CHOSEN, to), u8::try_from(number).unwrap(), &pieces.concat())
        }).collect();
        let mut inspector = Inspector::default();
        let verdicts: Vec<_> = packets.iter().map(|it| inspector.inspect(&flow(17, 40_000, 443), &whole(it))).collect();
        let (last, others) = verdicts.split_last().unwrap();
        prop_assert_eq!(last, &Verdict::Named(Names::Quic(hello("www.example.com", &ALPN))));
        prop_assert!(others.iter().all(|it| *it == Verdict::Unnamed(Reason::Incomplete)));
        // All of them in one datagram.
        let verdict = Inspector::default().inspect(&flow(17, 40_000, 443), &whole(&packets.concat()));
        prop_assert_eq!(&verdict, last);
    }
}

/// The verdict on a datagram of its own.
fn alone(octets: &[u8]) -> Verdict {
    Inspector::default().inspect(&flow(17, 40_000, 443), &whole(octets))
}

#[test]
fn packets_of_servers_and_changed_packets_are_encrypted() {
    let frames = crypto(0, &handshake(quic::Version::V1));
    let server = packet(0, Side::Server, (CHOSEN, CHOSEN), 0, &frames);
    assert_eq!(alone(&server), Verdict::Unnamed(Reason::Encrypted));
    let mut client = packet(0, Side::Client, (CHOSEN, CHOSEN), 0, &frames);
    assert!(matches!(alone(&client), Verdict::Named(_)));
    let cut = Payload { is_cut: true, ..whole(&client[..100]) };
    let verdict = Inspector::default().inspect(&flow(17, 40_000, 443), &cut);
    assert_eq!(verdict, Verdict::Unnamed(Reason::Truncated));
    *client.last_mut().unwrap() ^= 1;
    assert_eq!(alone(&client), Verdict::Unnamed(Reason::Encrypted));
    // A short header, and a version without known keys.
    assert_eq!(alone(&[0x41; 30]), Verdict::Unnamed(Reason::Encrypted));
    assert_eq!(alone(&[0xc1; 30]), Verdict::Unnamed(Reason::Unknown));
}

#[test]
fn a_retry_gives_new_keys() {
    let octets = handshake(quic::Version::V1);
    let first = packet(0, Side::Client, (CHOSEN, CHOSEN), 0, &crypto(0, &octets[..100]));
    let after = packet(0, Side::Client, (b"of the retry", b"of the retry"), 1, &crypto(0, &octets));
    let mut inspector = Inspector::default();
    let verdicts = [first, after].map(|it| inspector.inspect(&flow(17, 40_000, 443), &whole(&it)));
    assert_eq!(verdicts[0], Verdict::Unnamed(Reason::Incomplete));
    assert_eq!(verdicts[1], Verdict::Named(Names::Quic(hello("www.example.com", &ALPN))));
}

#[test]
fn a_hello_without_end_is_given_up() {
    let octets = [&[1, 0, 0x20, 0][..], &[0; 20]].concat();
    let mut inspector = Inspector::default();
    let verdicts = (0..20).map(|number| {
        let datagram = packet(0, Side::Client, (CHOSEN, CHOSEN), number, &crypto(0, &octets));
        inspector.inspect(&flow(17, 40_000, 443), &whole(&datagram))
    });
    let verdicts: Vec<_> = verdicts.collect();
    assert_eq!(verdicts[8], Verdict::Unnamed(Reason::Incomplete));
    assert_eq!(verdicts[9], Verdict::Unnamed(Reason::TooLong));
}
