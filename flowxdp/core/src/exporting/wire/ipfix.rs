//! The parts of an IPFIX message that are its own (RFC 7011 section 3).

use super::{Header, low_16};

/// Octets of the message header.
pub(super) const HEADER: usize = 16;
/// Set id of template sets (RFC 7011 section 3.3.2).
pub(super) const TEMPLATE_SET: u16 = 2;
/// Set id of options template sets (RFC 7011 section 3.3.2).
pub(super) const OPTIONS_TEMPLATE_SET: u16 = 3;
/// Sets need no alignment (RFC 7011 section 3.3.1: padding is optional).
pub(super) const ALIGNMENT: usize = 1;
/// The version of IPFIX.
const VERSION: u16 = 10;

/// Writes the header of the message in `bytes`, which is complete behind it.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |       Version Number          |            Length             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                           Export Time                         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       Sequence Number                         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                    Observation Domain ID                      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// RFC 7011 section 3.1.
pub(super) fn write_header(bytes: &mut [u8], header: &Header) {
    bytes[0..2].copy_from_slice(&VERSION.to_be_bytes());
    set_length(bytes);
    bytes[4..8].copy_from_slice(&header.export_secs.to_be_bytes());
    bytes[8..12].copy_from_slice(&header.sequence.to_be_bytes());
    bytes[12..HEADER].copy_from_slice(&header.domain.to_be_bytes());
}

/// Writes the length into the header of the message in `bytes`.
pub(super) fn set_length(bytes: &mut [u8]) {
    let length = low_16(bytes.len());
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
}
