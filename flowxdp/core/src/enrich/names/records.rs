//! TLS records (RFC 8446 section 5.1): the first handshake message of a stream, whole.

use super::{inspector::OCTETS, verdict::Reason};

const CHANGE_CIPHER_SPEC: u8 = 20;
/// Content type of handshake records.
pub(super) const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// Octets of the header of a record, and of a handshake message.
const RECORD: usize = 5;
const MESSAGE: usize = 4;

/// Longest fragment of a record: 2^14 octets and 256 of an old compression or of encryption.
const LONGEST: usize = (1 << 14) + 256;

/// Whether octets begin as a record does: a content type and major version 3, as far as they go.
pub(super) fn begins(octets: &[u8]) -> bool {
    let kind = |kind: u8| (CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind);
    match *octets {
        [] => false,
        [first] => kind(first),
        [first, major] => kind(first) && major == 3,
        [first, major, minor, ..] => kind(first) && major == 3 && minor <= 4,
    }
}

/// The type and body of the first handshake message, from as many records as it was divided over.
///
/// # Errors
///
/// Octets that are missing yet; records of another kind; a message longer than is held of a flow.
pub(super) fn handshake(mut octets: &[u8]) -> Result<(u8, Vec<u8>), Reason> {
    let mut message = Vec::new();
    loop {
        let (header, rest) = octets.split_first_chunk::<RECORD>().ok_or(Reason::Incomplete)?;
        let [kind, _, _, high, low] = *header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !begins(header) || length == 0 || length > LONGEST {
            return Err(Reason::Malformed);
        }
        if kind != HANDSHAKE {
            return Err(if message.is_empty() { Reason::Encrypted } else { Reason::Malformed });
        }
        message.extend_from_slice(rest.get(..length).unwrap_or(rest));
        match whole(&message) {
            Err(Reason::Incomplete) => octets = rest.get(length..).ok_or(Reason::Incomplete)?,
            result => return result.map(|(kind, body)| (kind, body.to_vec())),
        }
    }
}

/// The type and body of the handshake message that octets begin with (RFC 8446 section 4).
///
/// # Errors
///
/// Octets that are missing yet; a message longer than is held of a flow.
pub(super) fn whole(octets: &[u8]) -> Result<(u8, &[u8]), Reason> {
    let (&[kind, a, b, c], rest) = octets.split_first_chunk::<MESSAGE>().ok_or(Reason::Incomplete)?;
    let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).map_err(|_| Reason::TooLong)?;
    if length > OCTETS {
        return Err(if kind == super::hello::CLIENT_HELLO { Reason::TooLong } else { Reason::Encrypted });
    }
    Ok((kind, rest.get(..length).ok_or(Reason::Incomplete)?))
}
