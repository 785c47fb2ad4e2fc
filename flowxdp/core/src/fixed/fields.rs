//! The fields of a record in the fixed layouts: one table for NetFlow v1, v5 and v7.
//!
//! Names, order and lengths are those of Cisco's "NetFlow Export Datagram Format" (NetFlow Collection
//! Engine User Guide, appendix B, tables B-2, B-4 and B-6). All numbers are in network byte order.

use std::ops::Range;

use self::Content::{Of, Zero};
use super::Version;
use crate::facts::Fact;
use crate::facts::shape::{self, Places, Shape};
use crate::record::FlowRecord;

/// What a field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The low octets of a fact.
    Of(Fact),
    /// Nothing, or what an agent that neither routes nor samples cannot know.
    Zero,
}

/// One field, and where each version has it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Cisco's name.
    pub name: &'static str,
    /// What it says.
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

/// All fields. A VLAN, TTLs, packet lengths and the end reason have none.
///
/// - srcport and dstport of ICMP are 0 and type × 256 + code, as routers have it.
/// - input is 0 (unknown) for an ifIndex above 65,535: half of a number would be another interface.
/// - The flags of v7 name fields that a Catalyst's flow mask left out: here none is, and what is
///   unknown is 0.
/// - The last four of the seven zeros that end a record of v1 are called reserved by some.
#[rustfmt::skip]
pub const FIELDS: [Field; 24] = [
    //                                              octets    v1        v5        v7
    row("srcaddr",   Of(Fact::SourceIpv4),          4, Some( 0), Some( 0), Some( 0)),
    row("dstaddr",   Of(Fact::DestinationIpv4),     4, Some( 4), Some( 4), Some( 4)),
    row("nexthop",   Zero,                          4, Some( 8), Some( 8), Some( 8)),
    row("input",     Of(Fact::Ingress),             2, Some(12), Some(12), Some(12)),
    row("output",    Zero,                          2, Some(14), Some(14), Some(14)),
    row("dPkts",     Of(Fact::Packets),             4, Some(16), Some(16), Some(16)),
    row("dOctets",   Of(Fact::Octets),              4, Some(20), Some(20), Some(20)),
    row("First",     Of(Fact::StartUptime),         4, Some(24), Some(24), Some(24)),
    row("Last",      Of(Fact::EndUptime),           4, Some(28), Some(28), Some(28)),
    row("srcport",   Of(Fact::SourcePort),          2, Some(32), Some(32), Some(32)),
    row("dstport",   Of(Fact::DestinationPort),     2, Some(34), Some(34), Some(34)),
    row("pad1",      Zero,                          2, Some(36), None,     None),
    row("pad1",      Zero,                          1, None,     Some(36), None),
    row("flags",     Zero,                          1, None,     None,     Some(36)),
    row("tcp_flags", Of(Fact::TcpFlags),            1, Some(40), Some(37), Some(37)),
    row("prot",      Of(Fact::Protocol),            1, Some(38), Some(38), Some(38)),
    row("tos",       Of(Fact::Tos),                 1, Some(39), Some(39), Some(39)),
    row("pad2",      Zero,                          7, Some(41), None,     None),
    row("src_as",    Zero,                          2, None,     Some(40), Some(40)),
    row("dst_as",    Zero,                          2, None,     Some(42), Some(42)),
    row("masks",     Zero,                          2, None,     Some(44), Some(44)),
    row("pad2",      Zero,                          2, None,     Some(46), None),
    row("flags",     Zero,                          2, None,     None,     Some(46)),
    row("router_sc", Zero,                          4, None,     None,     Some(48)),
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

/// Where the facts are in a record, by the version's place in [`Version::ALL`].
const fn places(version: usize) -> Places {
    let (mut places, mut at) = (Places::NONE, 0);
    while at < FIELDS.len() {
        let Field { content, length, offsets, .. } = &FIELDS[at];
        if let (Of(fact), Some(start)) = (content, offsets[version]) {
            places = places.with(*fact, start, *length);
        }
        at += 1;
    }
    places
}

/// The records of one version.
struct Record<const VERSION: usize>;

impl<const VERSION: usize> Shape for Record<VERSION> {
    const LENGTH: usize = Version::ALL[VERSION].record();
    const PLACES: Places = places(VERSION);
}

/// Writes one record over zeros: the record, milliseconds since 1970 of system start, octets.
type Encode = fn(&FlowRecord, u64, &mut [u8]);

fn encode<S: Shape>(record: &FlowRecord, system_start_ms: u64, octets: &mut [u8]) {
    shape::write::<S>(record, system_start_ms, octets);
}

/// By the version's place in [`Version::ALL`].
const ENCODE: [Encode; Version::ALL.len()] = [encode::<Record<0>>, encode::<Record<1>>, encode::<Record<2>>];

/// How a record of one version is written.
#[derive(Debug)]
pub(super) struct Layout {
    /// Octets of a record.
    length: usize,
    encode: Encode,
    /// Where First, dPkts and dOctets are.
    first: Range<usize>,
    packets: Range<usize>,
    octets: Range<usize>,
}

fn number(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |value, octet| value << 8 | u32::from(*octet))
}

impl Layout {
    pub(super) const fn new(version: Version) -> Self {
        let places = places(version as usize);
        let (first, packets) = (places.get(Fact::StartUptime, 0), places.get(Fact::Packets, 0));
        let octets = places.get(Fact::Octets, 0);
        Self {
            length: version.record(),
            encode: ENCODE[version as usize],
            first: first.start..first.start + first.length,
            packets: packets.start..packets.start + packets.length,
            octets: octets.start..octets.start + octets.length,
        }
    }

    /// Writes one record whose counters fit into 32 bits over the zeros in `octets`.
    pub(super) fn encode(&self, record: &FlowRecord, system_start_ms: u64, octets: &mut [u8]) {
        (self.encode)(record, system_start_ms, octets);
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
    fn no_field_is_longer_than_its_fact() {
        for field in &FIELDS {
            if let Of(fact) = field.content {
                assert!(field.length <= fact.length(), "{}", field.name);
                assert!(field.offsets.iter().all(Option::is_some), "{}", field.name);
            }
        }
    }
}
