//! Export over TCP and TLS: a session for each connection, and nothing forgotten between two.
//!
//! What leaves, in this order: what an earlier connection left uncertain or unsent, what is on disk, and
//! then what is in the session's queue. No collector acknowledges a record, so the last octets that were
//! written stay in a window, and go out again after a break; the books name them as perhaps twice.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use flowxdp_core::{
    backoff::Backoff,
    clock::{MILLISECOND, Now},
    record::RecordTotal,
    session::{Definition, Message},
};

use super::{Outgoing, resolver::Resolving, store::Store};
use crate::{
    spool::Place,
    transport::{
        broken::Broken,
        readiness::Readiness,
        stream::{Phase, Stream, StreamSettings},
        tls::TlsClient,
    },
};

/// How long to wait for the resolver's answer before looking again, nanoseconds.
const SOON: u64 = MILLISECOND;

/// A socket that takes nothing is looked at again after so long, should no event tell: nanoseconds.
const LOOK_AGAIN: u64 = 100 * MILLISECOND;

enum State {
    /// Until this instant nothing is tried.
    Waiting(u64),
    Resolving(Resolving),
    /// Connecting and handshake, and the addresses that are left to try.
    Opening(Box<Stream>, VecDeque<SocketAddr>),
    Up(Box<Stream>),
    /// Everything is written, and the end of the connection under way.
    Closing(Box<Stream>),
    Closed,
}

/// A message on its way.
#[derive(Debug)]
struct Outbound {
    message: Message,
    /// Where it is on disk, if it is.
    place: Option<Place>,
    /// The templates that it was written with, where they may not be ours.
    templates: Option<Arc<[Definition]>>,
    /// It comes from an earlier run.
    inherited: bool,
    /// The collector may have it already.
    again: bool,
}

impl Outbound {
    const fn new(message: Message) -> Self {
        Self { message, place: None, templates: None, inherited: false, again: false }
    }
}

/// What a connection is made with.
pub(super) struct Making {
    pub(super) port: u16,
    pub(super) settings: StreamSettings,
    pub(super) tls: Option<TlsClient>,
    pub(super) readiness: Arc<Readiness>,
    /// Octets that are sent again after a break.
    pub(super) window: usize,
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
    /// Written last.
    window: VecDeque<Outbound>,
    window_octets: usize,
    store: Store,
}

impl Connection {
    pub(super) const fn new(making: Making, store: Store, backoff: Backoff) -> Self {
        Self {
            making,
            backoff,
            state: State::Waiting(0),
            backlog: VecDeque::new(),
            writing: VecDeque::new(),
            written: 0,
            window: VecDeque::new(),
            window_octets: 0,
            store,
        }
    }

    /// In memory and on disk, without what an earlier run left.
    pub(super) fn queued(&self) -> RecordTotal {
        let mut queued = self.store.waiting();
        for outbound in self.backlog.iter().chain(&self.writing).filter(|outbound| !outbound.inherited) {
            queued += outbound.message.total;
        }
        queued
    }

    pub(super) const fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// Whether it has a place on disk for whatever memory does not hold.
    pub(super) fn has_store(&self) -> bool {
        self.store.is_usable()
    }

    /// Whether nothing is on the way: everything is written or, with `stored`, waits on disk for a
    /// collector that is away.
    pub(super) fn is_settled(&self, stored: bool) -> bool {
        let away = matches!(self.state, State::Waiting(until) if until > 0);
        stored && away && self.store.is_usable()
            || self.backlog.is_empty() && self.writing.is_empty() && self.store.is_empty()
    }

    /// Whether there is no connection to be ended.
    pub(super) const fn is_closed(&self) -> bool {
        !matches!(self.state, State::Up(_) | State::Closing(_))
    }

    /// The local port, once there is one.
    pub(super) fn local_port(&self) -> u16 {
        match &self.state {
            State::Up(stream) => stream.local_port(),
            _ => 0,
        }
    }

    /// The TLS side, to read its files again.
    pub(super) const fn tls(&mut self) -> Option<&mut TlsClient> {
        self.making.tls.as_mut()
    }

    /// Ends the session if its collector is no longer one that we trust.
    pub(super) fn judge_again(&mut self, out: &mut Outgoing, real: u64) {
        let (Some(tls), State::Up(stream)) = (&self.making.tls, &self.state) else { return };
        if let Err(broken) = stream.judge_again(tls) {
            self.broken(out, real, &broken);
        }
    }

    pub(super) fn poll(&mut self, out: &mut Outgoing, real: u64, now: Now, flush: bool) -> Option<u64> {
        self.store.account(out, now);
        let wait = self.advance(out, real, now, flush);
        if matches!(self.state, State::Waiting(_)) {
            self.store.keep(out, now, flush);
        }
        wait
    }

