//! Messages that leave while the connection is up, and the window of those that may have to leave again.

use flowxdp_core::{
    clock::{AgentTime, Now, SECOND},
    exporting::session::Message,
};

use super::{Connection, LOOK_AGAIN, Outgoing, State, Store};
use crate::exporting::exporter::{books::Origin, store::Templates};
use crate::{exporting::spool::Place, transport::broken::Broken};

/// A disk that could not be read is tried again after so long, nanoseconds.
const READ_AGAIN: u64 = SECOND;

/// So many connections may break without a record that had not left before, until they are no progress.
const FRUITLESS: u32 = 3;

/// The kernel is asked for unacknowledged octets after each such part of the window, at most so many octets.
const SLACK: (usize, usize) = (16, 64 << 10);

/// A message on its way.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) message: Message,
    /// Where it is on disk, if it is.
    pub(super) place: Option<Place>,
    /// The templates that it was written with, where they may not be ours.
    pub(super) templates: Templates,
    /// The message comes from an earlier run.
    pub(super) inherited: bool,
    /// The collector may have it already.
    pub(super) again: bool,
    /// Where in the connection's octets it ends, once it is wholly written.
    end: u64,
}

impl Outbound {
    /// Where it comes from, for the books.
    pub(super) const fn origin(&self) -> Origin {
        Origin { inherited: self.inherited, stored: self.place.is_some() }
    }

    pub(super) const fn new(message: Message) -> Self {
        Self { message, place: None, templates: None, inherited: false, again: false, end: 0 }
    }
}

/// A message was delivered: its place on disk is free.
pub(super) fn delivered(store: &mut Store, out: &mut Outgoing, outbound: Outbound) {
    if let Some(place) = outbound.place {
        store.delivered(place);
        out.books.delivered(outbound.message.total, outbound.origin());
    }
    out.session.recycle(outbound.message);
}

impl Connection {
    /// Writes until the socket, the pace of the spool or the session has no more.
    pub(super) fn send_ready(
        &mut self,
        out: &mut Outgoing,
        real: AgentTime,
        now: Now,
        flush: bool,
    ) -> Result<Option<AgentTime>, Broken> {
        let port = self.local_port();
        out.offer(now, port);
        self.sending(out);
        let State::Up(stream) = &mut self.state else { return Ok(None) };
        stream.poll(real)?;
        self.flushed(out);
        loop {
            while let Some(first) = self.writing.front() {
                self.sending(out);
                let rest = first.message.bytes.get(self.written..).unwrap_or_default();
                let State::Up(stream) = &mut self.state else { return Ok(None) };
                let taken = stream.write(rest)?;
                self.written += taken;
                if self.written < first.message.bytes.len() {
                    self.store.keep_up(out, real, now);
                    return Ok(Some(real + LOOK_AGAIN));
                }
                self.written = 0;
                let end = stream.position();
                self.flushing.extend(self.writing.pop_front().map(|first| Outbound { end, ..first }));
                self.flushed(out);
            }
            let readable = !self.store.is_empty() && real >= self.read_at;
            if let Some(outbound) = self.backlog.pop_front() {
                self.number(out, outbound, now);
            } else if readable {
                if let Err(when) = out.pace.take(real) {
                    self.store.keep_up(out, real, now);
                    return Ok(Some(when));
                }
                self.read_back(out, real, now);
            } else if let Some(message) = out.session.poll_message(now, flush) {
                self.writing.push_back(Outbound::new(message));
            } else {
                let flushing = (!self.flushing.is_empty()).then_some(real + LOOK_AGAIN);
                return Ok(flushing.or((!self.store.is_empty()).then_some(self.read_at)));
            }
        }
    }

    /// Gives a message of before its place in this session, behind the templates that it needs.
    fn number(&mut self, out: &mut Outgoing, outbound: Outbound, now: Now) {
        let Outbound { message, place, templates, inherited, again, .. } = outbound;
        let mut messages = out.session.again(message, templates.as_deref(), now);
        let last = messages.pop();
        self.writing.extend(messages.into_iter().map(Outbound::new));
        let last = last.map(|message| Outbound { message, place, templates, inherited, again, end: 0 });
        self.writing.extend(last);
    }

    /// The next message on disk; a disk that cannot be read holds up nothing else.
    fn read_back(&mut self, out: &mut Outgoing, real: AgentTime, now: Now) {
        let Some(stored) = self.store.take(out) else {
            self.read_at = real + READ_AGAIN;
            return;
        };
        let outbound = Outbound {
            message: stored.message,
            place: stored.place,
            templates: stored.templates,
            inherited: stored.inherited,
            again: stored.perhaps_twice,
            end: 0,
        };
        self.number(out, outbound, now);
    }

