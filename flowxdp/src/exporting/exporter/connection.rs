//! Export over TCP and TLS: a session for each connection, and no record forgotten between two.
//!
//! Messages leave in this order: those that an earlier connection left uncertain or unsent, those on disk,
//! and then those of the session's queue. No collector acknowledges a record, so the last octets that were
//! written stay in a window, and go out again after a break; the books name them as perhaps twice. After an
//! end in order only messages that the collector's kernel has not acknowledged go out again.
//!
//! - [`reaching`] makes the connection, again and again; [`sending`] uses it while it is up; [`ending`] ends
//!   it; [`change`]: other settings.

mod change;
mod ending;
mod reaching;
mod sending;

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use flowxdp_common::reason::Undelivered;
use flowxdp_core::{
    clock::{AgentTime, MILLISECOND, Now, SECOND},
    exporting::backoff::Backoff,
    record::RecordTotal,
};

use self::sending::Outbound;
use super::{
    Outgoing, Renewal, SpoolPlace,
    delivery::{Delivery, Opening},
    resolver::Resolving,
    store::Store,
};
use crate::{
    collector_url::CollectorUrl,
    exporting::spool::SpoolSettings,
    transport::{
        readiness::Readiness,
        stream::{Stream, StreamSettings},
        tls::TlsClient,
    },
};

/// A socket that takes nothing is looked at again after so long, should no event tell: nanoseconds.
const LOOK_AGAIN: u64 = 100 * MILLISECOND;

/// A collector that has not been reached for so long is away: ready messages go to disk. Nanoseconds.
const AWAY: u64 = SECOND;

enum State {
    /// Until this instant nothing is tried.
    Waiting(AgentTime),
    Resolving(Resolving),
    /// Connecting and handshake, and the addresses that are left to try.
    Opening(Box<Stream>, VecDeque<SocketAddr>),
    Up(Box<Stream>),
    /// The collector ended its side in order; a reset may still follow.
    Ended(Ended),
    /// All octets are written, and the end of the connection is under way.
    Closing(Box<Stream>),
    Closed,
}

/// A connection whose collector ended its side in order.
struct Ended {
    stream: Box<Stream>,
    /// Until then a reset says that acknowledged octets were not read.
    until: AgentTime,
    /// The next connection is not tried before.
    retry: AgentTime,
    /// The connection was a good one.
    good: bool,
}

/// Settings of a connection.
pub(super) struct Making {
    pub(super) port: u16,
    pub(super) settings: StreamSettings,
    pub(super) tls: Option<TlsClient>,
    pub(super) readiness: Arc<Readiness>,
    /// Octets that are sent again after a break.
    pub(super) window: usize,
    /// The window goes out again after an end in order too.
    pub(super) resend_after_end: bool,
}

/// The TCP or TLS side of one collector.
pub(super) struct Connection {
    making: Making,
    backoff: Backoff,
    state: State,
    /// From earlier connections, in order.
    backlog: VecDeque<Outbound>,
    /// Numbered for this connection and not wholly written, in order.
    writing: VecDeque<Outbound>,
    /// Octets of the first of `writing` that are written.
    written: usize,
    /// Wholly written, but TLS has not handed all of it to the kernel.
    flushing: VecDeque<Outbound>,
    /// Written last.
    window: VecDeque<Outbound>,
    window_octets: usize,
    store: Store,
    /// The disk is not read before.
    read_at: AgentTime,
    /// When the collector was looked for first, since it was there last.
    sought: Option<AgentTime>,
    /// The connection is neither up nor being made.
    away: bool,
    /// When the connection came up.
    up_at: AgentTime,
    /// The most records that were with the kernel at one time, and how often a connection broke since.
    most: u64,
    fruitless: u32,
    /// The most records that no break took back.
    kept: u64,
    /// The connection ends in order, by this instant at the latest, as its settings are others now.
    renew_by: Option<AgentTime>,
}

impl Connection {
    /// Reads the files of TLS and of the spool.
    ///
    /// # Errors
    ///
    /// One of them cannot be used.
    pub(super) fn prepare(opening: Opening<'_>) -> anyhow::Result<Self> {
        let Opening { url, settings, real, wall_ms, .. } = opening;
        let tls = url.scheme().is_encrypted().then(|| TlsClient::new(opening.tls, url.host())).transpose()?;
        let making = Making {
            port: opening.port,
            settings: StreamSettings { source: url.source(), handshake: settings.handshake_timeout },
            tls,
            readiness: Arc::clone(&settings.readiness),
            window: settings.resend_window,
            resend_after_end: url.resend_after_end().unwrap_or(settings.resend_after_end),
        };
        let store = settings.spool.as_ref().map(|place| store(place, url, real, wall_ms)).transpose()?;
        let mut store = store.unwrap_or_default();
        store.recover(opening.books, opening.left);
        Ok(Self::new(making, store, opening.backoff))
    }

