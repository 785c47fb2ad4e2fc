//! The exporting process towards one collector: session, pace and socket together.
//!
//! UDP tells nothing of a delivery, but a closed port answers with an ICMP message. So the first message
//! after every start holds templates alone, and data follows only when nothing was refused meanwhile;
//! after a refusal the messages wait, in order, until the collector is back.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::SocketAddr,
    sync::mpsc::{Receiver, TryRecvError, channel},
};

use anyhow::Context;
use flowxdp_common::reason::Reason;
use flowxdp_core::{
    backoff::Backoff,
    books::Collector,
    clock::{MILLISECOND, Now},
    pace::Pace,
    protocol::Protocol,
    record::{FlowRecord, RecordTotal},
    session::{Message, Session, SessionConfig, SessionError},
};

use crate::{
    collector_url::CollectorUrl,
    transport::{resolve, udp::Udp},
};

/// How long the first message after a start is given to be refused, nanoseconds.
const PROBE: u64 = 50 * MILLISECOND;

/// How long to wait for room in the send buffer, nanoseconds.
const SOON: u64 = MILLISECOND;

/// What all collectors of one agent have in common.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Protocol of collectors that do not say.
    pub protocol: Protocol,
    /// Observation domain id.
    pub observation_domain: u32,
    /// Messages a second, 0 for no limit.
    pub pace: u32,
    /// Milliseconds since 1970 of system start.
    pub system_start_ms: u64,
}

enum State {
    /// The name is being resolved.
    Resolving(Receiver<io::Result<Vec<SocketAddr>>>),
    /// Until this instant nothing is tried.
    Waiting(u64),
    /// The templates are out; until this instant they can be refused.
    Probing(u64),
    /// Data goes out.
    Up,
}

/// One collector.
pub struct Exporter {
    url: CollectorUrl,
    /// The port that the URL names or the protocol has.
    port: u16,
    session: Session,
    pace: Pace,
    backoff: Backoff,
    state: State,
    socket: Option<Udp>,
    /// Polled and not handed to the kernel, in order.
    pending: VecDeque<Message>,
    /// Handed to the kernel last: what a refusal speaks of.
    last: Option<Message>,
    exported: RecordTotal,
    lost: BTreeMap<String, RecordTotal>,
    said: Option<String>,
    /// Instant of the last message that went out.
    progress: u64,
    /// Why nobody waits for this collector any more.
    given_up: Option<String>,
}

impl Exporter {
    /// A session that has not started: the first [`Exporter::poll`] resolves the name.
    ///
    /// # Errors
    ///
    /// The message size that the URL asks for is too small or too large.
    pub fn new(url: CollectorUrl, settings: Settings, real: u64) -> anyhow::Result<Self> {
        let protocol = url.protocol(settings.protocol);
        let built = matches!(protocol, Protocol::Ipfix | Protocol::V9);
        anyhow::ensure!(built, "collector {url}: {protocol} is not built yet");
        let session = session(&url, &settings).with_context(|| format!("collector {url}"))?;
        Ok(Self {
            port: url.port(protocol),
            state: State::Waiting(0),
            backoff: Backoff::new(real ^ u64::from(std::process::id())),
            pace: Pace::new(settings.pace, 32),
            url,
            session,
            socket: None,
            pending: VecDeque::new(),
            last: None,
            exported: RecordTotal::default(),
            lost: BTreeMap::new(),
            said: None,
            progress: real,
            given_up: None,
        })
    }

    /// The URL as it was given.
    pub const fn url(&self) -> &CollectorUrl {
        &self.url
    }

    /// Queues a record.
    pub fn push(&mut self, record: &FlowRecord, now: Now) {
        match &self.given_up {
            Some(reason) => self.lost.entry(reason.clone()).or_default().count(record),
            None => self.session.push(record, now),
        }
    }

    /// Retired records that are not handed to the kernel.
    pub fn queued(&self) -> RecordTotal {
        let mut queued = self.session.queued();
        for message in &self.pending {
            queued += message.total;
        }
        queued
    }

