//! Records that wait for a message, first in first out, each as many records as its counters need.

use std::collections::VecDeque;

use super::SPAN;
use crate::record::{Batch, Entry as Record, FlowRecord, RecordTotal, Ticket};

/// How a record waits.
#[derive(Debug)]
struct Waiting {
    /// Monotonic nanoseconds.
    pushed: u64,
    /// The records that what is left of it makes.
    parts: u64,
}

#[derive(Debug)]
pub(super) struct Queue {
    /// What is left of each record.
    records: Batch,
    waiting: VecDeque<Waiting>,
    total: RecordTotal,
    /// No record that waits starts before, milliseconds since 1970.
    earliest_ms: u64,
    /// No record that waits ends later, milliseconds since 1970.
    latest_ms: u64,
}

impl Queue {
    /// Extension rows have `width` octets.
    pub(super) fn new(width: usize) -> Self {
        Self {
            records: Batch::new(width),
            waiting: VecDeque::new(),
            total: RecordTotal::default(),
            earliest_ms: u64::MAX,
            latest_ms: 0,
        }
    }

    pub(super) fn push(&mut self, entry: Record<'_>, now: u64) {
        let Record { record, .. } = entry;
        let parts = parts(record);
        self.total += RecordTotal { records: parts, packets: record.packets(), octets: record.octets() };
        self.earliest_ms = self.earliest_ms.min(record.start_ms());
        self.latest_ms = self.latest_ms.max(record.end_ms());
        self.records.push(entry);
        self.waiting.push_back(Waiting { pushed: now, parts });
    }

    /// Records as they will be sent.
    pub(super) const fn total(&self) -> RecordTotal {
        self.total
    }

    /// When the oldest record was pushed, monotonic nanoseconds.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.waiting.front().map(|waiting| waiting.pushed)
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

    /// Offers the next record to send to `take`, with an even share of counters that are too large for one; it
    /// waits on if that gives `false`. Whether it was taken.
    pub(super) fn offer(&mut self, take: impl FnOnce(Record<'_>) -> bool) -> bool {
        let Some(waiting) = self.waiting.front_mut() else { return false };
        let Some((record, more)) = self.records.front() else { return false };
        let mut part = RecordTotal { records: 1, packets: record.packets(), octets: record.octets() };
        if waiting.parts == 1 {
            if !take(Record { record, more }) {
                return false;
            }
            self.waiting.pop_front();
            self.records.remove(1);
        } else {
            part.packets = part.packets.div_ceil(waiting.parts);
            part.octets = part.octets.div_ceil(waiting.parts);
            let mut share = record.with(|flow| (flow.packets, flow.octets) = (part.packets, part.octets));
            share.ticket = Ticket::NONE;
            if !take(Record { record: &share, more }) {
                return false;
            }
            *record = record.with(|flow| {
                flow.packets -= part.packets;
                flow.octets -= part.octets;
            });
            waiting.parts -= 1;
        }
        self.total -= part;
        true
    }

    /// Takes out everything that waits, unsplit, the oldest first.
    pub(super) fn drain(&mut self) -> Batch {
        std::mem::replace(self, Self::new(self.records.width())).records
    }
}

/// How many records of 32-bit counters one record needs.
fn parts(record: &FlowRecord) -> u64 {
    record.packets().max(record.octets()).div_ceil(u64::from(u32::MAX)).max(1)
}
