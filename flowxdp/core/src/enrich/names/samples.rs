//! QUIC packets that the TLS library protects: for tests, and for the fuzzer, which could not guess their tags.

use rustls::{
    Side,
    crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
    quic::{self, Keys},
};

/// Versions: their number on the wire, and the type of their Initial packets.
pub const VERSIONS: [(quic::Version, u32, u8); 3] = [
    (quic::Version::V1, 1, 0),
    (quic::Version::V2, 0x6b33_43cf, 1),
    (quic::Version::V1Draft, 0xff00_001d, 0),
];

/// An Initial packet of a side of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Initial<'a> {
    /// Place in [`VERSIONS`].
    pub version: usize,
    /// The side that sends it.
    pub side: Side,
    /// The connection ID that the client chose first.
    pub chosen: &'a [u8],
    /// The connection ID that the packet is sent to.
    pub destination: &'a [u8],
    /// Packet number.
    pub number: u8,
    /// Its frames, which are padded to 64 octets.
    pub frames: &'a [u8],
}

impl Initial<'_> {
    /// The packet as on the wire; none where the version is none or the frames are longer than a packet may be.
    #[must_use]
    pub fn protected(&self) -> Option<Vec<u8>> {
        let (version, word, kind) = *VERSIONS.get(self.version)?;
        let suite = TLS13_AES_128_GCM_SHA256.tls13()?.quic_suite()?;
        let keys = Keys::initial(version, suite.suite, suite.quic, self.chosen, self.side).local;
        let mut frames = self.frames.to_vec();
        frames.resize(frames.len().max(64), 0);
        let length = u16::try_from(frames.len() + 1 + 16).ok().filter(|length| *length < 0x4000)?;
        let mut packet = vec![0xc0 | kind << 4];
        packet.extend(word.to_be_bytes());
        packet.push(u8::try_from(self.destination.len()).ok()?);
        packet.extend(self.destination);
        packet.extend([0, 0]);
        packet.extend((length | 0x4000).to_be_bytes());
        packet.push(self.number);
        let tag = keys.packet.encrypt_in_place(self.number.into(), &packet, &mut frames).ok()?;
        let (header, at) = (packet.len(), packet.len() - 1);
        packet.extend(frames);
        packet.extend(tag.as_ref());
        let sample: [u8; 16] = *packet.get(header + 3..)?.first_chunk()?;
        let (head, tail) = packet.split_at_mut_checked(at)?;
        keys.header.encrypt_in_place(&sample, head.first_mut()?, tail.get_mut(..1)?).ok()?;
        Some(packet)
    }
}

/// A CRYPTO frame: octets of the handshake from an offset below 16,384.
#[must_use]
pub fn crypto(offset: u16, octets: &[u8]) -> Vec<u8> {
    let length = u16::try_from(octets.len()).unwrap_or(u16::MAX);
    let short = |number: u16| (number | 0x4000).to_be_bytes();
    [&[6][..], &short(offset), &short(length), octets].concat()
}
