//! Records one behind the other, with their extension rows and tails.

use std::collections::VecDeque;

use super::tail::{TailSlice, Tails};
use super::{Entry, FlowRecord};

/// Records in the order in which they came, each with an extension row of the same width, and with a tail or without.
///
/// No record allocates on its own: rows stand in one buffer, and in none where the width is 0; tails in another.
#[derive(Debug, Default)]
pub struct Batch {
    records: VecDeque<FlowRecord>,
    /// The extension rows.
    more: VecDeque<u8>,
    /// Octets of one of them.
    width: usize,
    /// The tails; `None` where records have none.
    tails: Option<Tails>,
    /// The rows that are read, where they do not lie in one piece.
    read: Vec<u8>,
}

/// Neighbouring records of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice<'a> {
    pub(crate) records: &'a [FlowRecord],
    /// Their extension rows, one behind the other.
    pub(crate) more: &'a [u8],
    /// Their tails; none where records have none.
    pub(crate) tails: TailSlice<'a>,
}

impl Batch {
    /// Without records; extension rows have `width` octets, and records have no tails.
    pub fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// The same, but records have tails if `has_tails`.
    pub fn with_tails(width: usize, has_tails: bool) -> Self {
        Self { tails: has_tails.then(Tails::default), ..Self::new(width) }
    }

    /// Without records, and of the same form.
    pub(crate) fn empty(&self) -> Self {
        Self::with_tails(self.width, self.tails.is_some())
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Appends a record. Its extension row is cut or filled up with zeros to the width; octets behind it are the tail.
    #[inline]
    pub fn push(&mut self, record: &FlowRecord, more: &[u8]) {
        self.records.push_back(*record);
        if self.width > 0 || self.tails.is_some() {
            self.push_row(more);
        }
    }

    fn push_row(&mut self, row: &[u8]) {
        let (row, tail) = row.split_at(row.len().min(self.width));
        self.more.extend(row);
        self.more.resize(self.records.len() * self.width, 0);
        if let Some(tails) = &mut self.tails {
            tails.push(tail);
        }
    }

    /// Appends the records of another batch.
    pub(crate) fn append(&mut self, mut other: Self) {
        other.each(|entry| self.push(entry.record, entry.more));
    }

    /// The oldest record.
    pub(crate) fn front(&self) -> Option<&FlowRecord> {
        self.records.front()
    }

    /// The oldest record, to be changed.
    pub(crate) fn front_mut(&mut self) -> Option<&mut FlowRecord> {
        self.records.front_mut()
    }

    /// The tails of all records but the `first` ones.
    pub(crate) fn tails_behind(&self, first: usize) -> TailSlice<'_> {
        self.tails.as_ref().map_or_else(TailSlice::default, |tails| tails.all().split_at(first).1)
    }

    /// Gives the `count` oldest records, at most as many as there are, in one or two slices.
    pub(crate) fn peek(&mut self, count: usize, mut each: impl FnMut(Slice<'_>)) {
        let count = count.min(self.records.len());
        if self.width > 0 {
            let octets = count * self.width;
            let (front, back) = self.more.as_slices();
            let split = octets.min(front.len());
            self.read.clear();
            self.read.extend_from_slice(&front[..split]);
            self.read.extend_from_slice(&back[..octets - split]);
        }
        let (front, back) = self.records.as_slices();
        let split = count.min(front.len());
        let (front_rows, back_rows) = self.read.split_at(split * self.width);
        let tails = self.tails.as_ref().map_or_else(TailSlice::default, Tails::all);
        let (front_tails, back_tails) = tails.split_at(split);
        each(Slice { records: &front[..split], more: front_rows, tails: front_tails });
        if split < count {
            let (tails, _) = back_tails.split_at(count - split);
            each(Slice { records: &back[..count - split], more: back_rows, tails });
        }
    }

    /// As [`Batch::peek`], and removes them.
    pub(crate) fn take(&mut self, count: usize, each: impl FnMut(Slice<'_>)) {
        let count = count.min(self.records.len());
        self.peek(count, each);
        self.records.drain(..count);
        if self.width > 0 {
            self.more.drain(..count * self.width);
        }
        if let Some(tails) = &mut self.tails {
            tails.drop_first(count);
        }
    }

    /// The records, without their extension rows.
    pub(crate) fn records(&self) -> impl Iterator<Item = &FlowRecord> {
        self.records.iter()
    }

    /// Gives each record with its row, and its tail behind that.
    pub fn each(&mut self, mut each: impl FnMut(Entry<'_>)) {
        let rows = self.more.make_contiguous();
        let mut rows = rows.chunks_exact(self.width.max(1));
        let tails = self.tails.as_ref().map(Tails::all);
        let mut tails = tails.map(TailSlice::iter);
        for record in &self.records {
            let mut more = rows.next().unwrap_or_default();
            if let Some(tails) = &mut tails {
                self.read.clear();
                self.read.extend_from_slice(more);
                self.read.extend_from_slice(tails.next().unwrap_or_default());
                more = &self.read;
            }
            each(Entry { record, more });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn each_record_keeps_its_row_and_tail_over_any_wrap_of_the_buffers() {
        let of = |record: u16| vec![7; usize::from(record % 11)];
        let mut batch = Batch::with_tails(24, true);
        let (mut pushed, mut taken) = (0_u16, 0_u16);
        for step in 0..500_u16 {
            for _ in 0..step % 7 {
                let row = [pushed.to_be_bytes(); 12];
                batch.push(&samples::udp(pushed), &[row.as_flattened(), &of(pushed)].concat());
                pushed += 1;
            }
            batch.take(usize::from(step % 5), |slice| {
                assert_eq!(slice.more.len(), 24 * slice.records.len());
                let rows = slice.more.chunks(24).zip(slice.tails.iter());
                for (record, (row, tail)) in slice.records.iter().zip(rows) {
                    assert_eq!(*record, samples::udp(taken));
                    assert_eq!(row, [taken.to_be_bytes(); 12].as_flattened());
                    assert_eq!(tail, of(taken));
                    taken += 1;
                }
            });
        }
        let left = batch.len();
        let mut all = batch.empty();
        all.append(batch);
        all.each(|entry| {
            assert_eq!(*entry.record, samples::udp(taken));
            assert_eq!(entry.more[..24], *[taken.to_be_bytes(); 12].as_flattened());
            assert_eq!(entry.more[24..], of(taken));
            taken += 1;
        });
        assert!(left > 100 && pushed == taken);
    }

    /// The row of the one record.
    fn more_of(batch: &mut Batch) -> Vec<u8> {
        let mut more = Vec::new();
        batch.each(|entry| more.extend_from_slice(entry.more));
        more
    }

    #[test]
    fn a_row_is_cut_or_filled_up_to_the_width_and_without_width_none_is_kept() {
        let record = samples::udp(1);
        for (more, kept) in [(&[][..], [0, 0]), (&[1], [1, 0]), (&[1, 2, 3], [1, 2])] {
            let mut batch = Batch::new(2);
            batch.push(&record, more);
            assert!(more_of(&mut batch) == kept);
            let mut batch = Batch::default();
            batch.push(&record, more);
            assert!(more_of(&mut batch).is_empty());
        }
    }
}
