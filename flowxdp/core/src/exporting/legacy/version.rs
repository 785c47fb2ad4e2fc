//! The versions of NetFlow that have a fixed layout: the sizes that each has, and the place of each field in its record.
//!
//! Names, order and lengths of fields are those of Cisco's "NetFlow Export Datagram Format" (NetFlow Collection
//! Engine User Guide, appendix B, tables B-2, B-4 and B-6). All numbers are in network byte order.

use std::ops::Range;

use self::Content::{Of, Zero};
use super::header::Header;
use crate::{
    elements::Source::{self, Computed, Row as Column, Uptime},
    exporting::protocol::Protocol,
    record::{FlowRecord, row},
};

/// A protocol of fixed layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// NetFlow version 1: no sequence.
    V1,
    /// NetFlow version 5.
    V5,
    /// NetFlow version 7.
    V7,
}

/// A version's row.
struct Row {
    version: Version,
    /// The first field of a header.
    number: u16,
    protocol: Protocol,
    /// Octets of a header.
    header: usize,
    /// Octets of a record.
    record: usize,
    /// Records of a message below 1,472 octets.
    most_records: usize,
    /// The last word of a header with a sequence; `None` without one.
    last_word: Option<fn(&Header) -> [u8; 4]>,
}

/// The table of versions, in the order of the type.
const ROWS: [Row; 3] = [
    // v1 is described with 48, 49 and 52 octets a record; the collectors that are around (nfcapd, tshark) read 48.
    Row {
        version: Version::V1,
        number: 1,
        protocol: Protocol::V1,
        header: 16,
        record: 48,
        most_records: 24,
        last_word: None,
    },
    Row {
        version: Version::V5,
        number: 5,
        protocol: Protocol::V5,
        header: 24,
        record: 48,
        most_records: 30,
        last_word: Some(engine),
    },
    Row {
        version: Version::V7,
        number: 7,
        protocol: Protocol::V7,
        header: 24,
        record: 52,
        most_records: 27,
        last_word: Some(|_| [0; 4]),
    },
];

/// Engine type and id, and no sampling.
fn engine(header: &Header) -> [u8; 4] {
    let [.., engine_type, engine_id] = header.domain.to_be_bytes();
    [engine_type, engine_id, 0, 0]
}

impl Version {
    /// All of them, by number.
    pub const ALL: [Self; 3] = [Self::V1, Self::V5, Self::V7];

    const fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// The version of an export protocol; `None` for a protocol with templates.
    pub fn of(protocol: Protocol) -> Option<Self> {
        ROWS.iter().find(|row| row.protocol == protocol).map(|row| row.version)
    }

    /// The first field of a header.
    pub const fn number(self) -> u16 {
        self.row().number
    }

    /// The protocol by its name in flags and URLs.
    pub const fn protocol(self) -> Protocol {
        self.row().protocol
    }

    /// Octets of a header.
    pub const fn header(self) -> usize {
        self.row().header
    }

    /// Octets of a record.
    pub const fn record(self) -> usize {
        self.row().record
    }

    /// The most records of one message, which leave it below 1,472 octets.
    pub const fn most_records(self) -> usize {
        self.row().most_records
    }

    /// The part of the sequence that a message of so many records has: 0 in a version without a sequence.
    pub(super) const fn counted(self, records: u16) -> u32 {
        if self.row().last_word.is_some() { records as u32 } else { 0 }
    }

    /// The last word of a header with a sequence.
    pub(super) fn last_word(self, header: &Header) -> Option<[u8; 4]> {
        self.row().last_word.map(|word| word(header))
    }
}

/// The source of a field's value.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// The low octets of a value.
    Of(Source),
    /// Zero: padding, or a value that an agent without routes and sampling does not know.
    Zero,
}

/// One field, and where each version has it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Cisco's name.
    pub name: &'static str,
    /// The source of its value.
    pub content: Content,
    /// Octets.
    pub length: usize,
    /// Octets before it in a record of v1, v5 and v7; `None` where there is no such field.
    pub offsets: [Option<usize>; 3],
}

impl Field {
    /// Where the field lies in a record of `version`.
    pub fn place(&self, version: Version) -> Option<Range<usize>> {
        self.offsets[version as usize].map(|offset| offset..offset + self.length)
    }
}

