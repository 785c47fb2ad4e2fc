//! Messages as octets: the common parts of IPFIX (RFC 7011) and NetFlow v9 (RFC 3954).
//!
//! A message is a header and sets (v9: "Export Packet" and "FlowSet"). All numbers are in network byte order.
//! Lengths are not computed ahead: a set's length is patched when the set is finished, and the header when
//! the message is.

mod ipfix;
mod v9;

use std::fmt;

/// Octets of a set's header: set id and length (RFC 7011 section 3.3.2, RFC 3954 section 5.2).
pub(crate) const SET_HEADER: usize = 4;

/// A protocol of messages that describe their records by templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// IPFIX, version 10 (RFC 7011).
    Ipfix,
    /// NetFlow version 9 (RFC 3954).
    V9,
}

impl From<Protocol> for crate::exporting::protocol::Protocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Ipfix => Self::Ipfix,
            Protocol::V9 => Self::V9,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::exporting::protocol::Protocol::from(*self).fmt(f)
    }
}

impl Protocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ipfix, Self::V9];

    /// The one with the messages of an export protocol; `None` for a protocol without templates.
    pub fn of(protocol: crate::exporting::protocol::Protocol) -> Option<Self> {
        Self::ALL.into_iter().find(|it| protocol == (*it).into())
    }

    /// Octets of the message header.
    pub(crate) const fn header(self) -> usize {
        match self {
            Self::Ipfix => ipfix::HEADER,
            Self::V9 => v9::HEADER,
        }
    }

    /// The id of a template set.
    pub(crate) const fn template_set(self) -> u16 {
        match self {
            Self::Ipfix => ipfix::TEMPLATE_SET,
            Self::V9 => v9::TEMPLATE_FLOWSET,
        }
    }

    /// The id of an options template set.
    pub(crate) const fn options_template_set(self) -> u16 {
        match self {
            Self::Ipfix => ipfix::OPTIONS_TEMPLATE_SET,
            Self::V9 => v9::OPTIONS_TEMPLATE_FLOWSET,
        }
    }

    /// The version number in the message header.
    pub(crate) const fn version(self) -> u8 {
        match self {
            Self::Ipfix => 10,
            Self::V9 => 9,
        }
    }

    /// Gives a finished message another header: lengths and counts stay.
    pub(crate) fn stamp(self, bytes: &mut [u8], header: &Header) {
        match self {
            Self::Ipfix => ipfix::write_header(bytes, header),
            Self::V9 => v9::write_header(bytes, v9::count(bytes), header),
        }
    }

    /// Octets of a set whose records have `records` octets: with header and padding.
    pub(crate) const fn set(self, records: usize) -> usize {
        (SET_HEADER + records).next_multiple_of(self.alignment())
    }

    /// Octets of records that a set of at most `room` octets holds; `None` if not even its header fits.
    pub(crate) const fn set_room(self, room: usize) -> Option<usize> {
        (room - room % self.alignment()).checked_sub(SET_HEADER)
    }

    const fn alignment(self) -> usize {
        match self {
            Self::Ipfix => ipfix::ALIGNMENT,
            Self::V9 => v9::ALIGNMENT,
        }
    }
}

/// Takes the first `octets` octets of sets out of a finished message of IPFIX.
pub(crate) fn remove(bytes: &mut Vec<u8>, octets: usize) {
    bytes.drain(ipfix::HEADER..ipfix::HEADER + octets);
    ipfix::set_length(bytes);
}

/// The ids of the sets of a finished message, in order; sets behind an impossible length are left out.
pub(crate) fn set_ids(protocol: Protocol, bytes: &[u8]) -> impl Iterator<Item = u16> {
    let mut rest = bytes.get(protocol.header()..).unwrap_or_default();
    std::iter::from_fn(move || {
        let [id, length] = [rest.get(..2)?, rest.get(2..SET_HEADER)?].map(be_16);
        rest = rest.get(usize::from(length).max(SET_HEADER)..).unwrap_or_default();
        Some(id)
    })
}

