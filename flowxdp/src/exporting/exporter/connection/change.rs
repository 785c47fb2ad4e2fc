//! Other settings for a connection: all hold at once but TLS, which holds for the next connection.

use std::sync::Arc;

use flowxdp_common::reason::Undelivered;
use flowxdp_core::clock::{AgentTime, Now, SECOND};

use super::{Connection, Outgoing, Renewal, State, sending::Outbound};

/// A connection whose collector does not read is broken off after so long, nanoseconds.
const PATIENCE: u64 = 5 * SECOND;

impl Connection {
    /// The session takes another configuration: its queue becomes messages, which keep their templates.
    pub(super) fn set_apart(&mut self, out: &mut Outgoing, now: Now) {
        let templates = Arc::from(out.session.templates());
        while let Some(message) = out.session.poll_stored(now, true) {
            self.backlog.push_back(Outbound::new(message));
        }
        let all = self.window.iter_mut().chain(&mut self.flushing).chain(&mut self.writing);
        for outbound in all.chain(&mut self.backlog).filter(|outbound| outbound.templates.is_none()) {
            outbound.templates = Some(Arc::clone(&templates));
        }
        self.store.stamp(&templates);
    }

    /// Takes over the settings of a changed collector.
    pub(super) fn take_settings(&mut self, out: &Outgoing, renewal: &mut Renewal, real: AgentTime) {
        let (settings, url) = (&renewal.settings, &renewal.url);
        self.making.settings.handshake = settings.handshake_timeout;
        self.making.window = settings.resend_window;
        self.making.resend_after_end = url.resend_after_end().unwrap_or(settings.resend_after_end);
        self.backoff.limit(settings.retry_limit);
        if let Some(place) = &settings.spool {
            self.store.set_limits(place.limit, place.age);
        }
        if out.url.to_string() != url.to_string() {
            self.store.rename(out, url);
        }
        if let Some(tls) = renewal.tls.take() {
            self.making.tls = Some(tls);
            self.renew_by = Some(real.after(PATIENCE));
        }
    }

    /// A step towards a connection with the new settings: the one that stands ends in order between two messages.
    pub(super) fn renew(&mut self, out: &mut Outgoing, real: AgentTime) {
        let Some(until) = self.renew_by else { return };
        let is_between = self.writing.is_empty() && self.flushing.is_empty();
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Up(stream) if is_between => State::Closing(stream),
            State::Up(stream) if real < until => State::Up(stream),
            State::Closing(mut stream) => match stream.close(real) {
                Ok(false) if real < until => State::Closing(stream),
                Ok(true) => {
                    self.delivered_all(out);
                    State::Waiting(real)
                }
                _ => self.break_off(out, real),
            },
            State::Up(_) => self.break_off(out, real),
            State::Opening(..) | State::Resolving(_) => State::Waiting(real),
            other => other,
        };
        if !matches!(self.state, State::Up(_) | State::Closing(_)) {
            self.renew_by = None;
        }
    }

    /// Its last octets go out again in the next connection, and are named.
    fn break_off(&mut self, out: &mut Outgoing, real: AgentTime) -> State {
        self.revoke(out, 0, false);
        State::Waiting(real)
    }

    /// The collector is one no more: messages on the way and on disk are lost for `reason`.
    pub(super) fn lose_all(&mut self, out: &mut Outgoing, reason: Undelivered) {
        if !matches!(self.state, State::Closed) {
            self.revoke(out, 0, false);
        }
        self.state = State::Closed;
        for outbound in self.backlog.drain(..).chain(self.writing.drain(..)) {
            if outbound.again {
                out.books.perhaps_twice(outbound.message.total);
            }
            match outbound.place {
                Some(_) => out.books.lost_stored(reason, outbound.message.total, outbound.inherited),
                None => out.books.lost_message(reason, outbound.message),
            }
        }
        self.store.lose_all(out, reason);
    }
}