    /// This collector's part of the books.
    pub fn books(&self) -> Collector {
        let mut lost = RecordTotal::default();
        for total in self.lost.values() {
            lost += *total;
        }
        Collector {
            exported: self.exported,
            queued: self.queued(),
            lost,
            lost_by_reason: self.lost.clone(),
            ..Collector::default()
        }
    }

    /// Whether nothing is ready to be sent at `now`; with `flush`, whether nothing is left at all.
    pub fn is_settled(&self, now: Now, flush: bool) -> bool {
        let ready = self.session.poll_timeout().is_some_and(|at| flush || at <= now.monotonic);
        self.given_up.is_some()
            || (self.pending.is_empty() && !ready && !matches!(self.state, State::Probing(_)))
    }

    /// When a message is ready, on the session's clock.
    pub fn deadline(&self) -> Option<u64> {
        if self.given_up.is_some() { None } else { self.session.poll_timeout() }
    }

    /// The instant of the last message that went out.
    pub const fn progress(&self) -> u64 {
        self.progress
    }

    /// Counts what is queued, and what comes, as lost: nobody waits for this collector any more.
    pub fn give_up(&mut self, reason: &Reason) {
        if self.given_up.is_some() {
            return;
        }
        let queued = self.queued();
        *self.lost.entry(reason.name.to_owned()).or_default() += queued;
        self.pending.clear();
        self.session.clear();
        self.given_up = Some(reason.name.to_owned());
        log::error!(
            "collector {}: given up with {} records not delivered ({} packets)",
            self.url,
            queued.records,
            queued.packets
        );
    }

    /// Whether [`Exporter::give_up`] was called.
    pub const fn is_given_up(&self) -> bool {
        self.given_up.is_some()
    }

    /// Sends what is ready. `real` is the monotonic clock in nanoseconds, `now` the session's time.
    ///
    /// Gives the instant (of `real`) at which to call again at the latest, if any.
    pub fn poll(&mut self, real: u64, now: Now, flush: bool) -> Option<u64> {
        if self.given_up.is_some() {
            return None;
        }
        loop {
            let wait = match &self.state {
                State::Waiting(until) if real < *until => Some(*until),
                State::Waiting(_) => {
                    self.resolve();
                    None
                }
                State::Resolving(_) => self.resolved(real, now),
                State::Probing(until) if real < *until => Some(*until),
                State::Probing(_) => {
                    self.judge_probe(real);
                    None
                }
                State::Up => {
                    return self.send_ready(real, now, flush).or_else(|| self.session_timeout(real, now));
                }
            };
            if wait.is_some() {
                return wait;
            }
        }
    }

    /// The session's own deadline, on the real clock: the two advance alike.
    fn session_timeout(&self, real: u64, now: Now) -> Option<u64> {
        self.session.poll_timeout().map(|at| real.saturating_add(at.saturating_sub(now.monotonic)))
    }

    /// Asks for the address in a thread of its own: resolvers block.
    fn resolve(&mut self) {
        let (sender, receiver) = channel();
        let (host, port) = (self.url.host().clone(), self.port);
        std::thread::spawn(move || {
            // The exporter may be gone by now, and then nobody wants to know.
            drop(sender.send(resolve(&host, port)));
        });
        self.state = State::Resolving(receiver);
    }

    /// Looks for the resolver's answer and opens the socket.
    fn resolved(&mut self, real: u64, now: Now) -> Option<u64> {
        let State::Resolving(receiver) = &self.state else { return None };
        let addresses = match receiver.try_recv() {
            Ok(addresses) => addresses,
            Err(TryRecvError::Empty) => return Some(real + SOON),
            Err(TryRecvError::Disconnected) => Err(io::Error::other("the resolver ended without an answer")),
        };
        let connected = addresses.and_then(|addresses| self.connect(&addresses));
        match connected {
            Ok(()) => {
                self.state = State::Up;
                self.start(now);
            }
            Err(error) => self.wait(real, &format!("cannot be reached: {error}")),
        }
        None
    }