    const fn new(making: Making, store: Store, backoff: Backoff) -> Self {
        Self {
            making,
            backoff,
            state: State::Waiting(AgentTime::START),
            backlog: VecDeque::new(),
            writing: VecDeque::new(),
            written: 0,
            flushing: VecDeque::new(),
            window: VecDeque::new(),
            window_octets: 0,
            store,
            read_at: AgentTime::START,
            sought: None,
            away: false,
            up_at: AgentTime::START,
            most: 0,
            fruitless: 0,
            kept: 0,
            renew_by: None,
        }
    }

    /// The local port, once there is one.
    fn local_port(&self) -> u16 {
        match &self.state {
            State::Up(stream) => stream.local_port(),
            _ => 0,
        }
    }

    /// Ends the session if its collector is no longer one that we trust.
    fn judge_again(&mut self, out: &mut Outgoing, real: AgentTime) {
        let (Some(tls), State::Up(stream)) = (&self.making.tls, &self.state) else { return };
        if let Err(broken) = stream.judge_again(tls) {
            self.broken(out, real, &broken);
        }
    }
}

impl Delivery for Connection {
    fn poll(&mut self, out: &mut Outgoing, real: AgentTime, now: Now, flush: bool) -> Option<AgentTime> {
        self.store.expire(out, real, now);
        self.renew(out, real);
        let wait = self.advance(out, real, now, flush);
        let wait = if self.renew_by.is_some() { Some(real + LOOK_AGAIN) } else { wait };
        self.write_down(out, real, now);
        self.away = match self.state {
            State::Waiting(_) | State::Resolving(_) | State::Opening(..) | State::Ended(_) => {
                let since = *self.sought.get_or_insert(real);
                out.failing || real.since(since) >= AWAY
            }
            State::Up(_) | State::Closing(_) | State::Closed => {
                self.sought = None;
                false
            }
        };
        if self.away {
            self.store.keep(out, real, now, flush);
        }
        wait
    }

    /// In memory and on disk, without records of an earlier run.
    fn queued(&self) -> RecordTotal {
        let mut queued = self.store.waiting();
        let unsent = self.backlog.iter().chain(&self.writing).chain(&self.flushing);
        for outbound in unsent.filter(|outbound| !outbound.inherited) {
            queued += outbound.message.total;
        }
        queued
    }

    fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    fn has_store(&self) -> bool {
        self.store.is_usable()
    }

    fn is_settled(&self, flush: bool) -> bool {
        let stored = !flush;
        stored && self.away && self.store.is_usable()
            || (stored || !matches!(self.state, State::Ended(_)))
                && self.backlog.is_empty()
                && self.writing.is_empty()
                && self.flushing.is_empty()
                && self.store.is_empty()
    }

    fn is_closed(&self) -> bool {
        !matches!(self.state, State::Up(_) | State::Ended(_) | State::Closing(_))
    }

    /// Records on disk take no memory, and records that may go out again no more than the window.
    fn in_memory(&self) -> RecordTotal {
        RecordTotal::default()
    }

    fn give_up(&mut self, out: &mut Outgoing, reason: Undelivered, real: AgentTime, now: Now) {
        self.abandon(out, reason, real, now);
    }

    fn keep_on(&mut self, out: &mut Outgoing, reason: Undelivered, real: AgentTime, now: Now, flush: bool) {
        self.shelve(out, reason, real, now, flush);
    }

    fn secure(&mut self, out: &mut Outgoing, real: AgentTime, now: Now) {
        self.write_down(out, real, now);
    }

    fn close(&mut self, out: &mut Outgoing, real: AgentTime) -> bool {
        self.end(out, real)
    }

    fn read_files(&mut self, out: &mut Outgoing, real: AgentTime, all: bool) {
        let Some(tls) = &mut self.making.tls else { return };
        let changed = if all {
            match tls.reload() {
                Ok(()) => true,
                Err(error) => {
                    let url = &out.url;
                    log::error!("collector {url}: {error:#}; what was read before stays in force");
                    false
                }
            }
        } else {
            tls.refresh_if_changed()
        };
        if changed {
            self.judge_again(out, real);
        }
    }

    fn stored(&self) -> Option<(String, RecordTotal)> {
        self.store.describe()
    }

    fn finish_queue(&mut self, out: &mut Outgoing, now: Now) {
        self.set_apart(out, now);
    }

    fn change(&mut self, out: &mut Outgoing, renewal: &mut Renewal, real: AgentTime) {
        self.take_settings(out, renewal, real);
    }

    fn discard(&mut self, out: &mut Outgoing, reason: Undelivered, _real: AgentTime, _now: Now) {
        self.lose_all(out, reason);
    }

    fn remove_store(&mut self, out: &Outgoing) {
        self.store.remove(out);
    }
}

fn store(place: &SpoolPlace, url: &CollectorUrl, real: AgentTime, wall_ms: u64) -> anyhow::Result<Store> {
    let SpoolPlace { directory, limit, age } = place.clone();
    Store::open(SpoolSettings { directory, limit, age }, &url.to_string(), real, wall_ms)
}
