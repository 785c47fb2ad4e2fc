//! The fields of a record in the fixed layouts: one table for NetFlow v1, v5 and v7.
//!
//! Names, order and lengths are those of Cisco's "NetFlow Export Datagram Format" (NetFlow Collection
//! Engine User Guide, appendix B, tables B-2, B-4 and B-6). All numbers are in network byte order.

use std::ops::Range;

use flowxdp_common::field::{self, Groups};

use self::Content::{Of, Zero};
use super::Version;
use crate::elements::Source::{self, Computed, Row, Uptime};
use crate::exporting::template::copies::{Copies, Rows};
use crate::record::{FlowRecord, row};

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
    row("srcaddr",   Of(Row(row::SOURCE_IPV4)),         4, Some( 0), Some( 0), Some( 0)),
    row("dstaddr",   Of(Row(row::DESTINATION_IPV4)),    4, Some( 4), Some( 4), Some( 4)),
    row("nexthop",   Zero,                              4, Some( 8), Some( 8), Some( 8)),
    row("input",     Of(Computed(2, interface)),        2, Some(12), Some(12), Some(12)),
    row("output",    Zero,                              2, Some(14), Some(14), Some(14)),
    row("dPkts",     Of(Row(row::PACKETS)),             4, Some(16), Some(16), Some(16)),
    row("dOctets",   Of(Row(row::OCTETS)),              4, Some(20), Some(20), Some(20)),
    row("First",     Of(Uptime(row::START_MS)),         4, Some(24), Some(24), Some(24)),
    row("Last",      Of(Uptime(row::END_MS)),           4, Some(28), Some(28), Some(28)),
    row("srcport",   Of(Row(row::SOURCE_PORT)),         2, Some(32), Some(32), Some(32)),
    row("dstport",   Of(Row(row::DESTINATION_PORT)),    2, Some(34), Some(34), Some(34)),
    row("pad1",      Zero,                              2, Some(36), None,     None),
    row("pad1",      Zero,                              1, None,     Some(36), None),
    row("flags",     Zero,                              1, None,     None,     Some(36)),
    row("tcp_flags", Of(Row(row::TCP_FLAGS)),           1, Some(40), Some(37), Some(37)),
    row("prot",      Of(Row(row::PROTOCOL)),            1, Some(38), Some(38), Some(38)),
    row("tos",       Of(Row(row::TOS)),                 1, Some(39), Some(39), Some(39)),
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

/// How a record of one version is written.
#[derive(Debug)]
pub(super) struct Layout {
    /// Octets of a record.
    length: usize,
    /// Octets of an extension row.
    width: usize,
    copies: Copies,
    /// Where First, dPkts and dOctets are.
    first: Range<usize>,
    packets: Range<usize>,
    octets: Range<usize>,
}

fn number(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |value, octet| value << 8 | u32::from(*octet))
}

impl Layout {
    /// `groups` lay the extension rows out.
    pub(super) fn new(version: Version, groups: Groups) -> Self {
        let mut copies = Copies::default();
        let mut places = [0..0, 0..0, 0..0];
        for field in &FIELDS {
            let (Of(source), Some(place)) = (&field.content, field.place(version)) else { continue };
            copies.add(source, place.start, field.length, groups);
            let nth = match source {
                Uptime(row::START_MS) => 0,
                Row(row::PACKETS) => 1,
                Row(row::OCTETS) => 2,
                _ => continue,
            };
            places[nth] = place;
        }
        let [first, packets, octets] = places;
        Self { length: version.record(), width: field::width(groups), copies, first, packets, octets }
    }

    /// Writes records whose counters fit into 32 bits over the zeros in `octets`. `more` has their extension rows;
    /// `system_start_ms` is milliseconds since 1970.
    pub(super) fn encode(
        &self,
        records: &[FlowRecord],
        more: &[u8],
        system_start_ms: u64,
        octets: &mut [u8],
    ) {
        let rows = Rows { records, more, width: self.width, system_start_ms };
        self.copies.write(rows, octets, self.length);
    }

    /// First of each of the records that are all of `bytes`.
    pub(super) fn firsts(&self, bytes: &[u8]) -> impl Iterator<Item = u32> {
        bytes.chunks_exact(self.length).map(|record| number(&record[self.first.clone()]))
    }

    /// dPkts and dOctets of a record.
    pub(super) fn counters(&self, record: &[u8]) -> (u64, u64) {
        (number(&record[self.packets.clone()]).into(), number(&record[self.octets.clone()]).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