    fn advance(&mut self, out: &mut Outgoing, real: u64, now: Now, flush: bool) -> Option<u64> {
        loop {
            let wait = match &mut self.state {
                State::Waiting(until) if real < *until => Some(*until),
                State::Waiting(_) => {
                    let resolving = Resolving::start(out.url.host().clone(), self.making.port);
                    self.state = State::Resolving(resolving);
                    None
                }
                State::Resolving(resolving) => match resolving.answer() {
                    None => Some(real + SOON),
                    Some(addresses) => {
                        let source = out.url.source();
                        let usable =
                            |address: &SocketAddr| source.is_none_or(|it| it.is_ipv4() == address.is_ipv4());
                        match addresses {
                            Ok(addresses) => {
                                self.open(out, addresses.into_iter().filter(usable).collect(), real)
                            }
                            Err(error) => self.wait(out, real, &format!("cannot be reached: {error}")),
                        }
                        None
                    }
                },
                State::Opening(stream, _) => match stream.poll(real) {
                    Ok(Phase::Ready) => {
                        self.up(out, real);
                        None
                    }
                    Ok(_) => Some(stream.deadline().unwrap_or(real + LOOK_AGAIN)),
                    Err(broken) => {
                        self.try_next(out, real, &broken);
                        None
                    }
                },
                State::Up(_) => match self.send_ready(out, real, now, flush) {
                    Ok(wait) => return wait.or_else(|| out.timeout(real, now)),
                    Err(broken) => {
                        self.broken(out, real, &broken);
                        None
                    }
                },
                State::Closing(_) | State::Closed => return None,
            };
            if wait.is_some() {
                return wait;
            }
        }
    }

    fn open(&mut self, out: &mut Outgoing, mut addresses: VecDeque<SocketAddr>, real: u64) {
        let Some(address) = addresses.pop_front() else {
            return self.wait(out, real, "cannot be reached: its name has no address that can be used");
        };
        let making = &self.making;
        let stream = Stream::connect(address, &making.settings, making.tls.as_ref(), &making.readiness, real);
        match stream {
            Ok(stream) => self.state = State::Opening(Box::new(stream), addresses),
            Err(broken) if addresses.is_empty() => self.wait(out, real, &broken.to_string()),
            Err(_) => self.open(out, addresses, real),
        }
    }

    /// One address did not do: the next one, or a while later again.
    fn try_next(&mut self, out: &mut Outgoing, real: u64, broken: &Broken) {
        let rest = match std::mem::replace(&mut self.state, State::Closed) {
            State::Opening(_, rest) => rest,
            _ => VecDeque::new(),
        };
        if rest.is_empty() {
            self.wait(out, real, &broken.to_string());
        } else {
            self.open(out, rest, real);
        }
    }

    /// A new transport session: sequence, templates and options anew.
    fn up(&mut self, out: &mut Outgoing, real: u64) {
        if let State::Opening(stream, _) = std::mem::replace(&mut self.state, State::Closed) {
            self.state = State::Up(stream);
        }
        out.session.begin();
        out.reached(real);
    }

    /// Writes until the socket, the pace of the spool or the session has no more.
    fn send_ready(
        &mut self,
        out: &mut Outgoing,
        real: u64,
        now: Now,
        flush: bool,
    ) -> Result<Option<u64>, Broken> {
        let port = self.local_port();
        out.offer(now, port);
        let State::Up(stream) = &mut self.state else { return Ok(None) };
        stream.poll(real)?;
        loop {
            while let Some(first) = self.writing.front() {
                let rest = first.message.bytes.get(self.written..).unwrap_or_default();
                let State::Up(stream) = &mut self.state else { return Ok(None) };
                let taken = stream.write(rest)?;
                self.written += taken;
                if self.written < first.message.bytes.len() {
                    self.store.keep_up(out, now);
                    return Ok(Some(real + LOOK_AGAIN));
                }
                self.handed(out, real);
            }
            if let Some(outbound) = self.backlog.pop_front() {
                self.number(out, outbound, now);
            } else if !self.store.is_empty() {
                if let Err(when) = out.pace.take(real) {
                    return Ok(Some(when));
                }
                self.read_back(out, now);
            } else if let Some(message) = out.session.poll_message(now, flush) {
                self.writing.push_back(Outbound::new(message));
            } else {
                return Ok(None);
            }
        }
    }

    /// Gives a message of before its place in this session, behind the templates that it needs.
    fn number(&mut self, out: &mut Outgoing, outbound: Outbound, now: Now) {
        let Outbound { message, place, templates, inherited, again } = outbound;
        let mut messages = out.session.again(message, templates.as_deref(), now);
        let last = messages.pop();
        self.writing.extend(messages.into_iter().map(Outbound::new));
        let last = last.map(|message| Outbound { message, place, templates, inherited, again });
        self.writing.extend(last);
    }