    /// The message that the next octets belong to: from now on the kernel may have it.
    fn sending(&self, out: &Outgoing) {
        let perhaps = self.flushing.iter().chain(self.writing.front());
        out.books.sending(perhaps.map(|outbound| &outbound.message));
    }

    /// Written octets are with the kernel once TLS holds none back.
    fn flushed(&mut self, out: &mut Outgoing) {
        let State::Up(stream) = &self.state else { return };
        if self.flushing.is_empty() || stream.unsent() > 0 {
            return;
        }
        while let Some(outbound) = self.flushing.pop_front() {
            self.handed(out, outbound);
        }
        out.books.commit();
        self.narrow(out);
    }

    fn handed(&mut self, out: &mut Outgoing, mut outbound: Outbound) {
        let origin = outbound.origin();
        out.books.handed(&mut outbound.message, origin, outbound.again, false);
        out.session.handed(&outbound.message);
        if out.books.exported_records() > self.most {
            self.most = out.books.exported_records();
            self.fruitless = 0;
        }
        out.patience.progress();
        if let Some(place) = outbound.place {
            self.store.sent(place);
        }
        self.window_octets += outbound.message.bytes.len();
        self.window.push_back(outbound);
    }

    /// Releases messages that left the window. Octets that our own kernel still holds have not left: the
    /// window is for those that the collector's kernel may hold.
    fn narrow(&mut self, out: &mut Outgoing) {
        let window = self.making.window;
        if self.window_octets <= window.saturating_add(SLACK.1.min(window / SLACK.0)) {
            return;
        }
        let State::Up(stream) = &self.state else { return };
        let most = window.saturating_add(stream.outstanding());
        while self.window_octets > most {
            let Some(oldest) = self.window.pop_front() else { break };
            self.window_octets -= oldest.message.bytes.len();
            delivered(&mut self.store, out, oldest);
        }
    }

    /// The connection is over: only the first `acknowledged` octets written are relied on. A connection is
    /// `good` if it stood for a while.
    pub(super) fn revoke(&mut self, out: &mut Outgoing, acknowledged: u64, good: bool) {
        while let Some(oldest) = self.window.pop_front_if(|oldest| oldest.end <= acknowledged) {
            delivered(&mut self.store, out, oldest);
        }
        self.written = 0;
        self.window_octets = 0;
        self.fruitless += 1;
        let mut backlog = std::collections::VecDeque::new();
        for mut outbound in self.window.drain(..).filter(|outbound| outbound.message.total.records > 0) {
            out.books.taken_back(outbound.message.total, outbound.origin());
            outbound.again = true;
            backlog.push_back(outbound);
        }
        for mut outbound in self.flushing.drain(..).filter(|outbound| outbound.message.total.records > 0) {
            outbound.again = true;
            backlog.push_back(outbound);
        }
        out.books.commit();
        backlog.extend(self.writing.drain(..).filter(|outbound| outbound.message.total.records > 0));
        backlog.append(&mut self.backlog);
        self.backlog = backlog;
        // A collector that takes the same again and again, and breaks, must not be waited for for ever.
        let kept = out.books.exported_records();
        out.patience.over(kept > self.kept || good && self.fruitless <= FRUITLESS);
        self.kept = self.kept.max(kept);
    }

    /// Records neither in a slot nor on disk go to disk, if there is one: they would be lost with the agent.
    pub(super) fn write_down(&mut self, out: &mut Outgoing, real: AgentTime, now: Now) {
        if !self.store.is_usable() || !self.backlog.iter().any(|outbound| is_in_danger(out, outbound)) {
            return;
        }
        for mut outbound in std::mem::take(&mut self.backlog) {
            if is_in_danger(out, &outbound)
                && self.store.append(
                    out,
                    &mut outbound.message,
                    &outbound.templates,
                    outbound.again,
                    real,
                    now,
                )
            {
                out.session.recycle(outbound.message);
            } else {
                self.backlog.push_back(outbound);
            }
        }
    }
}

/// Whether a message would be lost with the agent.
fn is_in_danger(out: &Outgoing, outbound: &Outbound) -> bool {
    let message = &outbound.message;
    message.total.records > 0 && outbound.place.is_none() && out.books.is_in_memory_alone(message)
}
