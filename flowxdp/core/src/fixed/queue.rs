//! Records that wait for a message, first in first out, each as many records as its counters need.

use std::collections::VecDeque;

use super::SPAN;
use crate::record::{FlowRecord, RecordTotal, Ticket};

#[derive(Debug)]
struct Entry {
    /// Monotonic nanoseconds.
    pushed: u64,
    /// What is left of it.
    record: FlowRecord,
    /// The records that this makes.
    parts: u64,
}

#[derive(Debug)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    total: RecordTotal,
    /// No record that waits starts before, milliseconds since 1970.
    earliest_ms: u64,
    /// No record that waits ends later, milliseconds since 1970.
    latest_ms: u64,
}

impl Default for Queue {
    fn default() -> Self {
        let (entries, total) = (VecDeque::new(), RecordTotal::default());
        Self { entries, total, earliest_ms: u64::MAX, latest_ms: 0 }
    }
}

impl Queue {
    pub(super) fn push(&mut self, record: &FlowRecord, now: u64) {
        let parts = parts(record);
        self.total += RecordTotal { records: parts, packets: record.packets, octets: record.octets };
        self.earliest_ms = self.earliest_ms.min(record.start_ms);
        self.latest_ms = self.latest_ms.max(record.end_ms);
        self.entries.push_back(Entry { pushed: now, record: *record, parts });
    }

    /// Records as they will be sent.
    pub(super) const fn total(&self) -> RecordTotal {
        self.total
    }

    /// When the oldest record was pushed, monotonic nanoseconds.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.pushed)
    }

    /// A time that no record here ends after, milliseconds since 1970.
    pub(super) const fn latest_ms(&self) -> u64 {
        self.latest_ms
    }

    /// `wall_ms`, or the latest time before it that every start here is at most [`SPAN`] before.
    pub(super) fn reach(&mut self, wall_ms: u64) -> u64 {
        if wall_ms.saturating_sub(self.earliest_ms) > SPAN {
            // The record that started then may have left.
            let starts = self.entries.iter().map(|entry| entry.record.start_ms);
            self.earliest_ms = starts.min().unwrap_or(u64::MAX);
        }
        wall_ms.min(self.earliest_ms.saturating_add(SPAN))
    }

    /// Offers the next record to send to `take`, with an even share of counters that are too large for one; it
    /// waits on if that gives `false`. Whether it was taken.
    pub(super) fn offer(&mut self, take: impl FnOnce(&FlowRecord) -> bool) -> bool {
        let Some(entry) = self.entries.front_mut() else { return false };
        let mut part = RecordTotal { records: 1, packets: entry.record.packets, octets: entry.record.octets };
        if entry.parts == 1 {
            if !take(&entry.record) {
                return false;
            }
            self.entries.pop_front();
        } else {
            part.packets = part.packets.div_ceil(entry.parts);
            part.octets = part.octets.div_ceil(entry.parts);
            let (packets, octets) = (part.packets, part.octets);
            if !take(&FlowRecord { packets, octets, ticket: Ticket::NONE, ..entry.record }) {
                return false;
            }
            entry.record.packets -= packets;
            entry.record.octets -= octets;
            entry.parts -= 1;
        }
        self.total -= part;
        true
    }

    /// Everything that waits, unsplit, the oldest first.
    pub(super) fn into_records(self) -> Vec<FlowRecord> {
        self.entries.into_iter().map(|entry| entry.record).collect()
    }
}

/// How many records of 32-bit counters one record needs.
fn parts(record: &FlowRecord) -> u64 {
    record.packets.max(record.octets).div_ceil(u64::from(u32::MAX)).max(1)
}
