//! Records that wait for a message, first in first out for each kind.

use std::collections::{VecDeque, vec_deque::Iter};

use super::layout::{Counts, Layout};
use crate::clock::MeterTime;
use crate::exporting::template::Kind;
use crate::record::{Batch, FlowRecord, RecordTotal};

/// Records of one kind that were pushed one after the other at one instant.
#[derive(Debug)]
struct Run {
    /// Place of the first in the order of all kinds; the others follow without a gap.
    order: u64,
    count: usize,
    /// Monotonic nanoseconds.
    pushed: MeterTime,
}

/// Records of one kind, and the runs that they came in.
#[derive(Debug, Default)]
struct Waiting {
    records: Batch,
    runs: VecDeque<Run>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    kinds: [Waiting; Kind::ALL.len()],
    next: u64,
    total: RecordTotal,
}

impl Queue {
    /// Extension rows have `width` octets.
    pub(super) fn new(width: usize) -> Self {
        let kinds = Kind::ALL.map(|_| Waiting { records: Batch::new(width), runs: VecDeque::new() });
        Self { kinds, ..Self::default() }
    }

    pub(super) fn push(&mut self, record: &FlowRecord, more: &[u8], now: MeterTime) {
        let order = self.next;
        self.next += 1;
        self.total.count(record);
        let Waiting { records, runs } = &mut self.kinds[Kind::of(record) as usize];
        records.push(record, more);
        match runs.back_mut() {
            Some(run) if run.pushed == now && run.order + run.count as u64 == order => run.count += 1,
            _ => runs.push_back(Run { order, count: 1, pushed: now }),
        }
    }

    pub(super) const fn total(&self) -> RecordTotal {
        self.total
    }

    /// When the oldest record was pushed.
    pub(super) fn oldest(&self) -> Option<MeterTime> {
        self.kinds.iter().filter_map(|waiting| waiting.runs.front()).map(|run| run.pushed).min()
    }

    pub(super) fn counts(&self) -> Counts {
        self.kinds.each_ref().map(|waiting| waiting.records.len())
    }

    /// How many of each kind the next message takes.
    ///
    /// The oldest record goes first, whatever its kind, so that none starves. Once the oldest of a kind does
    /// not fit, smaller ones of other kinds still fill the rest, and that record leads the next message.
    pub(super) fn plan(&self, layout: &Layout, templates: bool) -> Counts {
        let mut counts = Counts::default();
        // No record of another kind is among those of a run, so that a run is planned at once.
        let mut runs = self.kinds.each_ref().map(|waiting| waiting.runs.iter().peekable());
        loop {
            let heads = runs.iter_mut().enumerate();
            let heads = heads.filter_map(|(kind, runs)| Some((runs.peek()?.order, kind)));
            let Some((_, kind)) = heads.min() else { return counts };
            let Some(run) = runs[kind].next() else { return counts };
            let most = layout.most(&counts, kind, templates);
            counts[kind] += run.count;
            if counts[kind] > most {
                counts[kind] = most;
                // The oldest of this kind that is left does not fit.
                runs[kind] = Iter::default().peekable();
            }
        }
    }

    /// Takes the `count` oldest records of the kind with index `kind`, at most as many as there are, in one
    /// or two slices, each with its extension rows.
    ///
    /// They stay in the total until [`Queue::sent`].
    pub(super) fn take(&mut self, kind: usize, count: usize, each: impl FnMut(&[FlowRecord], &[u8])) {
        let Waiting { records, runs } = &mut self.kinds[kind];
        let count = count.min(records.len());
        records.take(count, each);
        let mut left = count;
        while let Some(run) = runs.front_mut().filter(|_| left > 0) {
            let taken = run.count.min(left);
            (run.order, run.count, left) = (run.order + taken as u64, run.count - taken, left - taken);
            if run.count == 0 {
                runs.pop_front();
            }
        }
    }

    /// Takes records that were taken off the total.
    pub(super) fn sent(&mut self, total: RecordTotal) {
        self.total -= total;
    }

    /// Moves everything to `batch`, in the order of its kinds.
    pub(super) fn drain(&mut self, batch: &mut Batch) {
        for waiting in &mut self.kinds {
            let width = waiting.records.width();
            batch.append(std::mem::replace(&mut waiting.records, Batch::new(width)));
            waiting.runs.clear();
        }
        self.total = RecordTotal::default();
    }
}
