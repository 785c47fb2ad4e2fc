//! The parts of a NetFlow v9 export packet that are its own (RFC 3954 section 5).

use super::Header;

/// Octets of the packet header.
pub(super) const HEADER: usize = 20;
/// FlowSet id of template FlowSets (RFC 3954 section 5.2).
pub(super) const TEMPLATE_FLOWSET: u16 = 0;
/// FlowSet id of options template FlowSets (RFC 3954 section 6.1).
pub(super) const OPTIONS_TEMPLATE_FLOWSET: u16 = 1;
/// A FlowSet is padded so that the next one starts at a 4-octet boundary (RFC 3954 sections 5.2, 5.3).
pub(super) const ALIGNMENT: usize = 4;
/// The version of NetFlow.
const VERSION: u16 = 9;

/// Writes the header of the packet in `bytes`; `count` is its records of all kinds, templates too.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |       Version Number          |            Count              |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                           sysUpTime                           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                           UNIX Secs                           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       Sequence Number                         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                        Source ID                              |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// RFC 3954 section 5.1.
pub(super) fn write_header(bytes: &mut [u8], count: u16, header: &Header) {
    bytes[0..2].copy_from_slice(&VERSION.to_be_bytes());
    set_count(bytes, count);
    bytes[4..8].copy_from_slice(&header.uptime_ms.to_be_bytes());
    bytes[8..12].copy_from_slice(&header.export_secs.to_be_bytes());
    bytes[12..16].copy_from_slice(&header.sequence.to_be_bytes());
    bytes[16..HEADER].copy_from_slice(&header.domain.to_be_bytes());
}

/// The count in the header of the packet in `bytes`.
pub(super) const fn count(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[2], bytes[3]])
}

/// Writes the count into the header of the packet in `bytes`.
pub(super) fn set_count(bytes: &mut [u8], count: u16) {
    bytes[2..4].copy_from_slice(&count.to_be_bytes());
}
