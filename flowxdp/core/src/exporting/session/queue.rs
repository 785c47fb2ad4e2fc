//! Records that wait for a message, first in first out for each kind.

use std::collections::{VecDeque, vec_deque::Iter};

use super::layout::{Counts, Layout, Octets};
use crate::clock::MeterTime;
use crate::exporting::template::{Kind, Template};
use crate::record::{Batch, FlowRecord, RecordTotal, Slice};

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

/// The records of the next message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    pub(super) counts: Counts,
    pub(super) octets: Octets,
}

impl Waiting {
    /// How many of the records behind the `first` ones, at most `most`, are data records of at most `room` octets
    /// together; and their octets.
    fn fitting(&self, template: &Template, first: usize, most: usize, room: usize) -> (usize, usize) {
        if !template.has_tail() {
            let length = template.record_length();
            let count = most.min(room / length);
            return (count, count * length);
        }
        let lengths = self.records.tails_behind(first).iter().map(|tail| template.length_with(tail));
        let fitting = lengths.take(most).scan(0, |octets, length| {
            *octets += length;
            (*octets <= room).then_some(*octets)
        });
        fitting.fold((0, 0), |(count, _), octets| (count + 1, octets))
    }

    /// Octets of the data records, as far as they fill a message.
    fn octets(&self, template: &Template, max_message: usize) -> usize {
        if !template.has_tail() {
            return self.records.len() * template.record_length();
        }
        let lengths = self.records.tails_behind(0).iter().map(|tail| template.length_with(tail));
        let sums = lengths.scan(0, |octets, length| {
            let before = *octets;
            *octets += length;
            (before <= max_message).then_some(*octets)
        });
        sums.last().unwrap_or(0)
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    kinds: [Waiting; Kind::ALL.len()],
    next: u64,
    total: RecordTotal,
}

impl Queue {
    /// Over batches of the form of an empty one.
    pub(super) fn new(empty: &Batch) -> Self {
        let kinds = Kind::ALL.map(|_| Waiting { records: empty.empty(), runs: VecDeque::new() });
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

    /// Octets of the data records of each kind, as far as they fill a message.
    pub(super) fn octets(&self, layout: &Layout) -> Octets {
        let mut octets = Octets::default();
        for (octets, (waiting, template)) in octets.iter_mut().zip(self.kinds.iter().zip(layout.templates()))
        {
            *octets = waiting.octets(template, layout.max_message());
        }
        octets
    }

    /// How many of each kind the next message takes.
    ///
    /// The oldest record goes first, whatever its kind, so that none starves. Once the oldest of a kind does
    /// not fit, smaller ones of other kinds still fill the rest, and that record leads the next message.
    pub(super) fn plan(&self, layout: &Layout, templates: bool) -> Plan {
        let Plan { mut counts, mut octets } = Plan::default();
        // No record of another kind is among those of a run, so that a run is planned at once.
        let mut runs = self.kinds.each_ref().map(|waiting| waiting.runs.iter().peekable());
        loop {
            let heads = runs.iter_mut().enumerate();
            let heads = heads.filter_map(|(kind, runs)| Some((runs.peek()?.order, kind)));
            let Some((_, kind)) = heads.min() else { return Plan { counts, octets } };
            let Some(run) = runs[kind].next() else { return Plan { counts, octets } };
            let room = layout.room(&octets, kind, templates).saturating_sub(octets[kind]);
            let template = &layout.templates()[kind];
            let (count, length) = self.kinds[kind].fitting(template, counts[kind], run.count, room);
            counts[kind] += count;
            octets[kind] += length;
            if count < run.count {
                // The oldest of this kind that is left does not fit.
                runs[kind] = Iter::default().peekable();
            }
        }
    }

    /// Takes the `count` oldest records of the kind with index `kind`, at most as many as there are, in one
    /// or two slices.
    ///
    /// They stay in the total until [`Queue::sent`].
    pub(super) fn take(&mut self, kind: usize, count: usize, each: impl FnMut(Slice<'_>)) {
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
            let empty = waiting.records.empty();
            batch.append(std::mem::replace(&mut waiting.records, empty));
            waiting.runs.clear();
        }
        self.total = RecordTotal::default();
    }
}
