//! Where a collector is: its name is resolved, and a socket made for its address.

use std::{io, net::SocketAddr};

use flowxdp_core::clock::{AgentTime, Now};

use super::{Datagrams, Outgoing, Renewal, Resolving, SOON, State};
use crate::collector_url::Host;
use crate::transport::udp::Udp;

impl Datagrams {
    /// Opens the socket at the resolver's answer.
    pub(super) fn resolved(
        &mut self,
        out: &mut Outgoing,
        addresses: io::Result<Vec<SocketAddr>>,
        real: AgentTime,
        now: Now,
    ) {
        match addresses.and_then(|addresses| self.connect(out, &addresses)) {
            Ok(()) => {
                self.state = State::Up;
                self.resolve_at = real.after(self.resolve_interval);
                self.start(out, real, now);
            }
            Err(error) => self.wait(out, real, &format!("cannot be reached: {error}"), 0),
        }
    }

    /// Resolves the name again while messages go out, and follows the collector to where it is now; gives
    /// the instant to go on.
    pub(super) fn look_up(&mut self, out: &mut Outgoing, real: AgentTime, now: Now) -> Option<AgentTime> {
        if self.resolve_interval == 0 || !matches!(out.url.host(), Host::Name(_)) {
            return None;
        }
        if let Some(resolving) = &mut self.resolving {
            let Some(addresses) = resolving.answer() else { return Some(real + SOON) };
            self.resolving = None;
            self.resolve_at = real.after(self.resolve_interval);
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
    fn follow(&mut self, out: &mut Outgoing, addresses: &[SocketAddr], real: AgentTime, now: Now) {
        let Some(socket) = &self.socket else { return };
        let before = socket.address();
        if addresses.is_empty() || addresses.contains(&before) {
            return;
        }
        // Refused messages go to the new address: a refusal leads to a start in any case.
        self.read_reports(out, real);
        if !matches!(self.state, State::Up) {
            return;
        }
        if let Err(error) = self.connect(out, addresses) {
            log::warn!("collector {}: its new address cannot be reached: {error}", out.url);
            return;
        }
        let address = self.socket.as_ref().map_or(before, Udp::address);
        log::info!("collector {}: it is at {} now, and was at {}", out.url, address.ip(), before.ip());
        // A later refusal does not refer to messages sent there.
        self.let_go(out, real, true);
        while let Some(before) = self.lately.pop_front() {
            out.session.recycle(before);
        }
        self.start(out, real, now);
    }

    /// Takes over the settings of a changed collector. A message size of its own is a matter of the socket.
    pub(super) fn take_settings(&mut self, out: &mut Outgoing, renewal: &Renewal, real: AgentTime) {
        let settings = &renewal.settings;
        self.backoff.limit(settings.retry_limit);
        self.segments = settings.udp_segments;
        self.resolve_interval = settings.resolve_interval;
        self.resolve_at = self.resolve_at.min(real.after(settings.resolve_interval));
        if let Some(socket) = &mut self.socket {
            socket.take_together(self.segments);
        }
        if out.url.mtu().is_some() != renewal.url.mtu().is_some() {
            self.read_reports(out, real);
            self.let_go(out, real, true);
            while let Some(before) = self.lately.pop_front() {
                out.session.recycle(before);
            }
            self.state = State::Waiting(real);
        }
    }

    /// Takes the first address that a socket can be made for, from the port in use where that can be.
    fn connect(&mut self, out: &Outgoing, addresses: &[SocketAddr]) -> io::Result<()> {
        let source = out.url.source();
        let port = Some(self.local_port()).filter(|port| *port != 0).unwrap_or(self.from);
        let usable = |address: &&SocketAddr| source.is_none_or(|it| it.is_ipv4() == address.is_ipv4());
        let mut result = Err(io::Error::other("the name has no address"));
        for address in addresses.iter().filter(usable) {
            result = Udp::connect(*address, source, port, out.url.mtu().is_some());
            if result.is_ok() {
                break;
            }
        }
        let mut socket = result?;
        socket.take_together(self.segments);
        out.books.set_port(socket.local_port());
        self.path.at(socket.address().ip());
        self.socket = Some(socket);
        Ok(())
    }
}
