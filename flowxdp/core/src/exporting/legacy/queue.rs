//! Records that wait for a message, first in first out, each as many records as its counters need.

use std::collections::VecDeque;

use super::SPAN;
use crate::clock::MeterTime;
use crate::record::{Batch, DeliveryId, FlowRecord, RecordTotal, Slice};

/// The times of records that one header places.
#[derive(Debug)]
pub(super) struct Times {
    earliest_ms: u64,
    /// The latest end, milliseconds since 1970.
    pub(super) latest_ms: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self { earliest_ms: u64::MAX, latest_ms: 0 }
    }
}

impl Times {
    /// Takes a record's times in, if one header places all then.
    #[inline]
    fn take(&mut self, record: &FlowRecord) -> bool {
        let earliest_ms = record.start_ms().min(self.earliest_ms);
        let latest_ms = record.end_ms().max(self.latest_ms);
        let fits = latest_ms.saturating_sub(earliest_ms) <= SPAN;
        if fits {
            (self.earliest_ms, self.latest_ms) = (earliest_ms, latest_ms);
        }
        fits
    }
}

/// Records that were pushed one after the other at one instant and are one record each; or one that is several.
#[derive(Debug)]
struct Run {
    /// Monotonic nanoseconds.
    pushed: MeterTime,
    count: usize,
    /// The records that the remainders make.
    parts: u64,
}

#[derive(Debug)]
pub(super) struct Queue {
    /// The remainder of each record.
    records: Batch,
    runs: VecDeque<Run>,
    total: RecordTotal,
    /// No record that waits starts before, milliseconds since 1970.
    earliest_ms: u64,
    /// No record that waits ends later, milliseconds since 1970.
    latest_ms: u64,
}

impl Queue {
    /// Over an empty batch.
    pub(super) fn new(records: Batch) -> Self {
        Self {
            records,
            runs: VecDeque::new(),
            total: RecordTotal::default(),
            earliest_ms: u64::MAX,
            latest_ms: 0,
        }
    }

    pub(super) fn push(&mut self, record: &FlowRecord, more: &[u8], now: MeterTime) {
        let parts = parts(record);
        self.total += RecordTotal { records: parts, packets: record.packets(), octets: record.octets() };
        self.earliest_ms = self.earliest_ms.min(record.start_ms());
        self.latest_ms = self.latest_ms.max(record.end_ms());
        self.records.push(record, more);
        match self.runs.back_mut() {
            Some(run) if run.pushed == now && run.parts == 1 && parts == 1 => run.count += 1,
            _ => self.runs.push_back(Run { pushed: now, count: 1, parts }),
        }
    }

    /// Records as they will be sent.
    pub(super) const fn total(&self) -> RecordTotal {
        self.total
    }

    /// When the oldest record was pushed.
    pub(super) fn oldest(&self) -> Option<MeterTime> {
        self.runs.front().map(|run| run.pushed)
    }

    /// A time that no record here ends after, milliseconds since 1970.
    pub(super) const fn latest_ms(&self) -> u64 {
        self.latest_ms
    }

    /// `wall_ms`, or the latest time before it that every start here is at most [`SPAN`] before.
    pub(super) fn reach(&mut self, wall_ms: u64) -> u64 {
        if wall_ms.saturating_sub(self.earliest_ms) > SPAN {
            // The record that started then may have left.
            let starts = self.records.records().map(FlowRecord::start_ms);
            self.earliest_ms = starts.min().unwrap_or(u64::MAX);
        }
        wall_ms.min(self.earliest_ms.saturating_add(SPAN))
    }

    /// How many of the oldest run, at most `most`, are one record each and go into one message: no start is more
    /// than [`SPAN`] before the latest end of all.
    pub(super) fn together(&self, most: usize, times: &mut Times) -> usize {
        let run = self.runs.front().filter(|run| run.parts == 1).map_or(0, |run| run.count);
        self.records.records().take(run.min(most)).take_while(|record| times.take(record)).count()
    }

    /// Takes the `count` oldest records of the oldest run in one or two slices, with their extension rows.
    ///
    /// They stay in the total until [`Queue::sent`].
    pub(super) fn take(&mut self, count: usize, each: impl FnMut(Slice<'_>)) {
        self.records.take(count, each);
        if let Some(run) = self.runs.front_mut() {
            run.count -= count;
            if run.count == 0 {
                self.runs.pop_front();
            }
        }
    }

    /// Takes records that were taken off the total.
    pub(super) fn sent(&mut self, total: RecordTotal) {
        self.total -= total;
    }

    /// Takes an even share of the oldest record, if its counters are too large for one and its times fit.
    ///
    /// The share stays in the total until [`Queue::sent`].
    pub(super) fn share(&mut self, times: &mut Times, mut take: impl FnMut(Slice<'_>)) -> bool {
        let (Some(run), Some(record)) = (self.runs.front_mut(), self.records.front()) else {
            return false;
        };
        if run.parts == 1 || !times.take(record) {
            return false;
        }
        let packets = record.packets().div_ceil(run.parts);
        let octets = record.octets().div_ceil(run.parts);
        run.parts -= 1;
        self.records.peek(1, |slice| {
            for record in slice.records {
                let mut share = record.with(|flow| (flow.packets, flow.octets) = (packets, octets));
                share.delivery = DeliveryId::NONE;
                take(Slice { records: &[share], ..slice });
            }
        });
        if let Some(record) = self.records.front_mut() {
            *record = record.with(|flow| {
                flow.packets -= packets;
                flow.octets -= octets;
            });
        }
        true
    }

    /// Takes out everything that waits, unsplit, the oldest first.
    pub(super) fn drain(&mut self) -> Batch {
        let empty = self.records.empty();
        std::mem::replace(self, Self::new(empty)).records
    }
}

/// How many records of 32-bit counters one record needs.
fn parts(record: &FlowRecord) -> u64 {
    let most = u64::from(u32::MAX);
    match record.packets().max(record.octets()) {
        counter if counter <= most => 1,
        counter => counter.div_ceil(most),
    }
}
