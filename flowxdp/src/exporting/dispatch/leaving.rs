//! A collector that a reload removed: its queue leaves as at an end, and the rest is named as lost.
//!
//! flushing → closing → gone; a refusal of the last datagram leads back to flushing

use flowxdp_common::reason::Undelivered;
use flowxdp_core::{
    books::Collector,
    clock::{AgentTime, MILLISECOND, Now, SECOND},
};

use super::Dispatch;
use crate::{
    collector_url::CollectorUrl,
    exporting::exporter::{Exporter, Outcome},
};

/// A collector without progress is waited for so long, nanoseconds.
const PATIENCE: u64 = 5 * SECOND;

/// A collector with progress is waited for so long, nanoseconds.
const LONGEST: u64 = 60 * SECOND;

/// How long a refusal of the last datagram may take to come back, nanoseconds.
const LAST_REFUSAL: u64 = 50 * MILLISECOND;

/// Nanoseconds between two polls of it.
const POLL: u64 = 10 * MILLISECOND;

/// An exporter on its way out.
pub(super) struct Leaving {
    exporter: Exporter,
    begun: AgentTime,
    /// Since when its connection ends; none while it flushes.
    closing: Option<AgentTime>,
    /// Its terms as far as other collectors have taken them over, where its records are owed to no other.
    taken_over: Option<Outcome>,
}

impl Leaving {
    /// `alone`: its records are owed to no other collector, which took over its terms until now.
    pub(super) fn new(exporter: Exporter, real: AgentTime, alone: bool) -> Self {
        exporter.leave_name();
        let taken_over = alone.then(|| exporter.outcome());
        Self { exporter, begun: real, closing: None, taken_over }
    }

    pub(super) const fn url(&self) -> &CollectorUrl {
        self.exporter.url()
    }

    pub(super) const fn exporter(&self) -> &Exporter {
        &self.exporter
    }

    pub(super) fn books(&self) -> Collector {
        Collector { ending: true, alone: self.taken_over.is_some(), ..self.exporter.books() }
    }

    /// A step; true when nothing is left.
    fn poll(&mut self, real: AgentTime, now: Now) -> bool {
        self.exporter.poll(real, now, true);
        let is_late = real > self.begun.after(LONGEST) || self.exporter.waited(self.begun, real) > PATIENCE;
        let Some(since) = self.closing else {
            if self.exporter.is_settled(now, true) {
                self.closing = Some(real);
            } else if is_late {
                self.give_up(real, now);
            }
            return false;
        };
        let is_closed = self.exporter.close(real);
        if !is_closed && real > since.after(PATIENCE) {
            self.give_up(real, now);
        }
        if !is_closed || real < since.after(LAST_REFUSAL) {
            return false;
        }
        self.exporter.judge_last(real);
        let is_empty = self.exporter.is_given_up() || self.exporter.queued().records == 0;
        if !is_empty {
            self.closing = None;
        }
        is_empty
    }

    fn give_up(&mut self, real: AgentTime, now: Now) {
        let lost = self.exporter.discard(Undelivered::CollectorUnreachable, real, now);
        self.closing = Some(real);
        log::error!(
            "collector {}: removed, and given up with {} records not delivered ({} packets)",
            self.url(),
            lost.records,
            lost.packets
        );
    }
}

impl Dispatch {
    /// Lets collectors that were removed send, and forgets those that are through.
    pub(super) fn poll_leaving(&mut self, real: AgentTime, now: Now) {
        self.wakes.truncate(self.exporters.len());
        for mut leaving in std::mem::take(&mut self.leaving) {
            let is_gone = leaving.poll(real, now);
            self.take_over(&mut leaving);
            if is_gone {
                let exported = leaving.exporter.exported_records();
                log::info!("collector {}: removed after {exported} records", leaving.url());
                leaving.exporter.remove();
            } else {
                self.wakes.push(Some(real.after(POLL)));
                self.leaving.push(leaving);
            }
        }
    }

    /// Records of a collector that goes are in the books of others once their fate is known: of all, or,
    /// where each record goes to one collector, of the first.
    fn take_over(&mut self, leaving: &mut Leaving) {
        let Some(before) = &mut leaving.taken_over else { return };
        let outcome = leaving.exporter.outcome();
        if outcome != *before {
            let others = if self.is_divided() { 1 } else { self.exporters.len() };
            self.exporters.iter_mut().take(others).for_each(|exporter| exporter.follow(before, &outcome));
            *before = outcome;
        }
    }
}
