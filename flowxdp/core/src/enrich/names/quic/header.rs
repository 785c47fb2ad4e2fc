//! Headers of QUIC packets (RFC 9000 section 17.2), up to the packet number.

/// The version whose packet types have other numbers: 2 (RFC 9369 section 3.2).
const VERSION_2: u32 = 0x6b33_43cf;

/// Octets of the longest connection ID.
const CONNECTION: usize = 20;

/// The kinds of packets with a long header that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A packet whose keys follow from its header.
    Initial,
    /// 0-RTT or Handshake.
    Other,
}

/// A packet of a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) kind: Kind,
    pub(super) version: u32,
    /// The connection ID that it is sent to.
    pub(super) destination: &'a [u8],
    /// The packet from its first octet on.
    pub(super) octets: &'a [u8],
    /// Where its packet number begins.
    pub(super) number_at: usize,
}

/// The first packet of octets, and the octets behind it. None for a packet without a length, which is the last of its
/// datagram: a short header, Retry, version negotiation; and for one that breaks the rules.
pub(super) fn read(octets: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let (&[first, a, b, c, d], rest) = octets.split_first_chunk()?;
    let version = u32::from_be_bytes([a, b, c, d]);
    if first & 0x80 == 0 || version == 0 {
        return None;
    }
    let (destination, rest) = connection(rest)?;
    let (_, rest) = connection(rest)?;
    let (kind, rest) = match (first >> 4 & 0x03, version == VERSION_2) {
        (0, false) | (1, true) => (Kind::Initial, token(rest)?),
        (3, false) | (0, true) => return None,
        _ => (Kind::Other, rest),
    };
    let (length, rest) = integer(rest)?;
    let behind = rest.get(usize::try_from(length).ok()?..)?;
    let octets = octets.get(..octets.len() - behind.len())?;
    let number_at = octets.len().checked_sub(usize::try_from(length).ok()?)?;
    Some((Packet { kind, version, destination, octets, number_at }, behind))
}

fn connection(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = octets.split_first()?;
    let length = usize::from(length);
    if length > CONNECTION { None } else { rest.split_at_checked(length) }
}

/// The octets behind a token.
fn token(octets: &[u8]) -> Option<&[u8]> {
    let (length, rest) = integer(octets)?;
    rest.get(usize::try_from(length).ok()?..)
}

/// A variable-length integer (RFC 9000 section 16), and the octets behind it.
pub(super) fn integer(octets: &[u8]) -> Option<(u64, &[u8])> {
    let first = *octets.first()?;
    let (value, rest) = octets.split_at_checked(1 << (first >> 6))?;
    let value = value.iter().fold(0, |value, octet| value << 8 | u64::from(*octet));
    // The upper two bits are the length's.
    let bits = 8 * u32::from(1_u8 << (first >> 6)) - 2;
    Some((value & (u64::MAX >> (64 - bits)), rest))
}

/// A packet number from its last octets, the one nearest to the number expected next (RFC 9000 appendix A.3).
pub(super) fn number(octets: &[u8], expected: u64) -> u64 {
    let last = octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet));
    let window = 1_u64 << (8 * octets.len().min(4));
    let near = expected & !(window - 1) | last;
    if near + window / 2 <= expected {
        near + window
    } else if near > expected + window / 2 && near >= window {
        near - window
    } else {
        near
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_the_rfc_are_read() {
        // RFC 9000 appendix A.1.
        for (octets, value) in [
            ([0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c].as_slice(), 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            assert_eq!(integer(octets), Some((value, [].as_slice())));
            assert_eq!(integer(&octets[..octets.len() - 1]), None);
        }
    }

    #[test]
    fn the_packet_number_of_the_rfc_is_decoded() {
        // RFC 9000 appendix A.3.
        assert_eq!(number(&[0x9b, 0x32], 0xa82f_30eb), 0xa82f_9b32);
        assert_eq!((number(&[5], 0), number(&[0], 256), number(&[0xff], 257)), (5, 256, 255));
    }
}
