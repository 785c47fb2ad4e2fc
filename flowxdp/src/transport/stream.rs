//! A connection to one collector over TCP (RFC 7011 section 10.4) or TLS over TCP (section 11), which never
//! blocks and has no runtime: its owner polls it with the time, at every wake and at [`Stream::deadline`].
//!
//! The stream reads all the time, although collectors send no data: only a read finds an end, a reset or an
//! alert, and messages written before it is found go out twice.

mod closing;
mod reading;
mod secure;
mod settings;
mod socket;

use std::{net::SocketAddr, os::fd::AsFd};

use flowxdp_core::clock::{AgentTime, MILLISECOND};
use socket2::Socket;

pub use self::settings::StreamSettings;
use self::{closing::Closing, secure::Secure, settings::seconds};
use super::{broken::Broken, readiness::Readiness, tls::TlsClient};
use crate::system;

/// How long at least a server is given to refuse our certificate under TLS 1.3, nanoseconds.
const PROBE: u64 = 200 * MILLISECOND;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// TCP's handshake is under way.
    Connecting,
    /// TLS' handshake is under way.
    Handshaking,
    /// The handshake ended well here; the collector may still refuse our certificate.
    Probing,
    /// Octets are taken.
    Ready,
}

/// A connection to one collector.
pub struct Stream {
    socket: Socket,
    address: SocketAddr,
    secure: Option<Secure>,
    phase: Phase,
    /// Octets that were accepted without TLS.
    accepted: u64,
    /// When this phase is given up, or over.
    until: AgentTime,
    handshake: u64,
    /// When TCP was established: TLS 1.3's handshake takes one round trip from there.
    connected: AgentTime,
    /// The collector ended its side.
    ended: bool,
    closing: Closing,
    /// The last poll left something to be read.
    unread: Option<AgentTime>,
}

impl Stream {
    /// Starts to connect to `address`, from the source that `settings` name; with `tls`, the handshake
    /// follows. `real` is the monotonic clock in nanoseconds, here and below.
    ///
    /// # Errors
    ///
    /// An error that the system knows at once: no route, no such source, no descriptors.
    pub fn connect(
        address: SocketAddr,
        settings: &StreamSettings,
        tls: Option<&TlsClient>,
        readiness: &Readiness,
        real: AgentTime,
    ) -> Result<Self, Broken> {
        let secure = tls.map(Secure::new).transpose()?;
        let socket = socket::connect(address, settings.source)?;
        readiness.register(&socket).map_err(|error| Broken::unreachable(&error))?;
        Ok(Self {
            socket,
            address,
            secure,
            phase: Phase::Connecting,
            accepted: 0,
            until: real.after(settings.handshake),
            handshake: settings.handshake,
            connected: real,
            ended: false,
            closing: Closing::No,
            unread: None,
        })
    }

    /// Where it goes to.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The local port, 0 if the system does not say.
    pub fn local_port(&self) -> u16 {
        let address = self.socket.local_addr().ok().and_then(|address| address.as_socket());
        address.map_or(0, |address| address.port())
    }

    /// Advances connect and handshake, sends waiting octets, and reads: octets from the collector are
    /// discarded, its end is an error. Two system calls when there is nothing to do.
    ///
    /// # Errors
    ///
    /// The connection is of no more use; octets that are not known to have been read may be lost.
    pub fn poll(&mut self, real: AgentTime) -> Result<Phase, Broken> {
        if self.phase == Phase::Connecting && socket::connected(&self.socket)? {
            self.connected = real;
            self.phase = if self.secure.is_some() { Phase::Handshaking } else { Phase::Ready };
        }
        if self.phase != Phase::Connecting {
            self.flush()?;
            self.read(real)?;
            self.advance(real);
        }
        match self.phase {
            Phase::Connecting if real >= self.until => {
                Err(Broken::new(format!("does not answer within {}", seconds(self.handshake))))
            }
            Phase::Handshaking if real >= self.until => {
                Err(Broken::new(format!("did not finish the handshake within {}", seconds(self.handshake))))
            }
            phase => Ok(phase),
        }
    }

    /// When to poll at the latest: the handshake is given up, or the probe or the close is over.
    pub fn deadline(&self) -> Option<AgentTime> {
        let phase = match (&self.closing, self.phase) {
            (Closing::Acknowledged(until), _) => Some(*until),
            (Closing::No, Phase::Connecting | Phase::Handshaking | Phase::Probing) => Some(self.until),
            _ => None,
        };
        self.unread.or(phase)
    }

    /// Takes as many of `octets` as fit and gives their number; 0 without room, and before [`Phase::Ready`].
    /// With TLS at most one record waits outside the kernel.
    ///
    /// # Errors
    ///
    /// As for [`Stream::poll`].
    pub fn write(&mut self, octets: &[u8]) -> Result<usize, Broken> {
        if self.phase != Phase::Ready || !matches!(self.closing, Closing::No) {
            return Ok(0);
        }
        let result = match &mut self.secure {
            Some(secure) => secure.write(&self.socket, octets),
            None => socket::send(&self.socket, octets).inspect(|&count| self.accepted += count as u64),
        };
        result.map_err(|error| self.reason(&error))
    }

    /// Octets accepted that are not with our kernel: TLS' own included, 0 without TLS.
    pub fn unsent(&self) -> usize {
        self.secure.as_ref().map_or(0, Secure::unsent)
    }

    /// Octets accepted that the collector's kernel has not acknowledged, with TLS' own octets, so never fewer
    /// than the caller's. Acknowledged octets need not have been read: a receiver that dies loses the octets
    /// in its kernel's buffer.
    pub fn outstanding(&self) -> usize {
        self.unsent() + system::unacknowledged(self.socket.as_fd()).unwrap_or(0)
    }

    /// Octets accepted since the connection began, with TLS' own: the end of the last write in the stream.
    pub fn position(&self) -> u64 {
        self.secure.as_ref().map_or(self.accepted, Secure::made)
    }

    /// How much of [`Stream::position`] the collector's kernel has acknowledged, before [`Stream::close`]; 0
    /// when our kernel does not say.
    pub fn acknowledged(&self) -> u64 {
        let missing =
            system::unacknowledged(self.socket.as_fd()).map(|octets| (octets + self.unsent()) as u64);
        missing.map_or(0, |missing| self.position().saturating_sub(missing))
    }

    /// Judges the collector's certificate again, by the present files of `tls`, which a handshake under way
    /// uses anyway.
    ///
    /// # Errors
    ///
    /// The session must end: the certificate would not be taken today.
    pub fn judge_again(&self, tls: &TlsClient) -> Result<(), Broken> {
        match self.secure.as_ref().and_then(Secure::peer_certificates) {
            Some(chain) => tls.judge(chain),
            None => Ok(()),
        }
    }

    fn advance(&mut self, real: AgentTime) {
        let Some(secure) = &self.secure else { return };
        if self.phase == Phase::Handshaking && !secure.is_handshaking() {
            self.phase = if secure.may_be_refused() { Phase::Probing } else { Phase::Ready };
            // The refusal takes as long as the handshake took: one way there, one back.
            let round_trip = real.since(self.connected);
            self.until = real.after(PROBE.max(2 * round_trip).min(self.handshake));
        }
        if self.phase == Phase::Probing && (secure.is_accepted() || real >= self.until) {
            self.phase = Phase::Ready;
        }
    }
}

#[cfg(test)]
mod tests;
