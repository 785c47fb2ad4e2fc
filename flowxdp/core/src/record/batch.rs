//! Records one behind the other, with their extension rows.

use std::collections::VecDeque;

use super::{Entry, FlowRecord};

/// Records in the order in which they came, each with an extension row of the same width.
///
/// No record allocates on its own: rows stand in one buffer, and in none where the width is 0.
#[derive(Debug, Default)]
pub struct Batch {
    records: VecDeque<FlowRecord>,
    /// The extension rows.
    more: VecDeque<u8>,
    /// Octets of one of them.
    width: usize,
    /// The rows that are read, where they do not lie in one piece.
    read: Vec<u8>,
}

impl Batch {
    /// Without records; extension rows have `width` octets.
    pub fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// Octets of an extension row.
    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Appends a record. Its extension row is cut or filled up with zeros to the width.
    #[inline]
    pub fn push(&mut self, record: &FlowRecord, more: &[u8]) {
        self.records.push_back(*record);
        if self.width > 0 {
            self.push_row(more);
        }
    }

    fn push_row(&mut self, row: &[u8]) {
        self.more.extend(row.get(..self.width).unwrap_or(row));
        self.more.resize(self.records.len() * self.width, 0);
    }

    /// Appends the records of another batch.
    pub(crate) fn append(&mut self, mut other: Self) {
        other.iter().for_each(|entry| self.push(entry.record, entry.more));
    }

    /// The oldest record.
    pub(crate) fn front(&self) -> Option<&FlowRecord> {
        self.records.front()
    }

    /// The oldest record, to be changed.
    pub(crate) fn front_mut(&mut self) -> Option<&mut FlowRecord> {
        self.records.front_mut()
    }

    /// Gives the `count` oldest records, at most as many as there are, in one or two slices, each with its
    /// extension rows.
    pub(crate) fn peek(&mut self, count: usize, mut each: impl FnMut(&[FlowRecord], &[u8])) {
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
        each(&front[..split], front_rows);
        if split < count {
            each(&back[..count - split], back_rows);
        }
    }

    /// As [`Batch::peek`], and removes them.
    pub(crate) fn take(&mut self, count: usize, each: impl FnMut(&[FlowRecord], &[u8])) {
        let count = count.min(self.records.len());
        self.peek(count, each);
        self.records.drain(..count);
        if self.width > 0 {
            self.more.drain(..count * self.width);
        }
    }

    /// The records, without their extension rows.
    pub(crate) fn records(&self) -> impl Iterator<Item = &FlowRecord> {
        self.records.iter()
    }

    /// The records with their rows, which are put into one piece.
    pub fn iter(&mut self) -> impl Iterator<Item = Entry<'_>> {
        let rows = self.more.make_contiguous();
        let mut rows = rows.chunks_exact(self.width.max(1));
        self.records.iter().map(move |record| Entry { record, more: rows.next().unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn each_record_keeps_its_row_over_any_wrap_of_the_buffers() {
        let mut batch = Batch::new(24);
        let (mut pushed, mut taken) = (0_u16, 0_u16);
        for step in 0..500_u16 {
            for _ in 0..step % 7 {
                let row = [pushed.to_be_bytes(); 12];
                batch.push(&samples::udp(pushed), row.as_flattened());
                pushed += 1;
            }
            batch.take(usize::from(step % 5), |records, rows| {
                assert_eq!(rows.len(), 24 * records.len());
                for (record, row) in records.iter().zip(rows.chunks(24)) {
                    assert_eq!(*record, samples::udp(taken));
                    assert_eq!(row, [taken.to_be_bytes(); 12].as_flattened());
                    taken += 1;
                }
            });
        }
        let left = batch.len();
        let mut all = Batch::new(24);
        all.append(batch);
        for entry in all.iter() {
            assert_eq!(*entry.record, samples::udp(taken));
            assert_eq!(entry.more, [taken.to_be_bytes(); 12].as_flattened());
            taken += 1;
        }
        assert!(left > 100 && pushed == taken);
    }

    #[test]
    fn a_row_is_cut_or_filled_up_to_the_width_and_without_width_none_is_kept() {
        let record = samples::udp(1);
        for (more, kept) in [(&[][..], [0, 0]), (&[1], [1, 0]), (&[1, 2, 3], [1, 2])] {
            let mut batch = Batch::new(2);
            batch.push(&record, more);
            assert!(batch.iter().all(|entry| entry.more == kept));
            let mut batch = Batch::default();
            batch.push(&record, more);
            assert!(batch.iter().all(|entry| entry.more.is_empty()));
        }
    }
}
