//! The exporting process towards one collector: session, pace and socket together.
//!
//! - [`datagrams`] sends over UDP, [`connection`] over TCP and TLS; [`store`] is the part of a queue that
//!   is on disk. [`account`] keeps the collector's part of the books.
//! - [`dispatch`](crate::dispatch) decides which collector a record goes to.
//!
//! Nothing here blocks or reads a clock: an exporter is polled with the time, and says when it wants to be
//! polled again. One that stalls costs the others nothing.

mod account;
mod connection;
mod datagrams;
mod patience;
mod resolver;
pub mod settings;
mod store;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use flowxdp_common::reason::Undelivered;
use flowxdp_core::{
    backoff::Backoff,
    books::Collector,
    clock::{Now, SECOND},
    options::{Reliability, Snapshot},
    pace::Pace,
    protocol::Protocol,
    record::{FlowRecord, RecordTotal},
    session::Session,
};

use self::{
    account::Account,
    connection::{Connection, Making},
    datagrams::Datagrams,
    patience::Patience,
    store::Store,
};
use crate::{
    collector_url::{CollectorUrl, Scheme},
    keeper::{Keeping, page::Left},
    spool::SpoolSettings,
    transport::{
        readiness::Readiness,
        stream::StreamSettings,
        tls::{TlsClient, TlsSettings},
    },
};

/// Records that may wait for a collector in memory.
pub const QUEUE: usize = 1 << 18;

/// Files of TLS are looked at for changes so often, nanoseconds.
const LOOK: u64 = SECOND;

/// Messages back to back.
const BURST: u32 = 32;

/// IANA numbers of transport protocols.
const UDP: u8 = 17;
const TCP: u8 = 6;

/// What all collectors of one agent have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Protocol of collectors that do not say.
    pub protocol: Protocol,
    /// Observation domain id.
    pub observation_domain: u32,
    /// Messages a second, 0 for no limit: over UDP all, over TCP and TLS those that come from disk.
    pub pace: u32,
    /// Messages of one size that the kernel takes as one, over UDP; 1 for none.
    pub udp_segments: usize,
    /// Milliseconds since 1970 of system start.
    pub system_start_ms: u64,
    /// Flow keys over UDP too.
    pub flow_keys: bool,
    /// Nanoseconds between two times that options data are sent.
    pub options_interval: u64,
    /// Over UDP, nanoseconds between two times that templates are sent.
    pub template_interval: u64,
    /// Over UDP, messages from one with templates to the next.
    pub template_messages: u32,
    /// Nanoseconds that a connection and its handshake may take.
    pub handshake_timeout: u64,
    /// Nanoseconds between two tries at most.
    pub retry_limit: u64,
    /// Over UDP, nanoseconds after which a collector's name is resolved again; 0 for never.
    pub resolve_interval: u64,
    /// Octets that go out again when a TCP or TLS connection breaks.
    pub resend_window: usize,
    /// They go out again after an end in order too, for collectors whose URL does not say.
    pub resend_after_end: bool,
    /// Where records wait on disk for collectors over TCP and TLS.
    pub spool: Option<SpoolPlace>,
    /// What wakes the agent's loop.
    pub readiness: Arc<Readiness>,
    /// What outlives the agent, if anything does.
    pub keeper: Option<Keeping>,
}

/// Where records wait on disk, for each collector.
#[derive(Clone, Debug)]
pub struct SpoolPlace {
    /// The folder of all.
    pub directory: PathBuf,
    /// Octets for one collector.
    pub limit: u64,
    /// How long a record may wait.
    pub age: Duration,
}

/// What both kinds of transport work with.
struct Outgoing {
    url: CollectorUrl,
    session: Session,
    pace: Pace,
    account: Account,
    /// What was said of trouble, until it is over.
    said: Option<String>,
    /// It does not take messages now; before the first try nobody knows.
    failing: bool,
    /// Since when it takes messages again, on the real clock; 0 if it always did.
    since: u64,
    /// How long it is waited for.
    patience: Patience,
    /// What options data tell, and whether they must go out whatever the time.
    snapshot: Option<Snapshot>,
    forced: bool,
    not_sent: Reliability,
}

impl Outgoing {
    /// Once for each kind of trouble, not once for each try.
    fn say(&mut self, what: &str) {
        if self.said.as_deref() != Some(what) {
            log::warn!("collector {}: {what}; records are kept, and it is tried again", self.url);
            self.said = Some(what.to_owned());
        }
    }