/// All fields. VLAN, TTLs, packet lengths and the end reason are in none of them.
///
/// - srcport and dstport of ICMP are 0 and type × 256 + code, as routers have it.
/// - input is 0 (unknown) for an ifIndex above 65,535: half of a number would be another interface.
/// - The flags of v7 name fields that a Catalyst's flow mask left out: here none is left out, and unknown
///   values are 0.
/// - The last four of the seven zeros that end a record of v1 are called reserved by some.
#[rustfmt::skip]
pub const FIELDS: [Field; 24] = [
    //                                              octets    v1        v5        v7
    row("srcaddr",   Of(Column(row::SOURCE_IPV4)),         4, Some( 0), Some( 0), Some( 0)),
    row("dstaddr",   Of(Column(row::DESTINATION_IPV4)),    4, Some( 4), Some( 4), Some( 4)),
    row("nexthop",   Zero,                              4, Some( 8), Some( 8), Some( 8)),
    row("input",     Of(Computed(2, interface)),        2, Some(12), Some(12), Some(12)),
    row("output",    Zero,                              2, Some(14), Some(14), Some(14)),
    row("dPkts",     Of(Column(row::PACKETS)),             4, Some(16), Some(16), Some(16)),
    row("dOctets",   Of(Column(row::OCTETS)),              4, Some(20), Some(20), Some(20)),
    row("First",     Of(Uptime(row::START_MS)),         4, Some(24), Some(24), Some(24)),
    row("Last",      Of(Uptime(row::END_MS)),           4, Some(28), Some(28), Some(28)),
    row("srcport",   Of(Column(row::SOURCE_PORT)),         2, Some(32), Some(32), Some(32)),
    row("dstport",   Of(Column(row::DESTINATION_PORT)),    2, Some(34), Some(34), Some(34)),
    row("pad1",      Zero,                              2, Some(36), None,     None),
    row("pad1",      Zero,                              1, None,     Some(36), None),
    row("flags",     Zero,                              1, None,     None,     Some(36)),
    row("tcp_flags", Of(Column(row::TCP_FLAGS)),           1, Some(40), Some(37), Some(37)),
    row("prot",      Of(Column(row::PROTOCOL)),            1, Some(38), Some(38), Some(38)),
    row("tos",       Of(Column(row::TOS)),                 1, Some(39), Some(39), Some(39)),
    row("pad2",      Zero,                              7, Some(41), None,     None),
    row("src_as",    Zero,                              2, None,     Some(40), Some(40)),
    row("dst_as",    Zero,                              2, None,     Some(42), Some(42)),
    row("masks",     Zero,                              2, None,     Some(44), Some(44)),
    row("pad2",      Zero,                              2, None,     Some(46), None),
    row("flags",     Zero,                              2, None,     None,     Some(46)),
    row("router_sc", Zero,                              4, None,     None,     Some(48)),
];

/// A row of [`FIELDS`].
const fn row(
    name: &'static str,
    content: Content,
    length: usize,
    v1: Option<usize>,
    v5: Option<usize>,
    v7: Option<usize>,
) -> Field {
    Field { name, content, length, offsets: [v1, v5, v7] }
}

/// The ifIndex where 16 bits hold it, else 0.
fn interface(record: &FlowRecord) -> u64 {
    u16::try_from(record.ingress()).unwrap_or(0).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporting::wire;

    #[test]
    fn each_row_stands_at_its_version_and_each_protocol_without_templates_has_one() {
        assert!(Version::ALL.iter().all(|version| version.row().version == *version));
        let is_legacy = |protocol| Version::of(protocol).is_some();
        assert!(Protocol::ALL.into_iter().all(|it| is_legacy(it) != wire::Protocol::of(it).is_some()));
    }

    #[test]
    fn fields_cover_every_octet_of_a_record_once() {
        for version in Version::ALL {
            let mut octets = vec![0; version.record()];
            for place in FIELDS.iter().filter_map(|field| field.place(version)) {
                octets[place].iter_mut().for_each(|count| *count += 1);
            }
            assert!(octets.iter().all(|count| *count == 1), "{version:?}: {octets:?}");
        }
    }

    #[test]
    fn no_field_is_longer_than_its_value() {
        for field in &FIELDS {
            if let Of(source) = field.content {
                assert!(field.length <= source.length(), "{}", field.name);
                assert!(field.offsets.iter().all(Option::is_some), "{}", field.name);
            }
        }
    }
}
