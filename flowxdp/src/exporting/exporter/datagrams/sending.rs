//! Messages on their way to the kernel.

use std::io;

use flowxdp_core::{
    clock::{AgentTime, Now},
    exporting::session::Message,
};

use super::{Datagrams, Outgoing, PROBE, SOON, State};
use crate::exporting::exporter::books::Origin;
use crate::transport::udp::{BATCH, Sent, is_icmp, is_too_large};

/// Failures in a row after which the agent does something else first.
const ERRORS: u32 = 64;

impl Datagrams {
    /// Sends until the pace, the socket or the session has no more; gives the instant to go on.
    pub(super) fn send_ready(
        &mut self,
        out: &mut Outgoing,
        real: AgentTime,
        now: Now,
        flush: bool,
    ) -> Option<AgentTime> {
        out.offer(now, self.local_port());
        let mut errors = 0;
        loop {
            // Before each batch is made: the one before it may have met a smaller path.
            self.fit(out, real, now);
            if self.pending.is_empty() {
                let message = self.larger(out, real, now).or_else(|| out.session.poll_message(now, flush))?;
                self.pending.push_back(message);
            }
            let ready = match out.pace.ready(real) {
                Ok(ready) => usize::try_from(ready).unwrap_or(BATCH),
                Err(when) => return Some(when),
            };
            if self.trial {
                // The templates in front went out just before; another message is next after this one.
                self.pending.retain(|message| !message.templates_only);
                self.pending.extend(out.session.poll_message(now, flush));
            }
            // The first message after a start goes alone: no data before nothing was refused. So does one that
            // tries a larger size: messages that the kernel takes together with it would be lost with it.
            let tries = self.pending.front().is_some_and(|message| message.bytes.len() > self.fits);
            let most = if self.probed && !tries { ready.min(BATCH) } else { 1 };
            while self.pending.len() < most {
                let Some(message) = out.session.poll_message(now, flush) else { break };
                self.pending.push_back(message);
            }
            out.books.sending(self.pending.iter().take(most));
            let Sent { handed, error } = self.send(most)?;
            // A try costs a token, whatever comes of it.
            out.pace.spend(real, handed.max(1) as u64);
            (0..handed).for_each(|_| self.sent(out, real));
            out.books.commit();
            let read = self.read_reports(out, real);
            if let Some(error) = error {
                errors = if handed > 0 { 1 } else { errors + 1 };
                if let Some(when) = self.failed(out, real, &error, read, errors) {
                    return Some(when);
                }
            }
            match self.state {
                State::Up => {}
                State::Probing(until) => return Some(until),
                State::Waiting(_) | State::Resolving(_) => return Some(real + SOON),
            }
        }
    }

    /// The call that was to send failed; gives the instant to go on, `None` for at once. `read` says that ICMP
    /// messages were found, and this is the n-th failure in a row.
    fn failed(
        &mut self,
        out: &mut Outgoing,
        real: AgentTime,
        error: &io::Error,
        read: bool,
        nth: u32,
    ) -> Option<AgentTime> {
        if error.kind() == io::ErrorKind::WouldBlock || nth > ERRORS {
            return Some(real + SOON);
        }
        // The kernel says an ICMP message's error in place of sending, once.
        let told = read || (is_icmp(error) && nth == 1);
        if error.kind() == io::ErrorKind::Interrupted || told {
            return None;
        }
        // The device takes less than the kernel's path MTU says.
        if is_too_large(error)
            && nth == 2
            && self.socket.as_mut().is_some_and(|it| it.allow_fragments().is_ok())
        {
            return None;
        }
        self.wait(out, real, &format!("does not take messages: {error}"), 0);
        Some(real + SOON)
    }

    /// A message that tries a larger size than the path is known to take, if it is time for one.
    fn larger(&mut self, out: &mut Outgoing, real: AgentTime, now: Now) -> Option<Message> {
        let socket = self.socket.as_ref().filter(|_| self.probed && out.url.mtu().is_none())?;
        let packet = self.path.larger(real)?;
        let message = out.session.probe(packet - socket.headers(), now)?;
        self.tries = Some(packet);
        Some(message)
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

    /// The first waiting message is with the kernel, and may yet be refused.
    fn sent(&mut self, out: &mut Outgoing, real: AgentTime) {
        let Some(mut message) = self.pending.pop_front() else { return };
        if message.templates_only
            && message.bytes.len() > self.fits
            && let Some(packet) = self.tries.take()
        {
            self.path.trying(packet, real);
        }
        out.books.handed(&mut message, Origin::default(), false, true);
        out.session.handed(&message);
        if self.probed && !message.templates_only {
            // The first message is no progress: each try against a closed port begins with one.
            out.patience.progress();
        }
        if !self.probed {
            self.state = State::Probing(real + PROBE);
        }
        self.lately.push(message, real);
        while let Some(mut before) = self.lately.pop(real) {
            out.books.confirm(&mut before);
            out.session.recycle(before);
        }
    }
}
