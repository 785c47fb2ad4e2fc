//! How a data record is written: a list of copies, made when the configuration is read.
//!
//! Every abstract data type that we export is its value in network byte order (RFC 7011 section 6.1), and a
//! reduced-size encoding is its low octets (section 6.2). So most fields are octets of a row, and neighbours
//! that are neighbours in the row too are one copy.

use flowxdp_common::field::{self, Groups};

use crate::clock::uptime;
use crate::elements::Source;
use crate::record::FlowRecord;

/// Octets of a time in the row, and of an uptime.
const TIME: usize = size_of::<u64>();
const UPTIME: usize = size_of::<u32>();

/// Where a step reads in a row, and the part of a data record that it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Move {
    /// Octets of the row in front.
    from: usize,
    /// Octets of the data record in front.
    to: usize,
    /// Octets of the data record.
    length: usize,
}

impl Move {
    /// Takes over a move that continues this one in both the row and the data record. `ratio` octets of the row are
    /// one of the data record.
    fn join(&mut self, next: Self, ratio: usize) -> bool {
        let follows = self.from + ratio * self.length == next.from && self.to + self.length == next.to;
        if follows {
            self.length += next.length;
        }
        follows
    }
}

/// One step of writing data records.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Octets of the base row.
    Row(Move),
    /// Octets of the extension row.
    More(Move),
    /// Milliseconds from system start to neighbouring times of the base row, modulo 2^32.
    Uptimes(Move),
    /// The low octets of a number that follows from the record.
    Computed(fn(&FlowRecord) -> u64, Move),
}

/// The steps that write data records over zeros.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copies(Vec<Step>);

/// Records, their extension rows one behind the other, and the session's settings for writing them.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) records: &'a [FlowRecord],
    pub(crate) more: &'a [u8],
    /// Octets of an extension row.
    pub(crate) width: usize,
    /// The zero of uptimes, milliseconds since 1970.
    pub(crate) system_start_ms: u64,
}

impl Copies {
    /// Adds a field: the low `length` octets of a source, behind the first `start` octets of the data record.
    /// `groups` lay the extension row out; a source that they do not have stays
    /// zero, and so does one of the tail.
    pub(crate) fn add(&mut self, source: &Source, start: usize, length: usize, groups: Groups) {
        let place = |from| Move { from, to: start, length };
        let step = match source {
            Source::Row(column) => Step::Row(place(column.low(length).at())),
            Source::Cold(cold) => match field::offset(groups, *cold) {
                Some(at) => Step::More(place(usize::from(at) + source.length() - length)),
                None => return,
            },
            Source::Uptime(column) => Step::Uptimes(place(column.at())),
            Source::Computed(_, value) => Step::Computed(*value, place(size_of::<u64>() - length)),
            Source::Application | Source::Text(_) => return,
        };
        let joined = match (self.0.last_mut(), step) {
            (Some(Step::Row(last)), Step::Row(next)) | (Some(Step::More(last)), Step::More(next)) => {
                last.join(next, 1)
            }
            (Some(Step::Uptimes(last)), Step::Uptimes(next)) if last.length == UPTIME => {
                last.join(next, TIME / UPTIME)
            }
            _ => false,
        };
        if !joined {
            self.0.push(step);
        }
    }

    /// Writes data records of `length` octets each. A step is done for all of them before the next one, so that
    /// each is a short loop.
    pub(crate) fn write(&self, rows: Rows<'_>, octets: &mut [u8], length: usize) {
        let Rows { records, more, width, system_start_ms } = rows;
        for step in &self.0 {
            match *step {
                Step::Row(place) => copy(records.iter().map(FlowRecord::row), place, octets, length),
                Step::More(place) => copy(more.chunks_exact(width.max(1)), place, octets, length),
                Step::Uptimes(place) if place.length == 2 * UPTIME => {
                    uptimes::<2>(records, place, system_start_ms, octets, length);
                }
                Step::Uptimes(place) => uptimes::<1>(records, place, system_start_ms, octets, length),
                Step::Computed(value, place) => {
                    copy(records.iter().map(|record| value(record).to_be_bytes()), place, octets, length);
                }
            }
        }
    }
}

/// Copies the same octets of each row into each data record of `length` octets.
///
/// A call of memcpy costs more than a few moves of a fixed size: two of them, which overlap in the middle, copy
/// any number of octets between their size and twice as many.
#[inline]
fn copy<R: AsRef<[u8]>>(rows: impl Iterator<Item = R>, place: Move, octets: &mut [u8], length: usize) {
    match place.length {
        1 => ends::<1, R>(rows, place, octets, length),
        2 | 3 => ends::<2, R>(rows, place, octets, length),
        4..=7 => ends::<4, R>(rows, place, octets, length),
        8..=15 => ends::<8, R>(rows, place, octets, length),
        16..=31 => ends::<16, R>(rows, place, octets, length),
        32..=63 => ends::<32, R>(rows, place, octets, length),
        _ => ends::<64, R>(rows, place, octets, length),
    }
}

