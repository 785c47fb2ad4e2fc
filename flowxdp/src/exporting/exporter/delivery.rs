//! Transports behind one trait: a further one implements it, has a row of schemes and an arm in [`open`].

use flowxdp_common::reason::Undelivered;
use flowxdp_core::{
    clock::{AgentTime, Now},
    exporting::backoff::Backoff,
    exporting::session::Session,
    record::RecordTotal,
};

use super::{
    Outgoing, Renewal, Settings, books::CollectorBooks, connection::Connection, datagrams::Datagrams,
};
use crate::{
    collector_url::{CollectorUrl, Scheme},
    exporting::deliveries::page::Left,
    transport::tls::TlsSettings,
};

/// The settings and state that a transport is opened with. No name is resolved and no message sent before the
/// first poll.
pub(super) struct Opening<'a> {
    pub(super) url: &'a CollectorUrl,
    /// For collectors whose URL has no setting of its own.
    pub(super) tls: TlsSettings,
    pub(super) settings: &'a Settings,
    /// The collector's port.
    pub(super) port: u16,
    pub(super) backoff: Backoff,
    /// An earlier agent's part of the books.
    pub(super) left: &'a Left,
    pub(super) books: &'a mut CollectorBooks,
    pub(super) session: &'a mut Session,
    /// CLOCK_MONOTONIC, nanoseconds.
    pub(super) real: AgentTime,
    /// Milliseconds since 1970.
    pub(super) wall_ms: u64,
}

/// The transport of a URL's scheme.
///
/// # Errors
///
/// A file for TLS or a folder for the spool cannot be used.
pub(super) fn open(opening: Opening<'_>) -> anyhow::Result<Box<dyn Delivery>> {
    match opening.url.scheme() {
        Scheme::Udp => Ok(Box::new(Datagrams::prepare(opening))),
        Scheme::Tcp | Scheme::Tls => Ok(Box::new(Connection::prepare(opening)?)),
    }
}

/// Takes messages from the session to the collector: sockets, retries, and messages on the way. No method blocks;
/// `real` is the agent's clock, `now` the session's time. Called once a message at most, never once a
/// record.
///
/// The defaults suit a transport without connection and without a disk.
pub(super) trait Delivery {
    /// Sends messages that are ready, with `flush` all. Gives the instant (of `real`) of the next call at the latest.
    fn poll(&mut self, out: &mut Outgoing, real: AgentTime, now: Now, flush: bool) -> Option<AgentTime>;

    /// Records beyond the session's queue that are not handed to the kernel.
    fn queued(&self) -> RecordTotal;

    /// The part of them that takes memory without a bound of its own.
    fn in_memory(&self) -> RecordTotal {
        self.queued()
    }

    /// Whether data goes out.
    fn is_up(&self) -> bool;

    /// Whether no message is on the way; without `flush` a message on disk for a collector that is away is not.
    fn is_settled(&self, flush: bool) -> bool;

    /// The collector is given up: messages on the way go to disk, or are lost for `reason`.
    fn give_up(&mut self, out: &mut Outgoing, reason: Undelivered, real: AgentTime, now: Now);

    /// Whether a disk takes records that memory does not hold.
    fn has_store(&self) -> bool {
        false
    }

    /// After [`Delivery::give_up`]: the disk takes records that still come.
    fn keep_on(
        &mut self,
        _out: &mut Outgoing,
        _reason: Undelivered,
        _real: AgentTime,
        _now: Now,
        _flush: bool,
    ) {
    }

    /// The folder in which records wait for the next agent, and their number.
    fn stored(&self) -> Option<(String, RecordTotal)> {
        None
    }

    /// The session takes another configuration: its queued records become messages of the present one.
    fn finish_queue(&mut self, out: &mut Outgoing, now: Now);

    /// Takes over the settings of a changed collector; the URL in `out` is still the one of before.
    fn change(&mut self, out: &mut Outgoing, renewal: &mut Renewal, real: AgentTime);

    /// The collector is one no more: messages on the way and on disk are lost for `reason`.
    fn discard(&mut self, out: &mut Outgoing, reason: Undelivered, real: AgentTime, now: Now) {
        self.give_up(out, reason, real, now);
    }

    /// Removes the empty place on disk of a collector that is one no more.
    fn remove_store(&mut self, _out: &Outgoing) {}

    /// Writes records to disk that no slot holds any more, where there is one.
    fn secure(&mut self, _out: &mut Outgoing, _real: AgentTime, _now: Now) {}

    /// Reads certificates and lists of peers again: changed ones, or `all`.
    fn read_files(&mut self, _out: &mut Outgoing, _real: AgentTime, _all: bool) {}

    /// Reads, at the end, whether the last messages were refused.
    fn judge_last(&mut self, _out: &mut Outgoing, _real: AgentTime) {}

    /// Whether no connection is left to be ended.
    fn is_closed(&self) -> bool {
        true
    }

    /// Ends the connection in order; true when it has ended, or there is none.
    fn close(&mut self, _out: &mut Outgoing, _real: AgentTime) -> bool {
        true
    }
}
