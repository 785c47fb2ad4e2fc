//! Export over UDP: one datagram a message.
//!
//! UDP tells nothing of a delivery, but a closed port answers with an ICMP message, and so does a router that has
//! no way to the collector. So the first message after every start holds templates alone, and data follows only
//! when nothing was refused meanwhile; after a refusal the messages wait, in order, until the collector is back.
//! A refusal is a hint, which any host may forge: see [`refusals`]. The messages that it takes back go out again,
//! and are named as perhaps delivered twice. While refusals go on, a message of data goes out now and then all the
//! same.
//!
//! A router that finds a message too large says so too: the records go out again, in smaller messages. See
//! [`path`].
//!
//! A name is resolved at every start, and now and then while all is well: a collector that moved away, and
//! whose host refuses nothing, would never be missed.

mod lately;
mod path;
mod reaching;
mod refusals;
mod reports;
mod sending;

use std::collections::VecDeque;

use flowxdp_common::reason::Undelivered;
use flowxdp_core::{
    clock::{AgentTime, MILLISECOND, Now, SECOND},
    exporting::backoff::Backoff,
    exporting::session::Message,
    record::RecordTotal,
};

use self::{lately::Lately, path::PathMtu, refusals::Refusals};
use super::{
    Outgoing, Renewal, Settings,
    delivery::{Delivery, Opening},
    resolver::Resolving,
};
use crate::transport::udp::Udp;

/// How long the first message after a start is given to be refused, nanoseconds.
const PROBE: u64 = 50 * MILLISECOND;

/// How long to wait for room in the send buffer, nanoseconds.
const SOON: u64 = MILLISECOND;

/// While messages are refused, data goes out all the same after so long, nanoseconds.
const TRIAL: u64 = 5 * SECOND;

/// While messages wait, refusals that nothing was sent for are looked for so often, nanoseconds.
const WATCH: u64 = 100 * MILLISECOND;

#[derive(Debug)]
enum State {
    /// The name is being resolved.
    Resolving(Resolving),
    /// Until this instant nothing is tried.
    Waiting(AgentTime),
    /// The first message is out; until this instant it can be refused.
    Probing(AgentTime),
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
    resolve_at: AgentTime,
    /// The name is being resolved while messages go out.
    resolving: Option<Resolving>,
    state: State,
    socket: Option<Udp>,
    /// Polled and not handed to the kernel, in order.
    pending: VecDeque<Message>,
    /// Messages delivered to the kernel lately, in order: a refusal refers to one of them.
    lately: Lately,
    refusals: Refusals,
    path: PathMtu,
    /// Nothing was refused since the last start.
    probed: bool,
    /// Since then messages are refused, or since the last data that went out all the same.
    refused_since: Option<AgentTime>,
    /// The message that goes out now is one of data in spite of refusals.
    trial: bool,
    /// Messages that wait are to be made anew: some were refused, or are too large now.
    anew: bool,
    /// Octets of the packet whose message waits to try a larger size.
    tries: Option<usize>,
    /// Octets of the largest message, as the session was told.
    fits: usize,
}

impl Datagrams {
    /// The session continues the sequences of an earlier agent.
    pub(super) fn prepare(opening: Opening<'_>) -> Self {
        for (domain, sequence) in opening.books.sequences() {
            opening.session.resume_at(domain, sequence);
        }
        Self::new(opening.port, opening.left.port, opening.backoff, opening.settings)
    }

    /// `local_port` is the one to send from, if it can be had; 0 for any.
    fn new(port: u16, local_port: u16, backoff: Backoff, settings: &Settings) -> Self {
        Self {
            port,
            from: local_port,
            segments: settings.udp_segments,
            backoff,
            resolve_interval: settings.resolve_interval,
            resolve_at: AgentTime::START,
            resolving: None,
            state: State::Waiting(AgentTime::START),
            socket: None,
            pending: VecDeque::new(),
            lately: Lately::default(),
            refusals: Refusals::default(),
            path: PathMtu::default(),
            probed: false,
            refused_since: None,
            trial: false,
            anew: false,
            tries: None,
            fits: 0,
        }
    }

    /// The local port, once there is one.
    fn local_port(&self) -> u16 {
        self.socket.as_ref().map_or(0, Udp::local_port)
    }

