//! Records that wait for a message, first in first out for each kind.

use std::collections::VecDeque;

use super::layout::{Counts, Layout, with_one_more};
use crate::record::{FlowRecord, RecordTotal};
use crate::template::Kind;

#[derive(Debug)]
pub(super) struct Entry {
    /// Place in the order of all kinds.
    order: u64,
    /// Monotonic nanoseconds.
    pushed: u64,
    record: FlowRecord,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    kinds: [VecDeque<Entry>; Kind::ALL.len()],
    next: u64,
    total: RecordTotal,
}

impl Queue {
    pub(super) fn push(&mut self, record: &FlowRecord, now: u64) {
        let entry = Entry { order: self.next, pushed: now, record: *record };
        self.next += 1;
        self.total.count(record);
        self.kinds[Kind::of(record) as usize].push_back(entry);
    }

    pub(super) const fn total(&self) -> RecordTotal {
        self.total
    }

    /// When the oldest record was pushed, monotonic nanoseconds.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.kinds.iter().filter_map(VecDeque::front).map(|entry| entry.pushed).min()
    }

    pub(super) fn counts(&self) -> Counts {
        self.kinds.each_ref().map(VecDeque::len)
    }

    /// How many of each kind the next message takes.
    ///
    /// The oldest record goes first, whatever its kind, so that none starves. Once the oldest of a kind
    /// does not fit, smaller ones of other kinds still fill the rest; it leads the next message.
    pub(super) fn plan(&self, layout: &Layout, templates: bool) -> Counts {
        let mut counts = Counts::default();
        let mut open = [true; Kind::ALL.len()];
        loop {
            let heads = self.kinds.iter().enumerate().filter(|(kind, _)| open[*kind]);
            let heads = heads.filter_map(|(kind, queue)| Some((queue.get(counts[kind])?.order, kind)));
            let Some((_, kind)) = heads.min() else { return counts };
            let more = with_one_more(&counts, kind);
            if layout.fits(&more, templates) {
                counts = more;
            } else {
                open[kind] = false;
            }
        }
    }

    /// Takes the `count` oldest records of the kind with index `kind`, at most as many as there are.
    ///
    /// They stay in the total until [`Queue::sent`].
    pub(super) fn take(&mut self, kind: usize, count: usize) -> impl Iterator<Item = FlowRecord> {
        let queue = &mut self.kinds[kind];
        queue.drain(..count.min(queue.len())).map(|entry| entry.record)
    }

    /// Takes records that were taken off the total.
    pub(super) fn sent(&mut self, total: RecordTotal) {
        self.total -= total;
    }

    /// Takes everything out, in the order of its kinds.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = FlowRecord> {
        let queue = std::mem::take(self);
        queue.kinds.into_iter().flatten().map(|entry| entry.record)
    }
}