    /// The next message on disk.
    fn read_back(&mut self, out: &mut Outgoing, now: Now) {
        if let Some(stored) = self.store.take(out) {
            let outbound = Outbound {
                message: stored.message,
                place: stored.place,
                templates: stored.templates,
                inherited: stored.inherited,
                again: stored.perhaps_twice,
            };
            self.number(out, outbound, now);
        }
    }

    /// The first of `writing` is wholly with the kernel.
    fn handed(&mut self, out: &mut Outgoing, real: u64) {
        self.written = 0;
        let Some(outbound) = self.writing.pop_front() else { return };
        let total = outbound.message.total;
        out.account.exported(total, outbound.inherited);
        if outbound.again {
            out.account.perhaps_twice(total);
        }
        out.session.handed(&outbound.message);
        out.progress = real;
        self.backoff.reset();
        if let Some(place) = outbound.place {
            self.store.sent(place);
        }
        self.window_octets += outbound.message.bytes.len();
        self.window.push_back(outbound);
        while self.window_octets > self.making.window {
            let Some(oldest) = self.window.pop_front() else { break };
            self.window_octets -= oldest.message.bytes.len();
            if let Some(place) = oldest.place {
                self.store.delivered(place);
            }
            out.session.recycle(oldest.message);
        }
    }

    /// The connection is gone: what may not have arrived is sent again, before all else.
    fn broken(&mut self, out: &mut Outgoing, real: u64, broken: &Broken) {
        self.take_back(out);
        self.wait(out, real, &broken.to_string());
    }

    /// Nothing that was written can be relied on any more.
    fn take_back(&mut self, out: &mut Outgoing) {
        self.written = 0;
        self.window_octets = 0;
        let mut backlog = VecDeque::new();
        for mut outbound in self.window.drain(..).filter(|outbound| outbound.message.total.records > 0) {
            out.account.taken_back(outbound.message.total, outbound.inherited);
            outbound.again = true;
            backlog.push_back(outbound);
        }
        backlog.extend(self.writing.drain(..).filter(|outbound| outbound.message.total.records > 0));
        backlog.append(&mut self.backlog);
        self.backlog = backlog;
    }

    fn wait(&mut self, out: &mut Outgoing, real: u64, what: &str) {
        out.failed(what);
        self.state = State::Waiting(real + self.backoff.next());
    }

    /// Ends the connection in order; true when it has ended, or has broken and left nothing uncertain.
    pub(super) fn close(&mut self, out: &mut Outgoing, real: u64) -> bool {
        if let State::Up(_) = self.state
            && let State::Up(stream) = std::mem::replace(&mut self.state, State::Closed)
        {
            self.state = State::Closing(stream);
        }
        let State::Closing(stream) = &mut self.state else { return true };
        match stream.close(real) {
            Ok(false) => false,
            Ok(true) => {
                self.delivered_all(out);
                self.state = State::Closed;
                true
            }
            Err(broken) => {
                self.broken(out, real, &broken);
                self.backlog.is_empty()
            }
        }
    }

    /// The other side's kernel has everything, and we have its word that it ended the connection in order.
    fn delivered_all(&mut self, out: &mut Outgoing) {
        self.window_octets = 0;
        for outbound in self.window.drain(..) {
            if let Some(place) = outbound.place {
                self.store.delivered(place);
            }
            out.session.recycle(outbound.message);
        }
    }

    /// Nobody waits any longer: what there is goes to disk, or is given back to be counted as lost.
    pub(super) fn give_up(&mut self, out: &mut Outgoing, real: u64, now: Now) -> RecordTotal {
        if matches!(self.state, State::Up(_) | State::Closing(_)) {
            self.take_back(out);
            log::debug!("collector {}: the connection is left at {real} ns", out.url);
        }
        let mut left = RecordTotal::default();
        let unsent = self.backlog.drain(..).chain(self.writing.drain(..)).collect::<Vec<_>>();
        for outbound in unsent {
            let total = outbound.message.total;
            if outbound.again {
                out.account.perhaps_twice(total);
            }
            if outbound.place.is_some() {
                self.store.stays(total, outbound.inherited);
            } else if total.records > 0 && !self.store.append(out, &outbound.message, now) {
                left += total;
            }
        }
        left += self.store.keep_all(out, now);
        self.state = State::Closed;
        left
    }

    /// Where records wait for another run, and how many.
    pub(super) fn stored(&self) -> Option<(String, RecordTotal)> {
        self.store.describe()
    }
}