    fn failed(&mut self, what: &str) {
        self.say(what);
        self.failing = true;
    }

    fn reached(&mut self, real: u64) {
        if self.failing {
            self.failing = false;
            self.since = real;
        }
        if self.said.take().is_some() {
            log::info!("collector {}: reached", self.url);
        }
    }

    /// What no message has yet is lost, and what is left of options data is of no use.
    fn lose_queue(&mut self, reason: Undelivered) {
        for record in self.session.drain() {
            self.account.lost_record(reason, &record);
        }
        self.session.clear();
    }

    /// Lets the session make its options data, if they are due. `port` is the local one.
    fn offer(&mut self, now: Now, port: u16) {
        let Some(snapshot) = &mut self.snapshot else { return };
        snapshot.port = port;
        self.not_sent.update(self.account.all_lost(), now.wall_ms);
        snapshot.not_sent = self.not_sent;
        self.session.offer(snapshot, now, std::mem::take(&mut self.forced));
    }

    /// The session's own deadline, on the real clock: the two advance alike.
    fn timeout(&self, real: u64, now: Now) -> Option<u64> {
        self.session.poll_timeout().map(|at| real.saturating_add(at.saturating_sub(now.monotonic)))
    }
}

enum Path {
    Datagrams(Box<Datagrams>),
    Connection(Box<Connection>),
}

