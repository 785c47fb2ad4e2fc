//! The exporting process towards one collector: session, pace and socket together.
//!
//! - [`delivery`] is the trait of transports: [`datagrams`] sends over UDP, [`connection`] over TCP and TLS;
//!   [`store`] is the part of a queue that is on disk. [`outgoing`] is the state that each of them works on, and
//!   [`books`] keeps the collector's part of the books.
//! - `change`: a reload gives a running exporter other settings, adds one or takes one away.
//! - [`dispatch`](crate::exporting::dispatch) decides which collector a record goes to.
//!
//! Nothing here blocks or reads a clock: an exporter is polled with the time, and says when it wants to be
//! polled again. One that stalls costs the others nothing.

mod books;
mod change;
mod connection;
mod datagrams;
mod delivery;
mod newcomers;
mod outgoing;
mod patience;
mod resolver;
pub mod settings;
mod store;

use anyhow::Context;
use flowxdp_common::reason::Undelivered;
use flowxdp_core::{
    books::Collector,
    clock::{AgentTime, MeterTime, Now, SECOND},
    exporting::backoff::Backoff,
    exporting::options::{Reliability, Snapshot},
    exporting::pace::Pace,
    exporting::session::{Session, SessionConfig},
    record::{Batch, Entry, RecordTotal},
};

pub(crate) use self::books::Outcome;
use self::{
    books::CollectorBooks,
    delivery::{Delivery, Opening},
    outgoing::Outgoing,
    patience::Patience,
};
pub use self::{
    change::Renewal,
    settings::{Settings, SpoolPlace},
};
use crate::{
    collector_url::{CollectorUrl, Endpoint},
    exporting::deliveries::page::Left,
    transport::tls::TlsSettings,
};

/// Records that may wait for a collector in memory.
pub const QUEUE: usize = 1 << 18;

/// Time between two checks of TLS files for changes, nanoseconds.
const CHECK_EVERY: u64 = SECOND;

/// Messages back to back.
const BURST: u32 = 32;

/// One collector.
pub struct Exporter {
    out: Outgoing,
    delivery: Box<dyn Delivery>,
    /// When the files of TLS are checked again.
    check_at: AgentTime,
    /// Why this collector was given up.
    given_up: Option<Undelivered>,
    /// Free queue places, cached until the next poll.
    room: Option<usize>,
    /// The collector, however its URL is spelled.
    endpoint: Endpoint,
    /// The session as it was asked for, and TLS.
    config: SessionConfig,
    tls: TlsSettings,
}

impl Exporter {
    /// A session that has not started: the first [`Exporter::poll`] resolves the name. `real` is the
    /// monotonic clock in nanoseconds, `wall_ms` the time of day in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// The message size that the URL asks for is too small or too large; a file for TLS or a folder for
    /// the spool cannot be used.
    pub fn new(
        url: CollectorUrl,
        tls: TlsSettings,
        settings: &Settings,
        real: AgentTime,
        wall_ms: u64,
    ) -> anyhow::Result<Self> {
        let name = url.to_string();
        Self::make(url, tls, settings, real, wall_ms).with_context(|| format!("collector {name}"))
    }

    fn make(
        url: CollectorUrl,
        tls: TlsSettings,
        settings: &Settings,
        real: AgentTime,
        wall_ms: u64,
    ) -> anyhow::Result<Self> {
        let protocol = url.protocol(settings.protocol);
        let seed = real.nanoseconds() ^ u64::from(std::process::id());
        let backoff = Backoff::new(seed, settings.retry_limit);
        let port = url.port(protocol);
        let (mut books, left) = recover_books(&url, settings)?;
        let config = settings.session(&url);
        let mut session = Session::new(config.clone())?;
        let endpoint = url.endpoint(settings.protocol);
        let opening = Opening {
            url: &url,
            tls: tls.clone(),
            settings,
            port,
            backoff,
            left: &left,
            books: &mut books,
            session: &mut session,
            real,
            wall_ms,
        };
        let delivery = delivery::open(opening)?;
        books.commit();
        let out = Outgoing {
            session,
            url,
            pace: pace(settings),
            books,
            said: None,
            failing: false,
            since: AgentTime::START,
            patience: Patience::default(),
            snapshot: None,
            forced: false,
            not_sent: Reliability::default(),
        };
        Ok(Self { out, delivery, check_at: real, given_up: None, room: None, endpoint, config, tls })
    }

