//! QUIC Initial packets of a client (RFC 9000 section 17.2.2, RFC 9369): their keys follow from the connection ID that
//! the client chose first (RFC 9001 section 5.2), so that any observer on the path can read the ClientHello.

mod crypto;
mod header;

use rustls::{
    crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
    quic::{DirectionalKeys, Keys, Version},
};

use self::{
    crypto::Pieces,
    header::{Kind, Packet},
};
use super::{
    hello, records,
    verdict::{Hello, Reason},
};

/// Packets of a datagram that are read.
const COALESCED: usize = 8;

/// Initial packets of a flow that are read: a ClientHello over ten datagrams has more than 10,000 octets.
const INITIALS: u8 = 10;

/// Octets of the shortest connection ID that a client may choose for its server (RFC 9000 section 7.2).
const CHOSEN: usize = 8;

/// Octets of the sample that header protection is made from, and where it begins behind the packet number's start.
const SAMPLE: usize = 16;
const SAMPLE_AT: usize = 4;

const HTTPS: u16 = 443;

/// Whether octets begin as a packet with a long header of a version that is known here.
pub(super) fn begins(octets: &[u8]) -> bool {
    matches!(octets.first_chunk(), Some(&[first, a, b, c, d])
        if first & 0x80 != 0 && version(u32::from_be_bytes([a, b, c, d])).is_some())
}

/// Whether octets on the port of HTTP/3 begin as a packet with a short header: a connection that has its keys.
pub(super) fn is_short(octets: &[u8], ports: [u16; 2]) -> bool {
    ports.contains(&HTTPS) && octets.first().is_some_and(|first| first & 0xc0 == 0x40)
}

/// Versions with known salts: 1, 2, and the last drafts.
fn version(number: u32) -> Option<Version> {
    match number {
        1 | 0xff00_0021 | 0xff00_0022 => Some(Version::V1),
        0x6b33_43cf => Some(Version::V2),
        0xff00_001d..=0xff00_0020 => Some(Version::V1Draft),
        _ => None,
    }
}

/// The Initial packets of a client that were read, while its ClientHello is incomplete.
pub(super) struct Client {
    /// The connection ID that the keys were made from.
    chosen: Vec<u8>,
    version: u32,
    keys: DirectionalKeys,
    /// The packet number that is expected next.
    expected: u64,
    packets: u8,
    pieces: Pieces,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("packets", &self.packets).finish_non_exhaustive()
    }
}

/// Reads the packets of a datagram; `client` is this flow's, before and after it.
///
/// # Errors
///
/// A ClientHello that continues; packets without known keys, such as a server's.
pub(super) fn read(datagram: &[u8], client: &mut Option<Client>) -> Result<Hello, Reason> {
    let mut rest = datagram;
    let mut reason = Reason::Encrypted;
    for _ in 0..COALESCED {
        let Some((packet, behind)) = header::read(rest) else { break };
        rest = behind;
        if packet.kind != Kind::Initial {
            continue;
        }
        match initial(&packet, client) {
            // A packet beside it may be read all the same.
            Err(Reason::Encrypted) => {}
            Err(Reason::Incomplete) => reason = Reason::Incomplete,
            result => return result,
        }
    }
    Err(reason)
}

fn initial(packet: &Packet<'_>, client: &mut Option<Client>) -> Result<Hello, Reason> {
    if let Some(known) = client {
        // The client takes its server's connection ID at once; the keys stay those of the first.
        if let Some(frames) = known.open(packet) {
            return known.take(&frames);
        }
        if known.chosen == packet.destination {
            return Err(Reason::Encrypted);
        }
    }
    // The first packet, or the first one behind a Retry, with the connection ID that the server gave there.
    let mut fresh = Client::new(packet).ok_or(Reason::Encrypted)?;
    let frames = fresh.open(packet).ok_or(Reason::Encrypted)?;
    client.insert(fresh).take(&frames)
}

impl Client {
    fn new(packet: &Packet<'_>) -> Option<Self> {
        if packet.destination.len() < CHOSEN {
            return None;
        }
        let suite = TLS13_AES_128_GCM_SHA256.tls13()?.quic_suite()?;
        let version = version(packet.version)?;
        // The keys by which a server reads its client's packets.
        let keys =
            Keys::initial(version, suite.suite, suite.quic, packet.destination, rustls::Side::Server).remote;
        Some(Self {
            chosen: packet.destination.to_vec(),
            version: packet.version,
            keys,
            expected: 0,
            packets: 0,
            pieces: Pieces::default(),
        })
    }

    /// The frames of a packet; none where it is of another sender or was changed on its way.
    fn open(&mut self, packet: &Packet<'_>) -> Option<Vec<u8>> {
        if packet.version != self.version {
            return None;
        }
        let mut octets = packet.octets.to_vec();
        let (head, tail) = octets.split_at_mut_checked(packet.number_at)?;
        let sample: [u8; SAMPLE] = *tail.get(SAMPLE_AT..)?.first_chunk()?;
        let (first, number) = (head.first_mut()?, tail.get_mut(..SAMPLE_AT)?);
        self.keys.header.decrypt_in_place(&sample, first, number).ok()?;
        let length = usize::from(*first & 0x03) + 1;
        let number = header::number(number.get(..length)?, self.expected);
        let (head, body) = octets.split_at_mut_checked(packet.number_at + length)?;
        let frames = self.keys.packet.decrypt_in_place(number, head, body).ok()?.to_vec();
        self.expected = self.expected.max(number + 1);
        Some(frames)
    }

    /// Takes the CRYPTO frames of a packet, and reads the hello once it is whole.
    fn take(&mut self, frames: &[u8]) -> Result<Hello, Reason> {
        self.packets += 1;
        crypto::frames(frames, &mut self.pieces)?;
        match records::whole(self.pieces.prefix()) {
            Ok((kind, body)) => hello::read(kind, body),
            Err(Reason::Incomplete) if self.packets >= INITIALS => Err(Reason::TooLong),
            Err(reason) => Err(reason),
        }
    }
}