/// One collector.
pub struct Exporter {
    out: Outgoing,
    path: Path,
    /// When the files of TLS are looked at again.
    look_at: u64,
    /// Why nobody waits for this collector any more.
    given_up: Option<Undelivered>,
    /// Records that there is room for, where somebody asked since anything left the queue.
    room: Option<usize>,
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
        real: u64,
        wall_ms: u64,
    ) -> anyhow::Result<Self> {
        let name = url.to_string();
        Self::make(url, tls, settings, real, wall_ms).with_context(|| format!("collector {name}"))
    }

    fn make(
        url: CollectorUrl,
        tls: TlsSettings,
        settings: &Settings,
        real: u64,
        wall_ms: u64,
    ) -> anyhow::Result<Self> {
        let protocol = url.protocol(settings.protocol);
        let seed = real ^ u64::from(std::process::id());
        let backoff = Backoff::new(seed, settings.retry_limit);
        let port = url.port(protocol);
        let (mut account, left) = account(&url, settings)?;
        let mut session = Session::new(settings.session(&url))?;
        let path = if url.scheme() == Scheme::Udp {
            for (domain, sequence) in account.sequences() {
                session.go_on(domain, sequence);
            }
            Path::Datagrams(Box::new(Datagrams::new(port, left.port, backoff, settings)))
        } else {
            let tls = (url.scheme() == Scheme::Tls).then(|| TlsClient::new(tls, url.host())).transpose()?;
            let making = Making {
                port,
                settings: StreamSettings { source: url.source(), handshake: settings.handshake_timeout },
                tls,
                readiness: Arc::clone(&settings.readiness),
                window: settings.resend_window,
                resend_after_end: url.resend_after_end().unwrap_or(settings.resend_after_end),
            };
            let store = settings.spool.as_ref().map(|place| store(place, &url, real, wall_ms)).transpose()?;
            let mut store = store.unwrap_or_default();
            store.adopt(&mut account, &left);
            Path::Connection(Box::new(Connection::new(making, store, backoff)))
        };
        account.commit();
        let out = Outgoing {
            session,
            url,
            pace: if settings.pace == 0 { Pace::unlimited() } else { Pace::new(settings.pace, BURST) },
            account,
            said: None,
            failing: false,
            since: 0,
            patience: Patience::default(),
            snapshot: None,
            forced: false,
            not_sent: Reliability::default(),
        };
        Ok(Self { out, path, look_at: real, given_up: None, room: None })
    }

    /// What stands for this collector in the slots of its records; 0 if nobody keeps them.
    pub fn bit(&self) -> u32 {
        self.out.account.bit()
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

    /// Queues a record, or counts it as lost here. `patient` says that nobody else waits for room.
    pub fn push(&mut self, record: &FlowRecord, now: Now, patient: bool) {
        if let Some(reason) = self.given_up
            && !self.has_store()
        {
            return self.out.account.lost_record(reason, record);
        }
        if !patient {
            // Counting what waits for each record would take longer than the record.
            let room = self.room.unwrap_or_else(|| self.room());
            self.room = Some(room.saturating_sub(1));
            if room == 0 {
                return self.out.account.lost_record(Undelivered::QueueFull, record);
            }
        }
        if self.out.session.push(record, now).is_err() {
            self.out.account.lost_record(Undelivered::NotRepresentable, record);
        }
    }

    /// Records that memory has room for.
    pub fn room(&self) -> usize {
        let in_memory = match &self.path {
            // What is on disk takes no memory, and what may go out again no more than its window.
            Path::Connection(_) => self.out.session.queued(),
            Path::Datagrams(_) => self.queued(),
        };
        QUEUE.saturating_sub(usize::try_from(in_memory.records).unwrap_or(QUEUE))
    }

    /// Retired records that are not handed to the kernel.
    pub fn queued(&self) -> RecordTotal {
        let mut queued = self.out.session.queued();
        queued += match &self.path {
            Path::Datagrams(datagrams) => datagrams.queued(),
            Path::Connection(connection) => connection.queued(),
        };
        queued
    }

    /// Takes out the records that no message has yet, for another collector.
    pub fn drain(&mut self) -> Vec<FlowRecord> {
        self.room = None;
        self.out.session.drain()
    }

    /// This collector's part of the books.
    pub fn books(&self) -> Collector {
        Collector {
            statistics: self.out.session.statistics(),
            not_sent: self.out.not_sent,
            ..self.out.account.books(self.queued())
        }
    }

    /// Records that were handed to the kernel, those of an earlier run included.
    pub fn exported_records(&self) -> u64 {
        self.out.account.exported_records()
    }

    /// Whether it takes messages, or nobody knows yet, and since when it does again (0: it always did).
    pub fn availability(&self) -> Option<u64> {
        (!self.out.failing && self.given_up.is_none()).then_some(self.out.since)
    }

    /// The time of day went back, and by it the system started then: milliseconds since 1970.
    pub fn system_started(&mut self, ms: u64) {
        self.out.session.system_started(ms);
    }

    /// Takes what options data tell of the agent; `force` sends them at the next poll.
    pub fn tell(&mut self, snapshot: &Snapshot, force: bool) {
        let transport = if self.out.url.scheme() == Scheme::Udp { UDP } else { TCP };
        self.out.snapshot = Some(Snapshot { transport, ..snapshot.clone() });
        self.out.forced |= force;
    }

    /// Whether nothing is ready to be sent at `now`; with `flush`, whether nothing is left at all.
    pub fn is_settled(&self, now: Now, flush: bool) -> bool {
        let ready = self.out.session.poll_timeout().is_some_and(|at| flush || at <= now.monotonic);
        let unsent = self.out.forced && self.is_up();
        let path = match &self.path {
            Path::Datagrams(datagrams) => datagrams.is_settled(),
            Path::Connection(connection) => connection.is_settled(!flush),
        };
        self.given_up.is_some() || (path && !ready && !unsent)
    }

    /// Whether data goes out.
    pub const fn is_up(&self) -> bool {
        match &self.path {
            Path::Datagrams(datagrams) => datagrams.is_up(),
            Path::Connection(connection) => connection.is_up(),
        }
    }

    /// When a message is ready, on the session's clock.
    pub fn deadline(&self) -> Option<u64> {
        if self.given_up.is_some() { None } else { self.out.session.poll_timeout() }
    }

    /// How long a caller that waits for this collector since `begun`, and did so before, has seen no progress:
    /// nanoseconds of waiting, both instants on the monotonic clock.
    pub fn waited(&mut self, begun: u64, real: u64) -> u64 {
        self.out.patience.waited(begun, real)
    }

    /// Whether there is a disk that takes what the collector does not.
    fn has_store(&self) -> bool {
        matches!(&self.path, Path::Connection(connection) if connection.has_store())
    }

    /// Nobody waits for this collector any more: what still comes goes to disk, or is lost.
    fn keep_on(&mut self, reason: Undelivered, real: u64, now: Now, flush: bool) {
        let Path::Connection(connection) = &mut self.path else { return };
        connection.keep_on(&mut self.out, reason, real, now, flush);
        if flush || !connection.has_store() {
            self.out.lose_queue(reason);
        }
    }

    /// Stops waiting for this collector: what is queued goes to disk where there is a spool, and is counted
    /// as lost otherwise, as is what comes from now on.
    pub fn give_up(&mut self, reason: Undelivered, real: u64, now: Now) {
        if self.given_up.is_some() {
            return;
        }
        let before = self.out.account.all_lost();
        match &mut self.path {
            Path::Datagrams(datagrams) => datagrams.give_up(&mut self.out, reason),
            Path::Connection(connection) => connection.give_up(&mut self.out, reason, real, now),
        }
        self.out.lose_queue(reason);
        self.given_up = Some(reason);
        let left = self.out.account.all_lost();
        if left.records > before.records {
            log::error!(
                "collector {}: given up with {} records not delivered ({} packets)",
                self.out.url,
                left.records - before.records,
                left.packets - before.packets
            );
        }
        if let Path::Connection(connection) = &self.path
            && let Some((folder, stored)) = connection.stored()
        {
            let url = &self.out.url;
            log::warn!("collector {url}: {} records wait in {folder} for the next start", stored.records);
        }
    }

    /// Leaves what is queued to the next agent: what is in no slot goes to disk, where there is a spool.
    pub fn leave(&mut self, real: u64, now: Now) {
        if let Path::Connection(connection) = &mut self.path {
            connection.secure(&mut self.out, real, now);
        }
    }

    /// Whether [`Exporter::give_up`] was called.
    pub const fn is_given_up(&self) -> bool {
        self.given_up.is_some()
    }

    /// Sends what is ready. `real` is the monotonic clock in nanoseconds, `now` the session's time.
    ///
    /// Gives the instant (of `real`) at which to call again at the latest, if any.
    pub fn poll(&mut self, real: u64, now: Now, flush: bool) -> Option<u64> {
        self.room = None;
        if let Some(reason) = self.given_up {
            self.keep_on(reason, real, now, flush);
            return None;
        }
        if real >= self.look_at {
            self.look_at = real + LOOK;
            self.look(real, false);
        }
        match &mut self.path {
            Path::Datagrams(datagrams) => datagrams.poll(&mut self.out, real, now, flush),
            Path::Connection(connection) => connection.poll(&mut self.out, real, now, flush),
        }
    }

    /// Reads the files of TLS again: all of them (SIGHUP), or those that changed.
    pub fn look(&mut self, real: u64, all: bool) {
        let Path::Connection(connection) = &mut self.path else { return };
        let Some(tls) = connection.tls() else { return };
        let changed = if all {
            match tls.reload() {
                Ok(()) => true,
                Err(error) => {
                    log::error!("collector {}: {error:#}; what was read before stays in force", self.out.url);
                    false
                }
            }
        } else {
            tls.refresh_if_changed()
        };
        if changed {
            connection.judge_again(&mut self.out, real);
        }
    }

    /// Looks, at the end over UDP, whether the last message was refused.
    pub fn judge_last(&mut self, real: u64) {
        if let Path::Datagrams(datagrams) = &mut self.path {
            datagrams.judge_last(&mut self.out, real);
        }
    }

    /// Whether no connection is left to be ended.
    pub fn is_closed(&self) -> bool {
        match &self.path {
            Path::Connection(connection) => self.given_up.is_some() || connection.is_closed(),
            Path::Datagrams(_) => true,
        }
    }

    /// Ends a connection in order; true when it has ended, or is not there.
    pub fn close(&mut self, real: u64) -> bool {
        match &mut self.path {
            Path::Connection(connection) if self.given_up.is_none() => connection.close(&mut self.out, real),
            _ => true,
        }
    }
}

/// What an earlier agent left of this collector's books, if somebody keeps them.
fn account(url: &CollectorUrl, settings: &Settings) -> anyhow::Result<(Account, Left)> {
    let Some(keeping) = &settings.keeper else { return Ok((Account::default(), Left::default())) };
    let at = keeping.borrow_mut().page(&url.to_string())?;
    let left = keeping.borrow_mut().adopt(at);
    let mut account = Account::adopt(keeping, at, &left);
    if url.scheme() != Scheme::Udp {
        // Lost, as it cannot be sent again; the connection that broke may have carried it all the same.
        account.perhaps_twice(account::total(left.account.held));
    }
    Ok((account, left))
}

fn store(place: &SpoolPlace, url: &CollectorUrl, real: u64, wall_ms: u64) -> anyhow::Result<Store> {
    let SpoolPlace { directory, limit, age } = place.clone();
    Store::open(SpoolSettings { directory, limit, age }, &url.to_string(), real, wall_ms)
}

#[cfg(test)]
pub(crate) mod tests;