    /// Begins (again): templates before data, in messages that fit the path.
    fn start(&mut self, out: &mut Outgoing, real: AgentTime, now: Now) {
        self.fits = 0;
        self.probed = false;
        self.trial = false;
        out.session.restart();
        self.anew = true;
        self.fit(out, real, now);
    }

    /// Messages fit the path from now on, as far as it is known by now: new ones, and those that wait.
    fn fit(&mut self, out: &mut Outgoing, real: AgentTime, now: Now) {
        let Some(socket) = &mut self.socket else { return };
        let max = match out.url.mtu() {
            Some(mtu) => usize::from(mtu),
            None => self.path.size(socket.max_packet(), real).saturating_sub(socket.headers()),
        };
        if max != self.fits {
            self.fits = max;
            match out.session.set_max_message(max) {
                Ok(()) => self.anew |= self.pending.iter().any(|message| message.bytes.len() > max),
                Err(error) => {
                    out.say(&format!("{error}; messages keep their size"));
                    if let Err(error) = socket.allow_fragments() {
                        log::debug!("collector {}: messages cannot leave in fragments: {error}", out.url);
                    }
                }
            }
        }
        if std::mem::take(&mut self.anew) {
            let unsent = std::mem::take(&mut self.pending);
            self.pending = out.session.resume(unsent, now);
        }
    }

    /// Lets go of the slots of messages that arrived as far as UDP can tell, of all messages if `all` says so,
    /// and of messages that cannot be refused any more.
    fn let_go(&mut self, out: &mut Outgoing, real: AgentTime, all: bool) {
        self.lately.confirm(real, all).for_each(|message| out.books.confirm(message));
        while let Some(mut before) = self.lately.pop(real) {
            out.books.confirm(&mut before);
            out.session.recycle(before);
        }
    }

    /// Nothing refused the first message: the collector listens, as far as UDP can tell.
    fn not_refused(&mut self, out: &mut Outgoing, real: AgentTime) {
        self.probed = true;
        self.trial = false;
        self.refused_since = None;
        self.state = State::Up;
        self.backoff.reset();
        out.patience.progress();
        out.reached(real);
    }

    /// Waits for the next try, `least` nanoseconds or more.
    fn wait(&mut self, out: &mut Outgoing, real: AgentTime, what: &str, least: u64) {
        out.failed(what);
        self.state = State::Waiting(real + self.backoff.next().max(least));
    }
}

impl Delivery for Datagrams {
    fn poll(&mut self, out: &mut Outgoing, real: AgentTime, now: Now, flush: bool) -> Option<AgentTime> {
        self.read_reports(out, real);
        self.let_go(out, real, false);
        loop {
            let wait = match &mut self.state {
                // Refusals are judged also while messages wait.
                State::Waiting(until) if real < *until && self.refused_since.is_some() => {
                    Some((*until).min(real + WATCH))
                }
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
                    self.not_refused(out, real);
                    None
                }
                State::Up => {
                    let look = self.look_up(out, real, now);
                    let send = self.send_ready(out, real, now, flush).or_else(|| out.timeout(real, now));
                    return look.into_iter().chain(send).chain(self.lately.wake(real)).min();
                }
            };
            if wait.is_some() {
                return wait;
            }
        }
    }

    fn queued(&self) -> RecordTotal {
        let mut queued = RecordTotal::default();
        for message in &self.pending {
            queued += message.total;
        }
        queued
    }

    fn is_up(&self) -> bool {
        matches!(self.state, State::Up)
    }

    fn is_settled(&self, _flush: bool) -> bool {
        self.pending.is_empty() && !matches!(self.state, State::Probing(_))
    }

    fn give_up(&mut self, out: &mut Outgoing, reason: Undelivered, _real: AgentTime, _now: Now) {
        for message in self.pending.drain(..) {
            out.books.lost_message(reason, message);
        }
    }

    fn finish_queue(&mut self, out: &mut Outgoing, now: Now) {
        self.pending.extend(std::iter::from_fn(|| out.session.poll_message(now, true)));
        // The next message is of another size, perhaps.
        self.fits = 0;
    }

    fn change(&mut self, out: &mut Outgoing, renewal: &mut Renewal, real: AgentTime) {
        self.take_settings(out, renewal, real);
    }

    /// Messages that were not refused arrived as far as UDP can tell: their slots are released.
    fn judge_last(&mut self, out: &mut Outgoing, real: AgentTime) {
        self.read_reports(out, real);
        self.let_go(out, real, true);
    }
}

#[cfg(test)]
mod tests;
