//! Opens a spool, now or when its disk allows it, and enters its losses into the books.

use std::{io, time::Duration};

use flowxdp_common::reason::Undelivered;
use flowxdp_core::{
    clock::{AgentTime, Now, SECOND},
    record::RecordTotal,
};

use super::{Outgoing, Store};
use crate::collector_url::CollectorUrl;
use crate::exporting::deliveries::page::Left;
use crate::exporting::exporter::books::{CollectorBooks, less};
use crate::exporting::spool::{Spool, SpoolSettings};

/// Losses are spoken of once in so long, nanoseconds.
const SAY_AGAIN: u64 = 60 * SECOND;

/// A folder that could not be opened is tried again after so long, nanoseconds.
const OPEN_AGAIN: u64 = 10 * SECOND;

impl Store {
    /// A disk that is full or read-only now may recover: the records wait in memory meanwhile.
    ///
    /// # Errors
    ///
    /// The folder is not fit for a spool, or another agent has it open.
    pub(in crate::exporting::exporter) fn open(
        settings: SpoolSettings,
        collector: &str,
        real: AgentTime,
        wall_ms: u64,
    ) -> anyhow::Result<Self> {
        match Spool::open(settings.clone(), collector, wall_ms) {
            Ok(spool) => Ok(Self { spool: Some(spool), ..Self::default() }),
            Err(error) if may_pass(&error) => {
                log::error!(
                    "collector {collector}: {error:#}; records stay in memory while there is room, and it is tried again"
                );
                Ok(Self { closed: Some(settings), again_at: real + OPEN_AGAIN, ..Self::default() })
            }
            Err(error) => Err(error),
        }
    }

    /// Enters the records found on disk into the books. The first are records that this table has never seen;
    /// the others were put there by an earlier agent of this table.
    pub(in crate::exporting::exporter) fn recover(&mut self, books: &mut CollectorBooks, left: &Left) {
        let Some(spool) = &self.spool else { return books.without_spool(left) };
        let found = spool.inherited();
        self.foreign = books.recover_spool(found, left);
    }

    fn reopen(&mut self, out: &mut Outgoing, real: AgentTime, wall_ms: u64) {
        if real < self.again_at {
            return;
        }
        let Some(settings) = &self.closed else { return };
        self.again_at = real + OPEN_AGAIN;
        match Spool::open(settings.clone(), &out.url.to_string(), wall_ms) {
            Ok(spool) => {
                log::info!("collector {}: its spool takes records now", out.url);
                (self.spool, self.closed, self.again_at) = (Some(spool), None, AgentTime::START);
                self.recover(&mut out.books, &Left::default());
            }
            Err(error) => log::debug!("collector {}: {error:#}", out.url),
        }
    }

    /// Gives up messages that are too old, and enters the spool's losses into the books.
    pub(in crate::exporting::exporter) fn expire(&mut self, out: &mut Outgoing, real: AgentTime, now: Now) {
        self.reopen(out, real, now.wall_ms);
        if let Some(spool) = &mut self.spool {
            spool.expire(now);
        }
        self.enter_lost(out);
        // A disk that is too small loses all the time, and every line would be the same.
        if real >= self.say_at && !self.unsaid.is_empty() {
            self.say_at = real + SAY_AGAIN;
            for (why, records) in std::mem::take(&mut self.unsaid) {
                log::warn!("collector {}: {records} records in its spool are lost: {why}", out.url);
            }
        }
    }

    /// Other limits from now on.
    pub(in crate::exporting::exporter) const fn set_limits(&mut self, limit: u64, age: Duration) {
        if let Some(spool) = &mut self.spool {
            spool.set_limits(limit, age);
        }
        if let Some(settings) = &mut self.closed {
            (settings.limit, settings.age) = (limit, age);
        }
    }

    /// The collector has another URL: the next agent looks for its spool by that.
    pub(in crate::exporting::exporter) fn rename(&mut self, out: &Outgoing, to: &CollectorUrl) {
        let renamed = self.spool.as_mut().map_or(Ok(()), |spool| spool.rename(&to.to_string()));
        if let Err(error) = renamed {
            log::warn!(
                "collector {to}: its spool keeps the folder of {} ({error}), where a restarted agent does not look: \
                 let it empty before a restart",
                out.url
            );
        }
    }

    /// The collector is one no more: its records on disk are lost for `reason`.
    pub(in crate::exporting::exporter) fn lose_all(&mut self, out: &mut Outgoing, reason: Undelivered) {
        for (message, _) in self.held.drain(..) {
            out.books.lost_message(reason, message);
        }
        let Some(spool) = &self.spool else { return };
        let ours = less(spool.waiting(), self.foreign);
        out.books.lost_spool(reason, ours, less(spool.waiting(), ours));
        self.remove(out);
    }

    /// Removes the spool of a collector that is one no more.
    pub(in crate::exporting::exporter) fn remove(&mut self, out: &Outgoing) {
        if let Some(Err(error)) = self.spool.take().map(Spool::remove) {
            log::warn!("collector {}: a part of its spool is left: {error}", out.url);
        }
        self.foreign = RecordTotal::default();
    }

    /// Enters the spool's losses, at once: until then they are in no term of the books.
    pub(super) fn enter_lost(&mut self, out: &mut Outgoing) {
        let Some(spool) = &mut self.spool else { return };
        for lost in spool.take_lost() {
            let foreign = if lost.inherited { self.foreign } else { RecordTotal::default() };
            let ours = less(lost.total, foreign);
            self.foreign = less(self.foreign, less(lost.total, ours));
            out.books.lost_stored(lost.reason, less(lost.total, ours), true);
            out.books.lost_stored(lost.reason, ours, false);
            let unsaid = self.unsaid.entry(lost.reason.row().sentence).or_default();
            *unsaid = unsaid.saturating_add(lost.total.records);
        }
    }
}

/// Whether it is the disk's state that is in the way, which may change.
fn may_pass(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| matches!(error.kind(), StorageFull | FileTooLarge | ReadOnlyFilesystem | QuotaExceeded))
}
