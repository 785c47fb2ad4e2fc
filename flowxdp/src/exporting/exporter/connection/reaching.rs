//! A connection is made, comes up, breaks, and is made again.

use std::{collections::VecDeque, net::SocketAddr};

use flowxdp_core::clock::{AgentTime, MILLISECOND, Now, SECOND};

use super::{Connection, Ended, LOOK_AGAIN, Outgoing, Resolving, State};
use crate::transport::{
    broken::Broken,
    stream::{Phase, Stream},
};

/// How long to wait for the resolver's answer before looking again, nanoseconds.
const SOON: u64 = MILLISECOND;

/// A connection that stood for so long was a good one: the next try need not wait for long. Nanoseconds.
const GOOD: u64 = SECOND;

/// A collector's kernel answers octets that were not read by a reset; so long after an end in order it is
/// waited for. Nanoseconds.
const RESET_FOLLOWS: u64 = SECOND;

impl Connection {
    pub(super) fn advance(
        &mut self,
        out: &mut Outgoing,
        real: AgentTime,
        now: Now,
        flush: bool,
    ) -> Option<AgentTime> {
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
                State::Ended(_) => self.judge_end(out, real),
                State::Closing(_) | State::Closed => return None,
            };
            if wait.is_some() {
                return wait;
            }
        }
    }

    fn open(&mut self, out: &mut Outgoing, mut addresses: VecDeque<SocketAddr>, real: AgentTime) {
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
    fn try_next(&mut self, out: &mut Outgoing, real: AgentTime, broken: &Broken) {
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
    fn up(&mut self, out: &mut Outgoing, real: AgentTime) {
        if let State::Opening(stream, _) = std::mem::replace(&mut self.state, State::Closed) {
            self.state = State::Up(stream);
        }
        self.up_at = real;
        out.session.begin();
        out.reached(real);
    }

    /// The connection is gone: messages that may not have arrived are sent again, before all others. After an
    /// end in order no octet is written any more, and [`Connection::judge_end`] decides later.
    pub(super) fn broken(&mut self, out: &mut Outgoing, real: AgentTime, broken: &Broken) {
        let good = real.since(self.up_at) >= GOOD;
        if good {
            self.backoff.reset();
        }
        let ended = broken.is_in_order() && !self.making.resend_after_end;
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Up(stream) if ended => {
                out.failed(&broken.to_string());
                let retry = real + self.backoff.next();
                self.state = State::Ended(Ended { stream, until: real + RESET_FOLLOWS, retry, good });
            }
            _ => {
                self.revoke(out, 0, good);
                self.wait(out, real, &broken.to_string());
            }
        }
    }

    fn wait(&mut self, out: &mut Outgoing, real: AgentTime, what: &str) {
        out.failed(what);
        self.state = State::Waiting(real + self.backoff.next());
    }

    /// After an end in order: acknowledged octets were read, unless a reset followed in time. Gives the
    /// instant at which that is known, or nothing when it is.
    pub(super) fn judge_end(&mut self, out: &mut Outgoing, real: AgentTime) -> Option<AgentTime> {
        let uncertain = self.window.iter().any(|outbound| outbound.message.total.records > 0);
        let State::Ended(Ended { stream, until, retry, good }) = &mut self.state else { return None };
        let (until, retry, good) = (*until, *retry, *good);
        let acknowledged = match stream.fail_if_reset() {
            Err(broken) => {
                log::debug!("collector {}: after its end it {broken}", out.url);
                0
            }
            Ok(()) if uncertain && real < until => return Some(until),
            Ok(()) => {
                let acknowledged = stream.acknowledged();
                stream.leave();
                acknowledged
            }
        };
        self.revoke(out, acknowledged, good);
        self.state = State::Waiting(retry);
        None
    }
}
