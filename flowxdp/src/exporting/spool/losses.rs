//! Records that will not be read back, by reason and origin.

use flowxdp_common::reason::Undelivered;
use flowxdp_core::record::RecordTotal;

use super::Lost;

/// Messages and their records. Sums saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) total: RecordTotal,
    pub(super) messages: u64,
}

impl Tally {
    /// One message.
    pub(super) const fn of(total: RecordTotal) -> Self {
        Self { total, messages: 1 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.messages == 0 && self.total.records == 0
    }

    pub(super) const fn add(&mut self, other: &Self) {
        add(&mut self.total, &other.total);
        self.messages = self.messages.saturating_add(other.messages);
    }

    /// Subtracts `other`, at most down to zero, and gives the difference made.
    pub(super) fn take(&mut self, other: &Self) -> Self {
        let taken = Self {
            total: RecordTotal {
                records: self.total.records.min(other.total.records),
                packets: self.total.packets.min(other.total.packets),
                octets: self.total.octets.min(other.total.octets),
            },
            messages: self.messages.min(other.messages),
        };
        self.total -= taken.total;
        self.messages -= taken.messages;
        taken
    }
}

/// Adds to a sum that saturates.
pub(super) const fn add(sum: &mut RecordTotal, more: &RecordTotal) {
    sum.records = sum.records.saturating_add(more.records);
    sum.packets = sum.packets.saturating_add(more.packets);
    sum.octets = sum.octets.saturating_add(more.octets);
}

/// Records lost since the last question.
#[derive(Debug, Default)]
pub(super) struct Losses {
    rows: Vec<Lost>,
}

impl Losses {
    pub(super) fn add(&mut self, reason: Undelivered, inherited: bool, tally: &Tally) {
        if tally.is_empty() {
            return;
        }
        match self.rows.iter_mut().find(|row| row.reason == reason && row.inherited == inherited) {
            Some(row) => {
                add(&mut row.total, &tally.total);
                row.messages = row.messages.saturating_add(tally.messages);
            }
            None => {
                self.rows.push(Lost { reason, inherited, total: tally.total, messages: tally.messages });
            }
        }
    }

    pub(super) fn take(&mut self) -> Vec<Lost> {
        std::mem::take(&mut self.rows)
    }
}
