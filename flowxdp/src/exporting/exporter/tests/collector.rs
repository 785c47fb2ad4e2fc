//! Collectors for tests, with a reader of their own; and certificates.

use std::{
    collections::BTreeMap,
    io::Read,
    net::{TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, crypto::ring::default_provider, pki_types::PrivateKeyDer};
use socket2::SockRef;

use super::LIMIT;

/// A listener on the loopback, and the rest of a URL for it.
pub(crate) fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// The next connection, with a limit on every wait for octets.
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    let stream = listener.accept().unwrap().0;
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Reads until `enough`.
pub(crate) fn some(stream: &mut impl Read, enough: impl Fn(&[Message]) -> bool) -> Vec<Message> {
    let (mut octets, mut some) = (Vec::new(), [0; 4_096]);
    while !enough(&messages(&octets)) {
        let count = stream.read(&mut some).unwrap();
        assert!(count > 0, "it ended first");
        octets.extend_from_slice(&some[..count]);
    }
    messages(&octets)
}

/// Reads until `enough`, and breaks the connection off with a reset.
pub(crate) fn reset(mut stream: TcpStream, enough: impl Fn(&[Message]) -> bool) -> Vec<Message> {
    let read = some(&mut stream, enough);
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    read
}

/// Reads to the end.
pub(crate) fn all(mut stream: TcpStream) -> Vec<Message> {
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).unwrap();
    messages(&octets)
}

/// An IPFIX message: its sequence, its domain, and ids and bodies of its sets.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) sequence: u32,
    pub(crate) domain: u32,
    pub(crate) sets: Vec<(u16, Vec<u8>)>,
}

fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet))
}

fn length(octets: &[u8]) -> usize {
    usize::try_from(number(octets)).unwrap()
}

fn word(octets: &[u8]) -> u32 {
    u32::try_from(number(octets)).unwrap()
}

fn short(octets: &[u8]) -> u16 {
    u16::try_from(number(octets)).unwrap()
}

/// The whole messages of a stream.
pub(crate) fn messages(mut octets: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while octets.len() >= 16 && octets.len() >= length(&octets[2..4]) {
        let (message, rest) = octets.split_at(length(&octets[2..4]));
        assert_eq!(message[..2], [0, 10]);
        let (mut sets, mut body) = (Vec::new(), &message[16..]);
        while !body.is_empty() {
            let (set, behind) = body.split_at(length(&body[2..4]));
            sets.push((short(&set[..2]), set[4..].to_vec()));
            body = behind;
        }
        messages.push(Message { sequence: word(&message[8..12]), domain: word(&message[12..16]), sets });
        octets = rest;
    }
    messages
}

/// The sets with this id, in order.
pub(crate) fn sets(messages: &[Message], id: u16) -> impl Iterator<Item = &[u8]> {
    messages.iter().flat_map(|message| &message.sets).filter(move |set| set.0 == id).map(|set| &*set.1)
}

/// Source ports of the flow records, in order, read by the templates that came before them.
pub(crate) fn ports(messages: &[Message]) -> Vec<u16> {
    let mut templates = BTreeMap::new();
    let mut ports = Vec::new();
    for (id, body) in messages.iter().flat_map(|message| &message.sets) {
        if *id == 2 {
            let mut rest = &body[..];
            while !rest.is_empty() {
                let (fields, behind) = rest[4..].split_at(4 * length(&rest[2..4]));
                let fields = fields.chunks(4).map(|field| (short(&field[..2]), length(&field[2..])));
                templates.insert(short(&rest[..2]), fields.collect::<Vec<_>>());
                rest = behind;
            }
        } else if let Some(fields) = templates.get(id) {
            let record = fields.iter().map(|(_, length)| length).sum();
            let place = fields.iter().take_while(|(field, _)| *field != 7).map(|(_, length)| length).sum();
            ports.extend(body.chunks_exact(record).map(|record: &[u8]| short(&record[place..][..2])));
        }
    }
    ports
}

/// The last record of options data 282: records, packets and octets that were not sent.
pub(crate) fn not_sent(messages: &[Message]) -> Option<[u64; 3]> {
    // Behind exportingProcessId, which has four octets.
    let body = sets(messages, 282).last()?;
    Some([4, 12, 20].map(|place| number(&body[place..place + 8])))
}

/// A certificate of its own authority for the loopback, as a server and as a file has it.
pub(crate) fn self_signed() -> (Arc<ServerConfig>, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = builder.with_single_cert(vec![certificate.der().clone()], private).unwrap();
    (Arc::new(config), certificate.pem())
}
