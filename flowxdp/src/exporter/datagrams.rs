//! Export over UDP: one datagram a message.
//!
//! UDP tells nothing of a delivery, but a closed port answers with an ICMP message. So the first message
//! after every start holds templates alone, and data follows only when nothing was refused meanwhile;
//! after a refusal the messages wait, in order, until the collector is back.
//!
//! A name is resolved at every start, and now and then while all is well: a collector that moved away, and
//! whose host refuses nothing, would never be missed.

use std::{collections::VecDeque, io, net::SocketAddr};

use flowxdp_common::reason::Reason;
use flowxdp_core::{
    backoff::Backoff,
    clock::{MILLISECOND, Now, SECOND},
    record::RecordTotal,
    session::Message,
};

use super::{Outgoing, Settings, account::Origin, resolver::Resolving};
use crate::collector_url::Host;
use crate::transport::udp::{BATCH, Sent, Udp, is_too_large};

/// How long the first message after a start is given to be refused, nanoseconds.
const PROBE: u64 = 50 * MILLISECOND;

/// How long to wait for room in the send buffer, nanoseconds.
const SOON: u64 = MILLISECOND;

/// Groups of messages that one refusal can take back.
const REFUSED: usize = 2;

/// A refusal comes within this time or not at all, nanoseconds.
const SURE: u64 = SECOND;

#[derive(Debug)]
enum State {
    /// The name is being resolved.
    Resolving(Resolving),
    /// Until this instant nothing is tried.
    Waiting(u64),
    /// The first message is out; until this instant it can be refused.
    Probing(u64),
    /// Data goes out.
    Up,
}

/// The UDP side of one collector.
#[derive(Debug)]
pub(super) struct Datagrams {
    port: u16,
    /// The local port of an earlier agent.
    from: u16,
    /// Messages that the kernel may take as one.
    segments: usize,
    backoff: Backoff,
    /// The name is resolved again after so long, nanoseconds; 0 for never.
    resolve_interval: u64,
    resolve_at: u64,
    /// It is being resolved while messages go out.
    resolving: Option<Resolving>,
    state: State,
    socket: Option<Udp>,
    /// Polled and not handed to the kernel, in order.
    pending: VecDeque<Message>,
    /// Handed to the kernel last, in order: what a refusal speaks of.
    last: VecDeque<Message>,
    /// Until this instant their slots are kept; `None` if they have none.
    unsure: Option<u64>,
    /// Nothing was refused since the last start.
    probed: bool,
    /// Octets that the path takes, as the session was told.
    fits: usize,
    /// The last try was too large, and nothing went out since.
    too_large: bool,
}

impl Datagrams {
    /// `local_port` is the one to send from, if it can be had; 0 for any.
    pub(super) fn new(port: u16, local_port: u16, backoff: Backoff, settings: &Settings) -> Self {
        Self {
            port,
            from: local_port,
            segments: settings.udp_segments,
            backoff,
            resolve_interval: settings.resolve_interval,
            resolve_at: 0,
            resolving: None,
            state: State::Waiting(0),
            socket: None,
            pending: VecDeque::new(),
            last: VecDeque::new(),
            unsure: None,
            probed: false,
            fits: 0,
            too_large: false,
        }
    }

    pub(super) fn queued(&self) -> RecordTotal {
        let mut queued = RecordTotal::default();
        for message in &self.pending {
            queued += message.total;
        }
        queued
    }

    pub(super) const fn is_up(&self) -> bool {
        matches!(self.state, State::Up)
    }

