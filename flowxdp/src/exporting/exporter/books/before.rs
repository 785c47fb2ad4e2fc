//! A collector that comes or goes while the agent runs: records that were retired before are not owed to it.

use flowxdp_common::{
    journal::Sum,
    reason::{UNDELIVERED, Undelivered},
};
use flowxdp_core::record::RecordTotal;

use super::{CollectorBooks, add, less, subtract, total};
use crate::exporting::deliveries::SharedLedger;

/// Records that were handed over, and records that were given up, by reason, with the records of before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    delivered: Sum,
    lost: [Sum; UNDELIVERED.len()],
}

impl Outcome {
    /// The terms of a collector that the configuration names no more.
    pub(in crate::exporting::exporter) fn left(ledger: &SharedLedger, at: usize) -> Self {
        let left = ledger.borrow_mut().recover(at);
        CollectorBooks::recover(ledger, at, &left).outcome_with_spool()
    }

    /// Without records that come again.
    pub(in crate::exporting::exporter) fn without(mut self, mut again: RecordTotal) -> Self {
        for sum in std::iter::once(&mut self.delivered).chain(&mut self.lost) {
            let before = total(*sum);
            subtract(sum, again);
            again = less(again, less(before, total(*sum)));
        }
        self
    }

    /// Both together.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        add(&mut self.delivered, total(other.delivered));
        for (sum, lost) in self.lost.iter_mut().zip(other.lost) {
            add(sum, total(lost));
        }
        self
    }

    /// With records that others still have to deliver.
    pub(crate) fn with(mut self, queued: RecordTotal) -> Self {
        add(&mut self.delivered, queued);
        self
    }
}

impl CollectorBooks {
    /// The terms up to now.
    pub(in crate::exporting::exporter) fn outcome(&self) -> Outcome {
        let mut outcome = Outcome { delivered: self.now.before, lost: self.now.before_lost };
        add(&mut outcome.delivered, total(self.now.exported));
        for (sum, lost) in outcome.lost.iter_mut().zip(self.now.lost) {
            add(sum, total(lost));
        }
        outcome
    }

    /// The terms up to now, with records on disk, which are owed to this collector alone.
    pub(in crate::exporting::exporter) fn outcome_with_spool(&self) -> Outcome {
        self.outcome().with(total(self.now.spooled))
    }

    /// Retired before this collector was there.
    pub(super) fn before(&self) -> RecordTotal {
        let mut before = total(self.now.before);
        self.now.before_lost.iter().for_each(|sum| before += total(*sum));
        before
    }

    /// Moves terms of before from `from` to `to`, as the queue of a collector that goes leaves.
    pub(in crate::exporting::exporter) fn follow(&mut self, from: &Outcome, to: &Outcome) {
        let step = |sum: &mut Sum, from: Sum, to: Sum| {
            add(sum, total(to));
            subtract(sum, total(from));
        };
        step(&mut self.now.before, from.delivered, to.delivered);
        for (sum, (from, to)) in self.now.before_lost.iter_mut().zip(from.lost.iter().zip(to.lost)) {
            step(sum, *from, to);
        }
        self.commit();
    }

    /// Writes down every step from now on, for a collector that a reload added. Where `excused`,
    /// records that wait for others now are not owed to it. The page's name comes last: until then a killed agent has left no page.
    ///
    /// # Errors
    ///
    /// There is no page left.
    pub(in crate::exporting::exporter) fn attach(
        &mut self,
        ledger: &SharedLedger,
        url: &str,
        excused: bool,
    ) -> anyhow::Result<()> {
        let at = ledger.borrow().free_page()?;
        self.page = Some((ledger.clone(), at));
        if excused {
            self.excuse();
        }
        self.commit();
        self.rename(Some(url));
        Ok(())
    }

    /// Records that wait for others now are not owed to this collector.
    pub(in crate::exporting::exporter) fn excuse(&self) {
        if let Some((ledger, at)) = &self.page {
            ledger.borrow_mut().excuse(*at);
        }
    }

    /// The page has the name of another URL from now on, or none that a configuration can have.
    pub(in crate::exporting::exporter) fn rename(&self, url: Option<&str>) {
        if let Some((ledger, at)) = &self.page {
            ledger.borrow_mut().rename(*at, url);
        }
    }

    /// The collector is gone: its page is free.
    pub(in crate::exporting::exporter) fn detach(&mut self) {
        if let Some((ledger, at)) = self.page.take() {
            ledger.borrow_mut().forget(at);
        }
    }

    /// Sequences of other domains than these are over.
    pub(in crate::exporting::exporter) fn keep_domains(&mut self, domains: [u32; 2]) {
        for sequence in self.now.sequences.iter_mut().filter(|it| !domains.contains(&it.domain)) {
            *sequence = bytemuck::Zeroable::zeroed();
        }
    }

    /// Records on disk that are removed with it: `foreign` are of an earlier table.
    pub(in crate::exporting::exporter) fn lost_spool(
        &mut self,
        reason: Undelivered,
        ours: RecordTotal,
        foreign: RecordTotal,
    ) {
        self.lost_stored(reason, ours, false);
        self.lost_stored(reason, foreign, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_come_again_are_taken_from_delivered_ones_first() {
        let sum = |records| Sum { records, packets: 10 * records, octets: 100 * records };
        let mut outcome = Outcome { delivered: sum(3), ..Outcome::default() };
        outcome.lost[Undelivered::QueueFull as usize] = sum(5);
        let less = outcome.without(total(sum(4)));
        assert_eq!((less.delivered, less.lost[Undelivered::QueueFull as usize]), (sum(0), sum(4)));
        assert_eq!(outcome.without(RecordTotal::default()), outcome);
    }
}