    /// This collector's bit in the slots of its records; 0 without a ledger.
    pub fn bit(&self) -> u32 {
        self.out.books.bit()
    }

    /// Its page of the journal, if somebody keeps one.
    pub fn page(&self) -> Option<usize> {
        let bit = self.bit();
        (bit != 0).then(|| bit.trailing_zeros() as usize)
    }

    /// The URL as it was given.
    pub const fn url(&self) -> &CollectorUrl {
        &self.out.url
    }

    /// Queues a record, with its extension row or without, or counts it as lost here. `patient`: no other
    /// collector waits for room.
    pub fn push<'a>(&mut self, entry: impl Into<Entry<'a>>, now: Now, patient: bool) {
        let entry = entry.into();
        if let Some(reason) = self.given_up
            && !self.delivery.has_store()
        {
            return self.out.books.lost_record(reason, entry.record);
        }
        if !patient {
            // Counting the queue for each record would cost more than the record.
            let room = self.room.unwrap_or_else(|| self.room());
            self.room = Some(room.saturating_sub(1));
            if room == 0 {
                return self.out.books.lost_record(Undelivered::QueueFull, entry.record);
            }
        }
        if self.out.session.push(entry, now).is_err() {
            self.out.books.lost_record(Undelivered::NotRepresentable, entry.record);
        }
    }

    /// Records that memory has room for.
    pub fn room(&self) -> usize {
        let mut in_memory = self.out.session.queued();
        in_memory += self.delivery.in_memory();
        QUEUE.saturating_sub(usize::try_from(in_memory.records).unwrap_or(QUEUE))
    }

    /// Retired records that are not handed to the kernel.
    pub fn queued(&self) -> RecordTotal {
        let mut queued = self.out.session.queued();
        queued += self.delivery.queued();
        queued
    }

    /// Takes out the records that no message has yet, for another collector.
    pub fn drain(&mut self) -> Batch {
        self.room = None;
        self.out.session.drain()
    }

    /// This collector's part of the books.
    pub fn books(&self) -> Collector {
        Collector {
            statistics: self.out.session.statistics(),
            not_sent: self.out.not_sent,
            ..self.out.books.snapshot(self.queued())
        }
    }

    /// Records that were handed to the kernel, those of an earlier run included.
    pub fn exported_records(&self) -> u64 {
        self.out.books.exported_records()
    }

    /// The instant since which the collector takes messages, the clock's zero from the start and before the first
    /// try; none while it takes none.
    pub fn availability(&self) -> Option<AgentTime> {
        (!self.out.failing && self.given_up.is_none()).then_some(self.out.since)
    }

    /// The time of day went back, and by it the system started then: milliseconds since 1970.
    pub fn system_started(&mut self, ms: u64) {
        self.out.session.system_started(ms);
    }

    /// Takes the agent's data for options records; `force` sends them at the next poll.
    pub fn tell(&mut self, snapshot: &Snapshot, force: bool) {
        let transport = self.out.url.scheme().protocol_number();
        self.out.snapshot = Some(Snapshot { transport, ..snapshot.clone() });
        self.out.forced |= force;
    }

    /// Whether nothing is ready to be sent at `now`; with `flush`, whether nothing is left at all.
    pub fn is_settled(&self, now: Now, flush: bool) -> bool {
        let ready = self.out.session.poll_timeout().is_some_and(|at| flush || at <= now.monotonic);
        let unsent = self.out.forced && self.is_up();
        self.given_up.is_some() || (!ready && !unsent && self.delivery.is_settled(flush))
    }

    /// Whether data goes out.
    pub fn is_up(&self) -> bool {
        self.delivery.is_up()
    }

    /// When a message is ready, on the session's clock.
    pub fn deadline(&self) -> Option<MeterTime> {
        if self.given_up.is_some() { None } else { self.out.session.poll_timeout() }
    }

    /// How long a caller that waits for this collector since `begun`, and did so before, has seen no progress:
    /// nanoseconds of waiting, both instants on the monotonic clock.
    pub fn waited(&mut self, begun: AgentTime, real: AgentTime) -> u64 {
        self.out.patience.waited(begun, real)
    }

    /// The collector is given up: a record that still comes goes to disk, or is lost.
    fn keep_on(&mut self, reason: Undelivered, real: AgentTime, now: Now, flush: bool) {
        self.delivery.keep_on(&mut self.out, reason, real, now, flush);
        if flush || !self.delivery.has_store() {
            self.out.lose_queue(reason);
        }
    }

    /// Gives this collector up: queued records go to disk where there is a spool, and are counted as lost
    /// otherwise, as are later ones.
    pub fn give_up(&mut self, reason: Undelivered, real: AgentTime, now: Now) {
        if self.given_up.is_some() {
            return;
        }
        let before = self.out.books.all_lost();
        self.delivery.give_up(&mut self.out, reason, real, now);
        self.out.lose_queue(reason);
        self.given_up = Some(reason);
        let left = self.out.books.all_lost();
        if left.records > before.records {
            log::error!(
                "collector {}: given up with {} records not delivered ({} packets)",
                self.out.url,
                left.records - before.records,
                left.packets - before.packets
            );
        }
        if let Some((folder, stored)) = self.delivery.stored() {
            let url = &self.out.url;
            log::warn!("collector {url}: {} records wait in {folder} for the next start", stored.records);
        }
    }

    /// Leaves the queue to the next agent: records in no slot go to disk, where there is a spool.
    pub fn leave(&mut self, real: AgentTime, now: Now) {
        self.delivery.secure(&mut self.out, real, now);
    }

    /// Whether [`Exporter::give_up`] was called.
    pub const fn is_given_up(&self) -> bool {
        self.given_up.is_some()
    }

    /// Sends ready messages. `real` is the monotonic clock in nanoseconds, `now` the session's time.
    ///
    /// Gives the instant (of `real`) at which to call again at the latest, if any.
    pub fn poll(&mut self, real: AgentTime, now: Now, flush: bool) -> Option<AgentTime> {
        self.room = None;
        if let Some(reason) = self.given_up {
            self.keep_on(reason, real, now, flush);
            return None;
        }
        if real >= self.check_at {
            self.check_at = real + CHECK_EVERY;
            self.read_files(real, false);
        }
        self.delivery.poll(&mut self.out, real, now, flush)
    }

    /// Reads the files of TLS again: all of them (SIGHUP), or those that changed.
    pub fn read_files(&mut self, real: AgentTime, all: bool) {
        self.delivery.read_files(&mut self.out, real, all);
    }

    /// Looks, at the end over UDP, whether the last message was refused.
    pub fn judge_last(&mut self, real: AgentTime) {
        self.delivery.judge_last(&mut self.out, real);
    }

    /// Whether no connection is left to be ended.
    pub fn is_closed(&self) -> bool {
        self.given_up.is_some() || self.delivery.is_closed()
    }

    /// Ends a connection in order; true when it has ended, or is not there.
    pub fn close(&mut self, real: AgentTime) -> bool {
        self.given_up.is_some() || self.delivery.close(&mut self.out, real)
    }
}

fn pace(settings: &Settings) -> Pace {
    if settings.pace == 0 { Pace::unlimited() } else { Pace::new(settings.pace, BURST) }
}

/// An earlier agent's books of this collector, if a ledger keeps them.
fn recover_books(url: &CollectorUrl, settings: &Settings) -> anyhow::Result<(CollectorBooks, Left)> {
    let Some(ledger) = &settings.ledger else { return Ok((CollectorBooks::default(), Left::default())) };
    let at = ledger.borrow_mut().page(&url.to_string())?;
    let left = ledger.borrow_mut().recover(at);
    let mut books = CollectorBooks::recover(ledger, at, &left);
    if url.scheme().is_reliable() {
        // Lost, as it cannot be sent again; the connection that broke may have carried it all the same.
        books.perhaps_twice(books::total(left.terms.held));
    }
    Ok((books, left))
}

#[cfg(test)]
pub(crate) mod tests;
