//! The end of a connection: in order, or because nobody waits any longer.

use flowxdp_common::reason::Undelivered;
use flowxdp_core::clock::{AgentTime, Now};

use super::{
    Connection, Delivery, Outgoing, State,
    sending::{Outbound, delivered},
};

impl Connection {
    /// Ends the connection in order; true when it has ended, or has broken and left nothing uncertain.
    pub(super) fn end(&mut self, out: &mut Outgoing, real: AgentTime) -> bool {
        // An end of the collector's that came first is judged first.
        if let State::Up(stream) = &mut self.state
            && let Err(broken) = stream.poll(real)
        {
            self.broken(out, real, &broken);
        }
        if let State::Ended(_) = self.state {
            return self.judge_end(out, real).is_none() && self.backlog.is_empty();
        }
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
    pub(super) fn delivered_all(&mut self, out: &mut Outgoing) {
        self.window_octets = 0;
        for outbound in self.window.drain(..) {
            delivered(&mut self.store, out, outbound);
        }
        out.books.commit();
    }

    /// The wait is over: all records go to disk, or are lost for `reason`.
    pub(super) fn abandon(&mut self, out: &mut Outgoing, reason: Undelivered, real: AgentTime, now: Now) {
        if !self.is_closed() {
            self.revoke(out, 0, false);
            log::debug!("collector {}: the connection is left at {} ns", out.url, real.nanoseconds());
        }
        self.state = State::Closed;
        let unsent = self.backlog.drain(..).chain(self.writing.drain(..)).collect::<Vec<_>>();
        for outbound in unsent {
            self.keep(out, reason, outbound, real, now);
        }
        self.store.keep_all(out, reason, real, now);
    }

    /// Leaves a message to the next run, or loses it.
    fn keep(
        &mut self,
        out: &mut Outgoing,
        reason: Undelivered,
        outbound: Outbound,
        real: AgentTime,
        now: Now,
    ) {
        let Outbound { mut message, place, templates, inherited, again, .. } = outbound;
        let total = message.total;
        let on_disk = place.is_some_and(|place| self.store.holds(place));
        // The next run knows which records on disk were handed over.
        if on_disk {
            self.store.stays(total, inherited);
        } else if inherited {
            if again {
                out.books.perhaps_twice(total);
            }
            // Its file had to make room after it was read.
            out.books.lost(Undelivered::SpoolFull, total, true);
        } else if total.records > 0 && !self.store.append(out, &mut message, &templates, again, real, now) {
            if again {
                out.books.perhaps_twice(total);
            }
            out.books.lost_message(reason, message);
        }
    }

    /// The wait is over, but the disk takes further records; the others are lost.
    pub(super) fn shelve(
        &mut self,
        out: &mut Outgoing,
        reason: Undelivered,
        real: AgentTime,
        now: Now,
        flush: bool,
    ) {
        self.store.expire(out, real, now);
        if flush {
            self.store.keep_all(out, reason, real, now);
        } else {
            self.store.keep(out, real, now, false);
        }
    }
}
