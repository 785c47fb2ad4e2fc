//! How a data record is written: a list of copies, made when the configuration is read.
//!
//! Every abstract data type that we export is its value in network byte order (RFC 7011 section 6.1), and a
//! reduced-size encoding is its low octets (section 6.2). So most fields are octets of a row, and neighbours
//! that are neighbours in the row too are one copy.

use flowxdp_common::field::{self, Groups};

use crate::clock::uptime;
use crate::elements::Source;
use crate::record::{Entry, FlowRecord};

/// Octets of a row or of a data record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    length: usize,
}

impl Span {
    const fn end(self) -> usize {
        self.start + self.length
    }

    fn of(self, octets: &[u8]) -> Option<&[u8]> {
        octets.get(self.start..self.end())
    }
}

/// One step: what goes into these octets of the data record.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Octets of the base row, from here on.
    Row(usize, Span),
    /// Octets of the extension row, from here on.
    More(usize, Span),
    /// Milliseconds from system start to the time at this place of the base row, modulo 2^32.
    Uptime(usize, Span),
    /// The low octets of a number that follows from the record.
    Computed(fn(&FlowRecord) -> u64, Span),
}

/// The steps that write one data record over zeros.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copies(Vec<Step>);

impl Copies {
    /// Adds a field: the low `length` octets of a source, behind the first `start` octets of the data record.
    /// `groups` lay the extension row out; a source that they do not have stays zero.
    pub(crate) fn add(&mut self, source: &Source, start: usize, length: usize, groups: Groups) {
        let to = Span { start, length };
        let step = match source {
            Source::Row(column) => Step::Row(column.low(length).at(), to),
            Source::Cold(cold) => match field::offset(groups, *cold) {
                Some(at) => Step::More(usize::from(at) + source.length() - length, to),
                None => return,
            },
            Source::Uptime(column) => Step::Uptime(column.at(), to),
            Source::Computed(_, value) => Step::Computed(*value, to),
        };
        let joined = self.0.last_mut().is_some_and(|last| last.join(&step));
        if !joined {
            self.0.push(step);
        }
    }

    /// Writes one data record.
    #[inline]
    pub(crate) fn write(&self, entry: Entry<'_>, system_start_ms: u64, octets: &mut [u8]) {
        for step in &self.0 {
            match *step {
                Step::Row(from, to) => copy(entry.record.row(), from, octets, to),
                Step::More(from, to) => copy(entry.more, from, octets, to),
                Step::Uptime(from, to) => {
                    let ms = entry.record.row().get(from..).and_then(|row| row.first_chunk());
                    let ms = ms.map_or(0, |ms| u64::from_be_bytes(*ms));
                    low(&uptime(ms, system_start_ms).to_be_bytes(), octets, to);
                }
                Step::Computed(value, to) => low(&value(entry.record).to_be_bytes(), octets, to),
            }
        }
    }
}

impl Step {
    /// Takes over a step that continues this one in both the row and the data record.
    fn join(&mut self, next: &Self) -> bool {
        let (from, to, next_from, next_to) = match (self, next) {
            (Self::Row(from, to), Self::Row(next_from, next_to))
            | (Self::More(from, to), Self::More(next_from, next_to)) => (from, to, next_from, next_to),
            _ => return false,
        };
        let follows = *from + to.length == *next_from && to.end() == next_to.start;
        if follows {
            to.length += next_to.length;
        }
        follows
    }
}

/// Copies octets of a row; a row that is too short has zeros there.
#[inline]
fn copy(row: &[u8], from: usize, octets: &mut [u8], to: Span) {
    let from = Span { start: from, length: to.length };
    if let (Some(from), Some(to)) = (from.of(row), octets.get_mut(to.start..to.end())) {
        exchange(from, to);
    }
}

/// Copies the low octets of a number.
#[inline]
fn low<const N: usize>(number: &[u8; N], octets: &mut [u8], to: Span) {
    copy(number, N - to.length.min(N), octets, to);
}

/// Copies between slices of one length by moves of a fixed size, which overlap in the middle: a call of memcpy
/// costs more than a few such moves.
#[inline]
fn exchange(from: &[u8], to: &mut [u8]) {
    match from.len() {
        33..=64 => ends::<32>(from, to),
        16..=32 => ends::<16>(from, to),
        8..=15 => ends::<8>(from, to),
        4..=7 => ends::<4>(from, to),
        2 | 3 => ends::<2>(from, to),
        1 => ends::<1>(from, to),
        _ => to.copy_from_slice(from),
    }
}

/// Copies the first `N` octets and the last `N`.
#[inline]
fn ends<const N: usize>(from: &[u8], to: &mut [u8]) {
    if let (Some(from), Some(to)) = (from.first_chunk::<N>(), to.first_chunk_mut::<N>()) {
        *to = *from;
    }
    if let (Some(from), Some(to)) = (from.last_chunk::<N>(), to.last_chunk_mut::<N>()) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::row;
    use crate::samples;

    #[test]
    fn slices_of_every_length_are_copied_whole() {
        for length in 0..200 {
            let from: Vec<u8> = (1..=u8::MAX).cycle().take(length).collect();
            let mut to = vec![0; length];
            exchange(&from, &mut to);
            assert_eq!(from, to);
        }
    }

    #[test]
    fn neighbours_in_row_and_record_are_one_copy() {
        let mut copies = Copies::default();
        let mut start = 0;
        for (column, length) in [(row::SOURCE_PORT, 2), (row::DESTINATION_PORT, 2), (row::TCP_FLAGS, 1)] {
            copies.add(&Source::Row(column), start, length, Groups::BASE);
            start += length;
        }
        assert_eq!(copies.0.len(), 2);
        let record = samples::udp(7).with(|flow| flow.tcp_flags = 0x812);
        let mut octets = [0xff; 5];
        copies.write(Entry::from(&record), 0, &mut octets);
        assert_eq!(octets, [0, 7, 0, 53, 0x12]);
    }
}
