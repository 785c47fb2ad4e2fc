//! Cold slots in shared memory: some words beside each slot of a flow table.

use flowxdp_common::field::{self, ColdRow, Groups};

use super::map::Mapped;

/// The cold slots of one table.
#[derive(Debug)]
pub struct ColdSlots {
    words: Mapped<u64>,
    /// Words of one slot; 0: no group has cold fields, and the map is a stub.
    each: usize,
}

impl ColdSlots {
    /// The map of words, laid out for `groups`.
    pub const fn new(words: Mapped<u64>, groups: Groups) -> Self {
        Self::with_words(words, field::width(groups) / 8)
    }

    /// The map of words, so many a slot.
    pub(super) const fn with_words(words: Mapped<u64>, each: usize) -> Self {
        Self { words, each }
    }

    /// The octets of a slot, read into `row`; torn while its CPU writes it.
    #[inline]
    pub fn read<'row>(&self, index: usize, row: &'row mut ColdRow) -> &'row [u8] {
        let octets = row.get_mut(..self.each * 8).unwrap_or_default();
        for (word, place) in octets.chunks_exact_mut(8).enumerate() {
            place.copy_from_slice(&self.words.read(index * self.each + word).to_ne_bytes());
        }
        octets
    }

    /// Writes a slot, word by word.
    pub fn write(&mut self, index: usize, row: &[u8]) {
        let mut words = row.chunks_exact(8);
        for (word, octets) in words.by_ref().take(self.each).enumerate() {
            self.words.write(index * self.each + word, &bytemuck::pod_read_unaligned(octets));
        }
    }

    /// Lets memory fetch a slot, or the octets behind the last slot.
    #[inline]
    pub fn prefetch(&self, index: usize) {
        if self.each > 0 {
            self.words.prefetch(index * self.each);
        }
    }
}