const fn be_16(octets: &[u8]) -> u16 {
    match octets {
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

/// A message header's values beside version, length and count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    /// Export time, seconds since 1970.
    pub(crate) export_secs: u32,
    /// v9: milliseconds since system start at `export_secs`.
    pub(crate) uptime_ms: u32,
    /// IPFIX: data records sent before; v9: messages sent before.
    pub(crate) sequence: u32,
    /// Observation domain id or source id.
    pub(crate) domain: u32,
}

/// Writes one message.
#[derive(Debug)]
pub(crate) struct Writer {
    protocol: Protocol,
    bytes: Vec<u8>,
    /// Records of all kinds, templates too.
    records: u16,
}

impl Writer {
    /// Starts a message in `buffer`, whose content is thrown away.
    pub(crate) fn new(protocol: Protocol, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(protocol.header(), 0);
        Self { protocol, bytes: buffer, records: 0 }
    }

    /// Writes one set: `fill` gives its records, at least one.
    pub(crate) fn set(&mut self, id: u16, fill: impl FnOnce(&mut Records<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend(id.to_be_bytes());
        self.bytes.extend([0; 2]);
        let body = self.bytes.len();
        fill(&mut Records { bytes: &mut self.bytes, count: &mut self.records });
        // Padding is zeros and counts in the set's length (RFC 7011 section 3.3.1, RFC 3954 section 5.2).
        let length = self.protocol.set(self.bytes.len() - body);
        self.bytes.resize(start + length, 0);
        self.bytes[start + 2..body].copy_from_slice(&low_16(length).to_be_bytes());
    }

    /// Writes one set of `count` records that have `octets` octets together: `fill` writes all of them,
    /// over zeros.
    pub(crate) fn records(&mut self, id: u16, count: usize, octets: usize, fill: impl FnOnce(&mut [u8])) {
        let start = self.bytes.len();
        let length = self.protocol.set(octets);
        self.bytes.resize(start + length, 0);
        let set = &mut self.bytes[start..];
        set[..2].copy_from_slice(&id.to_be_bytes());
        set[2..SET_HEADER].copy_from_slice(&low_16(length).to_be_bytes());
        fill(&mut set[SET_HEADER..SET_HEADER + octets]);
        self.records += low_16(count);
    }

    /// Octets so far.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Puts the sets that were written in front of those of a finished message; gives the buffer back.
    pub(crate) fn precede(self, bytes: &mut Vec<u8>) -> Vec<u8> {
        let header = self.protocol.header();
        bytes.splice(header..header, self.bytes[header..].iter().copied());
        match self.protocol {
            Protocol::Ipfix => ipfix::set_length(bytes),
            Protocol::V9 => {
                let count = v9::count(bytes) + self.records;
                v9::set_count(bytes, count);
            }
        }
        self.bytes
    }

    /// Finishes the message: patches the header.
    pub(crate) fn finish(mut self, header: &Header) -> Vec<u8> {
        match self.protocol {
            Protocol::Ipfix => ipfix::write_header(&mut self.bytes, header),
            Protocol::V9 => v9::write_header(&mut self.bytes, self.records, header),
        }
        self.bytes
    }
}

/// The records of a set that is being written.
pub(crate) struct Records<'a> {
    bytes: &'a mut Vec<u8>,
    count: &'a mut u16,
}

impl Records<'_> {
    /// Counts one record, which the caller appends to the octets that it gets.
    #[inline]
    pub(crate) fn next(&mut self) -> &mut Vec<u8> {
        *self.count += 1;
        self.bytes
    }
}

/// A length or count as the 16 bits that the protocols have for it.
///
/// Never cuts: no message is above 65,535 octets, and everything counted is inside one.
#[expect(clippy::cast_possible_truncation, reason = "a session refuses larger messages")]
pub(crate) const fn low_16(n: usize) -> u16 {
    debug_assert!(n <= 0xffff);
    n as u16
}
