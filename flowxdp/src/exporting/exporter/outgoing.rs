//! The part of an exporter that is the same over every transport: session, pace, books and logged states.

use flowxdp_common::reason::Undelivered;
use flowxdp_core::{
    clock::{AgentTime, Now},
    exporting::options::{Reliability, Snapshot},
    exporting::pace::Pace,
    exporting::session::Session,
};

use super::{books::CollectorBooks, patience::Patience};
use crate::collector_url::CollectorUrl;

/// State that a [`Delivery`](super::delivery::Delivery) works on.
pub(super) struct Outgoing {
    pub(super) url: CollectorUrl,
    pub(super) session: Session,
    pub(super) pace: Pace,
    pub(super) books: CollectorBooks,
    /// Trouble that the log has named, until it is over.
    pub(super) said: Option<String>,
    /// The last try failed: the collector takes no messages now.
    pub(super) failing: bool,
    /// Since when it takes messages again, on the real clock; 0 if it always did.
    pub(super) since: AgentTime,
    /// How long it is waited for.
    pub(super) patience: Patience,
    /// The state for options data, and whether they must go out whatever the time.
    pub(super) snapshot: Option<Snapshot>,
    pub(super) forced: bool,
    pub(super) not_sent: Reliability,
}

impl Outgoing {
    /// Once for each kind of trouble, not once for each try.
    pub(super) fn say(&mut self, what: &str) {
        if self.said.as_deref() != Some(what) {
            log::warn!("collector {}: {what}; records are kept, and it is tried again", self.url);
            self.said = Some(what.to_owned());
        }
    }

    pub(super) fn failed(&mut self, what: &str) {
        self.say(what);
        self.failing = true;
    }

    pub(super) fn reached(&mut self, real: AgentTime) {
        if self.failing {
            self.failing = false;
            self.since = real;
        }
        if self.said.take().is_some() {
            log::info!("collector {}: reached", self.url);
        }
    }

    /// Records in no message are lost, and unsent options data are of no use.
    pub(super) fn lose_queue(&mut self, reason: Undelivered) {
        self.session.drain().each(|entry| self.books.lost_record(reason, entry.record));
        self.session.clear();
    }

    /// Lets the session make its options data, if they are due. `port` is the local one.
    pub(super) fn offer(&mut self, now: Now, port: u16) {
        let Some(snapshot) = &mut self.snapshot else { return };
        snapshot.port = port;
        self.not_sent.update(self.books.all_lost(), now.wall_ms);
        snapshot.not_sent = self.not_sent;
        self.session.offer(snapshot, now, std::mem::take(&mut self.forced));
    }

    /// The session's own deadline, on the real clock: the two advance alike.
    pub(super) fn timeout(&self, real: AgentTime, now: Now) -> Option<AgentTime> {
        self.session.poll_timeout().map(|at| real.after(at.since(now.monotonic)))
    }
}