/// Copies the first `N` octets and the last `N`, and where these do not meet, the octets between them.
#[inline]
fn ends<const N: usize, R: AsRef<[u8]>>(
    rows: impl Iterator<Item = R>,
    place: Move,
    octets: &mut [u8],
    length: usize,
) {
    let (from, to) = (place.from..place.from + place.length, place.to..place.to + place.length);
    each(rows, octets, length, |row, octets| {
        let (Some(row), Some(octets)) = (row.as_ref().get(from.clone()), octets.get_mut(to.clone())) else {
            return;
        };
        if row.len() > 2 * N {
            return octets.copy_from_slice(row);
        }
        if let (Some(first), Some(octets)) = (row.first_chunk::<N>(), octets.first_chunk_mut::<N>()) {
            *octets = *first;
        }
        if let (Some(last), Some(octets)) = (row.last_chunk::<N>(), octets.last_chunk_mut::<N>()) {
            *octets = *last;
        }
    });
}

/// Writes `N` uptimes of neighbouring times: most templates have the first and the last packet's side by side.
#[inline]
fn uptimes<const N: usize>(
    records: &[FlowRecord],
    place: Move,
    system_start_ms: u64,
    octets: &mut [u8],
    length: usize,
) {
    each(records.iter(), octets, length, |record, octets| {
        let times = record.row().get(place.from..).map(<[u8]>::as_chunks::<TIME>);
        let uptimes = octets.get_mut(place.to..).map(<[u8]>::as_chunks_mut::<UPTIME>);
        let (Some((times, _)), Some((uptimes, _))) = (times, uptimes) else { return };
        let (Some(times), Some(uptimes)) = (times.first_chunk::<N>(), uptimes.first_chunk_mut::<N>()) else {
            return;
        };
        for (octets, time) in uptimes.iter_mut().zip(times) {
            *octets = uptime(u64::from_be_bytes(*time), system_start_ms).to_be_bytes();
        }
    });
}

/// Goes through data records of `length` octets, one for each of the `rows`.
#[inline]
fn each<R>(rows: impl Iterator<Item = R>, octets: &mut [u8], length: usize, write: impl Fn(R, &mut [u8])) {
    // A record has a length: the division of an empty one is not asked for.
    for (octets, row) in octets.chunks_exact_mut(length.max(1)).zip(rows) {
        write(row, octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::row;
    use crate::samples;

    #[test]
    fn rows_of_every_length_are_copied_whole_and_nothing_beside_them() {
        for length in 1..200 {
            let rows: Vec<Vec<u8>> =
                (1..4).map(|first| (first..=u8::MAX).cycle().take(length + 9).collect()).collect();
            let mut octets = vec![0; 3 * (length + 5)];
            copy(rows.iter(), Move { from: 4, to: 3, length }, &mut octets, length + 5);
            for (row, record) in rows.iter().zip(octets.chunks(length + 5)) {
                assert_eq!((&record[..3], &record[length + 3..]), (&[0; 3][..], &[0; 2][..]));
                assert_eq!(record[3..length + 3], row[4..length + 4]);
            }
        }
    }

    #[test]
    fn neighbouring_uptimes_are_one_step_and_each_is_also_one_alone() {
        let record = samples::udp(7).with(|flow| (flow.start_ms, flow.end_ms) = (1_005, 1_009));
        let uptime = Source::Uptime;
        for (columns, expected, steps) in [
            (&[row::START_MS, row::END_MS][..], &[0, 0, 0, 5, 0, 0, 0, 9][..], 1),
            (&[row::END_MS, row::START_MS], &[0, 0, 0, 9, 0, 0, 0, 5], 2),
            (&[row::END_MS], &[0, 0, 0, 9], 1),
        ] {
            let mut copies = Copies::default();
            for (at, column) in columns.iter().enumerate() {
                copies.add(&uptime(*column), UPTIME * at, UPTIME, Groups::BASE);
            }
            assert_eq!(copies.0.len(), steps);
            let mut octets = vec![0; expected.len()];
            let rows = Rows { records: &[record], more: &[], width: 0, system_start_ms: 1_000 };
            copies.write(rows, &mut octets, expected.len());
            assert_eq!(octets, expected);
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
        let mut octets = [0; 5];
        let rows = Rows { records: &[record], more: &[], width: 0, system_start_ms: 0 };
        copies.write(rows, &mut octets, 5);
        assert_eq!(octets, [0, 7, 0, 53, 0x12]);
    }
}