    /// Takes the first address that a socket can be made for; an open socket keeps its port.
    fn connect(&mut self, addresses: &[SocketAddr]) -> io::Result<()> {
        if let Some(socket) = &mut self.socket {
            let same = addresses.iter().find(|address| address.is_ipv4() == socket.address().is_ipv4());
            if let Some(address) = same {
                return socket.reconnect(*address);
            }
        }
        let source = self.url.source();
        let mut result = Err(io::Error::other("the name has no address"));
        for address in
            addresses.iter().filter(|address| source.is_none_or(|s| s.is_ipv4() == address.is_ipv4()))
        {
            result = Udp::connect(*address, source);
            if result.is_ok() {
                break;
            }
        }
        self.socket = Some(result?);
        Ok(())
    }

    /// Begins (again): templates before data, in messages that fit the path.
    fn start(&mut self, now: Now) {
        if let Some(socket) = &self.socket {
            let max = self.url.mtu().map_or_else(|| socket.max_message(), usize::from);
            if let Err(error) = self.session.set_max_message(max) {
                self.say(&format!("{error}; messages keep their size"));
            }
        }
        self.session.restart();
        let unsent = std::mem::take(&mut self.pending);
        self.pending = self.session.resume(unsent, now);
    }

    /// Sends until the pace, the socket or the session has no more; gives the instant to go on.
    fn send_ready(&mut self, real: u64, now: Now, flush: bool) -> Option<u64> {
        loop {
            if self.pending.is_empty() {
                let message = self.session.poll_message(now, flush)?;
                self.pending.push_back(message);
            }
            if let Err(when) = self.pace.take(real) {
                return Some(when);
            }
            let (Some(message), Some(socket)) = (self.pending.front(), &self.socket) else { return None };
            match socket.send(&message.bytes) {
                Ok(()) => self.sent(real),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(real + SOON),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.refused(real, &error);
                    return Some(real + SOON);
                }
            }
            if matches!(self.state, State::Probing(_)) {
                return Some(real + PROBE);
            }
        }
    }

    fn sent(&mut self, real: u64) {
        let Some(message) = self.pending.pop_front() else { return };
        self.exported += message.total;
        // Templates are no progress: each try against a closed port begins with them.
        if message.templates_only {
            self.state = State::Probing(real + PROBE);
        } else {
            self.progress = real;
        }
        if let Some(before) = self.last.replace(message) {
            self.session.recycle(before);
        }
    }

    /// Nothing refused the templates: the collector listens, as far as UDP can tell.
    fn judge_probe(&mut self, real: u64) {
        if let Some(error) = self.socket.as_ref().and_then(Udp::refused) {
            return self.refused(real, &error);
        }
        self.state = State::Up;
        self.backoff.reset();
        if self.said.take().is_some() {
            log::info!("collector {}: reached", self.url);
        }
    }

    /// The message before was refused: it goes back to the front, and all wait.
    fn refused(&mut self, real: u64, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionRefused
            && let Some(last) = self.last.take()
        {
            self.exported -= last.total;
            self.pending.push_front(last);
        }
        self.wait(real, &format!("does not take messages: {error}"));
    }

    /// Looks, at the end, whether the last message was refused.
    pub fn judge_last(&mut self, real: u64) {
        if let Some(error) = self.socket.as_ref().and_then(Udp::refused) {
            self.refused(real, &error);
        }
    }

    fn wait(&mut self, real: u64, what: &str) {
        self.say(what);
        self.state = State::Waiting(real + self.backoff.next());
    }

    /// Once for each kind of trouble, not once for each try.
    fn say(&mut self, what: &str) {
        if self.said.as_deref() != Some(what) {
            log::warn!("collector {}: {what}; records are kept, and it is tried again", self.url);
            self.said = Some(what.to_owned());
        }
    }
}

/// A session with the size of messages that the URL asks for, or the path has.
fn session(url: &CollectorUrl, settings: &Settings) -> Result<Session, SessionError> {
    let mut config = SessionConfig::new(url.protocol(settings.protocol), settings.system_start_ms);
    config.observation_domain = settings.observation_domain;
    if let Some(mtu) = url.mtu() {
        config.max_message = usize::from(mtu);
    }
    Session::new(config)
}
