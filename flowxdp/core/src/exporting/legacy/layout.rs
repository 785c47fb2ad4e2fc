//! How a record of a fixed layout is written: the list of copies that follows from the fields' places.

use std::ops::Range;

use flowxdp_common::field::{self, Groups};

use super::{
    Version,
    version::{Content::Of, FIELDS},
};
use crate::{
    elements::Source::{Row, Uptime},
    exporting::template::copies::{Copies, Rows},
    record::{FlowRecord, row},
};

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