    /// Whether nothing is on the way.
    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty() && !matches!(self.state, State::Probing(_))
    }

    /// What is not handed over is lost.
    pub(super) fn give_up(&mut self, out: &mut Outgoing, reason: &Reason) {
        for message in self.pending.drain(..) {
            out.account.lost_message(reason, message);
        }
    }

    /// The local port, once there is one.
    pub(super) fn local_port(&self) -> u16 {
        self.socket.as_ref().map_or(0, Udp::local_port)
    }

    pub(super) fn poll(&mut self, out: &mut Outgoing, real: u64, now: Now, flush: bool) -> Option<u64> {
        loop {
            let wait = match &mut self.state {
                State::Waiting(until) if real < *until => Some(*until),
                State::Waiting(_) => {
                    self.state = State::Resolving(Resolving::start(out.url.host().clone(), self.port));
                    None
                }
                State::Resolving(resolving) => match resolving.answer() {
                    None => Some(real + SOON),
                    Some(addresses) => {
                        self.resolved(out, addresses, real, now);
                        None
                    }
                },
                State::Probing(until) if real < *until => Some(*until),
                State::Probing(_) => {
                    self.judge_probe(out, real);
                    None
                }
                State::Up if self.unsure.is_some_and(|until| real >= until) => {
                    self.judge_last(out, real);
                    None
                }
                State::Up => {
                    let look = self.look_up(out, real, now);
                    let send = self.send_ready(out, real, now, flush).or_else(|| out.timeout(real, now));
                    return look.into_iter().chain(send).chain(self.unsure).min();
                }
            };
            if wait.is_some() {
                return wait;
            }
        }
    }

    /// Opens the socket at the resolver's answer.
    fn resolved(&mut self, out: &mut Outgoing, addresses: io::Result<Vec<SocketAddr>>, real: u64, now: Now) {
        match addresses.and_then(|addresses| self.connect(out, &addresses)) {
            Ok(()) => {
                self.state = State::Up;
                self.resolve_at = real.saturating_add(self.resolve_interval);
                self.start(out, now);
            }
            Err(error) => self.wait(out, real, &format!("cannot be reached: {error}")),
        }
    }

    /// Resolves the name again while messages go out, and follows the collector to where it is now; gives
    /// the instant to go on.
    fn look_up(&mut self, out: &mut Outgoing, real: u64, now: Now) -> Option<u64> {
        if self.resolve_interval == 0 || !matches!(out.url.host(), Host::Name(_)) {
            return None;
        }
        if let Some(resolving) = &mut self.resolving {
            let Some(addresses) = resolving.answer() else { return Some(real + SOON) };
            self.resolving = None;
            self.resolve_at = real.saturating_add(self.resolve_interval);
            match addresses {
                Ok(addresses) => self.follow(out, &addresses, real, now),
                // Where it was, it still is, as far as anybody knows.
                Err(error) => log::debug!("collector {}: cannot be resolved again: {error}", out.url),
            }
        } else if real >= self.resolve_at {
            self.resolving = Some(Resolving::start(out.url.host().clone(), self.port));
            return Some(real + SOON);
        }
        Some(self.resolve_at)
    }

    /// Sends to another address if the one in use is not among these: as after a start, templates first.
    fn follow(&mut self, out: &mut Outgoing, addresses: &[SocketAddr], real: u64, now: Now) {
        let Some(socket) = &self.socket else { return };
        let before = socket.address();
        if addresses.is_empty() || addresses.contains(&before) {
            return;
        }
        // What was refused there goes to the new address: a refusal leads to a start in any case.
        if let Some(error) = socket.refused() {
            let messages = socket.last_group();
            return self.refused(out, real, &error, messages);
        }
        if let Err(error) = self.connect(out, addresses) {
            log::warn!("collector {}: its new address cannot be reached: {error}", out.url);
            return;
        }
        let address = self.socket.as_ref().map_or(before, Udp::address);
        log::info!("collector {}: it is at {} now, and was at {}", out.url, address.ip(), before.ip());
        // A later refusal does not speak of what was sent there.
        self.forget_last(out);
        self.start(out, now);
    }

    /// Takes the first address that a socket can be made for, from the port in use where that can be.
    fn connect(&mut self, out: &Outgoing, addresses: &[SocketAddr]) -> io::Result<()> {
        let source = out.url.source();
        let port = Some(self.local_port()).filter(|port| *port != 0).unwrap_or(self.from);
        let usable = |address: &&SocketAddr| source.is_none_or(|it| it.is_ipv4() == address.is_ipv4());
        let mut result = Err(io::Error::other("the name has no address"));
        for address in addresses.iter().filter(usable) {
            result = Udp::connect(*address, source, port);
            if result.is_ok() {
                break;
            }
        }
        let mut socket = result?;
        socket.take_together(self.segments);
        out.account.set_port(socket.local_port());
        self.socket = Some(socket);
        Ok(())
    }

    /// Begins (again): templates before data, in messages that fit the path.
    fn start(&mut self, out: &mut Outgoing, now: Now) {
        self.fits = 0;
        self.fit(out);
        self.probed = false;
        out.session.restart();
        let unsent = std::mem::take(&mut self.pending);
        self.pending = out.session.resume(unsent, now);
    }

    /// Messages that are made from now on fit the path, as far as the kernel knows it by now.
    fn fit(&mut self, out: &mut Outgoing) {
        let Some(socket) = &self.socket else { return };
        let max = out.url.mtu().map_or_else(|| socket.max_message(), usize::from);
        if max != self.fits {
            self.fits = max;
            if let Err(error) = out.session.set_max_message(max) {
                out.say(&format!("{error}; messages keep their size"));
            }
        }
    }

    /// Sends until the pace, the socket or the session has no more; gives the instant to go on.
    fn send_ready(&mut self, out: &mut Outgoing, real: u64, now: Now, flush: bool) -> Option<u64> {
        out.offer(now, self.local_port());
        loop {
            // Before each batch is made: the one before it may have told of a smaller path.
            self.fit(out);
            if self.pending.is_empty() {
                let message = out.session.poll_message(now, flush)?;
                self.pending.push_back(message);
            }
            let ready = match out.pace.ready(real) {
                Ok(ready) => usize::try_from(ready).unwrap_or(BATCH),
                Err(when) => return Some(when),
            };
            // The first message after a start goes alone: no data before nothing was refused.
            let most = if self.probed { ready.min(BATCH) } else { 1 };
            while self.pending.len() < most {
                let Some(message) = out.session.poll_message(now, flush) else { break };
                self.pending.push_back(message);
            }
            out.account.sending(self.pending.iter().take(most));
            let Sent { handed, error, refused } = self.send(most)?;
            // A try costs a token, whatever comes of it.
            out.pace.spend(real, handed.max(1) as u64);
            for left in (0..handed).rev() {
                self.sent(out, real, left < self.unsure_messages());
            }
            out.account.commit();
            match error {
                None => {}
                Some(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(real + SOON),
                Some(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A smaller path MTU was learned. If it is the message itself, that comes again.
                Some(error) if is_too_large(&error) && !self.too_large => {
                    self.too_large = true;
                    self.fit(out);
                }
                Some(error) => {
                    self.refused(out, real, &error, refused);
                    return Some(real + SOON);
                }
            }
            if matches!(self.state, State::Probing(_)) {
                return Some(real + PROBE);
            }
        }
    }

    /// Hands the first messages that wait to the kernel, at most `most`.
    fn send(&mut self, most: usize) -> Option<Sent> {
        let mut batch = [const { [].as_slice() }; BATCH];
        let count = self.pending.len().min(most);
        for (octets, message) in batch.iter_mut().zip(&self.pending) {
            *octets = &message.bytes;
        }
        Some(self.socket.as_mut()?.send(batch.get(..count)?))
    }

    /// Messages that one refusal can take back at most.
    const fn unsure_messages(&self) -> usize {
        REFUSED * self.segments
    }

    /// What refused the last messages, and how many.
    fn refusal(&self) -> Option<(io::Error, usize)> {
        let socket = self.socket.as_ref()?;
        Some((socket.refused()?, socket.last_group()))
    }

    /// The first message that waits is with the kernel; a `last` one may yet be refused.
    fn sent(&mut self, out: &mut Outgoing, real: u64, last: bool) {
        let Some(mut message) = self.pending.pop_front() else { return };
        out.account.handed(&mut message, Origin::default(), false, last);
        out.session.handed(&message);
        self.too_large = false;
        // Templates are no progress: each try against a closed port begins with them.
        if !message.templates_only {
            out.patience.progress();
        }
        if !self.probed {
            self.state = State::Probing(real + PROBE);
        }
        if !message.tickets.is_empty() {
            self.unsure = Some(real.saturating_add(SURE));
        }
        self.last.push_back(message);
        if self.last.len() > self.unsure_messages()
            && let Some(mut before) = self.last.pop_front()
        {
            out.account.sure(&mut before);
            out.session.recycle(before);
        }
    }

    /// A later refusal does not speak of what was handed last.
    fn forget_last(&mut self, out: &mut Outgoing) {
        self.unsure = None;
        for mut before in self.last.drain(..) {
            out.account.sure(&mut before);
            out.session.recycle(before);
        }
    }

    /// Nothing refused the first message: the collector listens, as far as UDP can tell.
    fn judge_probe(&mut self, out: &mut Outgoing, real: u64) {
        if let Some((error, messages)) = self.refusal() {
            return self.refused(out, real, &error, messages);
        }
        self.probed = true;
        self.state = State::Up;
        self.backoff.reset();
        out.reached(real);
    }

    /// So many messages that were handed last were refused: they go back to the front, and all wait.
    fn refused(&mut self, out: &mut Outgoing, real: u64, error: &io::Error, messages: usize) {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            out.account.refused();
            let refused = self.last.split_off(self.last.len().saturating_sub(messages));
            out.account.take_back(&refused);
            refused.into_iter().rev().for_each(|last| self.pending.push_front(last));
            // What was handed before those is not spoken of by a later refusal.
            self.forget_last(out);
        }
        self.wait(out, real, &format!("does not take messages: {error}"));
    }

    /// Looks, at the end or after some time, whether the last message was refused; if not, it arrived as far
    /// as UDP can tell, and its slots are let go of.
    pub(super) fn judge_last(&mut self, out: &mut Outgoing, real: u64) {
        if let Some((error, messages)) = self.refusal() {
            return self.refused(out, real, &error, messages);
        }
        self.unsure = None;
        self.last.iter_mut().for_each(|message| out.account.sure(message));
    }

    fn wait(&mut self, out: &mut Outgoing, real: u64, what: &str) {
        out.failed(what);
        self.state = State::Waiting(real + self.backoff.next());
    }
}

#[cfg(test)]
mod tests;
