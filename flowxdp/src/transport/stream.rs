//! A connection to one collector over TCP (RFC 7011 section 10.4) or TLS over TCP (section 11), which never
//! blocks and has no runtime: its owner polls it with the time, at every wake and at [`Stream::deadline`].
//!
//! It reads all the time, though no collector has anything to say: an end, a reset, an alert are found by a
//! read only, and what is written before that is found is what goes out twice.

mod secure;
mod socket;

use std::net::{IpAddr, SocketAddr};

use flowxdp_core::clock::{MILLISECOND, SECOND};
use socket2::Socket;
use std::io::{self, Read};

use self::secure::{Read1, ReadError, Secure};
use super::{broken::Broken, readiness::Readiness, tls::TlsClient};

/// How long at least a server is given to refuse our certificate under TLS 1.3, nanoseconds.
const PROBE: u64 = 200 * MILLISECOND;

/// How long a collector that has everything is given to end its side too, nanoseconds.
const LINGER: u64 = 200 * MILLISECOND;

/// Reads in one poll, so that a collector that talks without end stops nobody.
const READS: usize = 64;

/// What a connection is made with.
#[derive(Clone, Copy, Debug)]
pub struct StreamSettings {
    /// The local address to send from, or one of the kernel's choice.
    pub source: Option<IpAddr>,
    /// How long connect and handshake may take together, nanoseconds.
    pub handshake: u64,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self { source: None, handshake: 10 * SECOND }
    }
}

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
    /// When this phase is given up, or over.
    until: u64,
    handshake: u64,
    /// When the TCP connection stood: what TLS 1.3's handshake took since then is a round trip.
    connected: u64,
    /// The collector ended its side.
    ended: bool,
    closing: Closing,
    /// The last poll left something to be read.
    unread: Option<u64>,
}

enum Closing {
    /// Nobody asked for it.
    No,
    /// What was accepted goes out first.
    Flushing,
    /// The FIN is behind it.
    Shut,
    /// All is acknowledged; until this instant the collector's own end is waited for.
    Acknowledged(u64),
}

impl Stream {
    /// Starts to connect to `address`, from the source that `settings` name; with `tls`, the handshake
    /// follows. `real` is the monotonic clock in nanoseconds, here and below.
    ///
    /// # Errors
    ///
    /// What the system knows at once: no route, no such source, no descriptors.
    pub fn connect(
        address: SocketAddr,
        settings: &StreamSettings,
        tls: Option<&TlsClient>,
        readiness: &Readiness,
        real: u64,
    ) -> Result<Self, Broken> {
        let secure = tls.map(Secure::new).transpose()?;
        let socket = socket::connect(address, settings.source)?;
        readiness.register(&socket).map_err(|error| Broken::unreachable(&error))?;
        Ok(Self {
            socket,
            address,
            secure,
            phase: Phase::Connecting,
            until: real.saturating_add(settings.handshake),
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

    /// Advances connect and handshake, sends what waits, and reads: what the collector says is thrown away,
    /// its end is an error. Two system calls when there is nothing to do.
    ///
    /// # Errors
    ///
    /// The connection is of no more use; what is not known to have been read may not have been.
    pub fn poll(&mut self, real: u64) -> Result<Phase, Broken> {
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
    pub fn deadline(&self) -> Option<u64> {
        let phase = match (&self.closing, self.phase) {
            (Closing::Acknowledged(until), _) => Some(*until),
            (_, Phase::Ready) => None,
            _ => Some(self.until),
        };
        self.unread.or(phase)
    }

    /// Takes what fits of `octets` and gives how many that are; 0 when there is no room now, and before
    /// [`Phase::Ready`]. With TLS at most one record waits outside the kernel.
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
            None => socket::send(&self.socket, octets),
        };
        result.map_err(|error| self.reason(&error))
    }

    /// Octets accepted that the collector's kernel has not acknowledged, with TLS' own octets, so never
    /// fewer than the caller's. What is acknowledged need not have been read: a receiver that dies takes
    /// along what its kernel held.
    pub fn outstanding(&self) -> usize {
        let unsent = self.secure.as_ref().map_or(0, Secure::unsent);
        unsent + socket::unacknowledged(&self.socket)
    }

    /// Ends in order: what was accepted goes out, then `close_notify` and FIN. Polled like [`Stream::poll`],
    /// until it gives true: everything is acknowledged, and the collector ended its side too or was given
    /// the time to. Before [`Phase::Probing`] there is nothing to deliver and nothing to wait for.
    ///
    /// # Errors
    ///
    /// The connection broke first, and with it the certainty.
    pub fn close(&mut self, real: u64) -> Result<bool, Broken> {
        if matches!(self.phase, Phase::Connecting | Phase::Handshaking) {
            return Ok(true);
        }
        if matches!(self.closing, Closing::No) {
            self.closing = Closing::Flushing;
            if let Some(secure) = &mut self.secure {
                secure.send_close_notify();
            }
        }
        self.flush()?;
        self.read(real)?;
        if matches!(self.closing, Closing::Flushing) && self.secure.as_ref().is_none_or(|s| s.unsent() == 0) {
            self.socket.shutdown(std::net::Shutdown::Write).map_err(|error| self.reason(&error))?;
            self.closing = Closing::Shut;
        }
        if matches!(self.closing, Closing::Shut) && self.outstanding() == 0 {
            self.closing = Closing::Acknowledged(real.saturating_add(LINGER));
        }
        Ok(matches!(self.closing, Closing::Acknowledged(until) if self.ended || real >= until))
    }

    /// Judges the collector's certificate again, by what `tls` holds now. A handshake that is under way is
    /// judged by that anyway.
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

    fn flush(&mut self) -> Result<(), Broken> {
        let result = self.secure.as_mut().map_or(Ok(()), |secure| secure.flush(&self.socket));
        result.map_err(|error| self.reason(&error))
    }

    /// Reads until there is nothing, or enough for once.
    fn read(&mut self, real: u64) -> Result<(), Broken> {
        self.unread = None;
        for _ in 0..READS {
            if self.ended {
                return Ok(());
            }
            match self.read_once() {
                Ok(Read1::Some) => self.flush()?,
                Ok(Read1::Nothing) => return Ok(()),
                Ok(Read1::End) if matches!(self.closing, Closing::No) => return Err(self.end()),
                Ok(Read1::End) => self.ended = true,
                Err(ReadError::Socket(error)) => return Err(Broken::ended(&error, self.during())),
                Err(ReadError::Session(broken)) => return Err(broken),
            }
        }
        self.unread = Some(real);
        Ok(())
    }

    fn read_once(&mut self) -> Result<Read1, ReadError> {
        if let Some(secure) = &mut self.secure {
            return secure.read(&self.socket);
        }
        let mut scratch = [0; 4096];
        match socket::Reader(&self.socket).read(&mut scratch) {
            Ok(0) => Ok(Read1::End),
            Ok(_) => Ok(Read1::Some),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read1::Nothing),
            Err(error) => Err(ReadError::Socket(error)),
        }
    }

    fn advance(&mut self, real: u64) {
        let Some(secure) = &self.secure else { return };
        if self.phase == Phase::Handshaking && !secure.is_handshaking() {
            self.phase = if secure.may_be_refused() { Phase::Probing } else { Phase::Ready };
            // The refusal takes as long as the handshake took: one way there, one back.
            let round_trip = real.saturating_sub(self.connected);
            self.until = real.saturating_add(PROBE.max(2 * round_trip).min(self.handshake));
        }
        if self.phase == Phase::Probing && (secure.is_accepted() || real >= self.until) {
            self.phase = Phase::Ready;
        }
    }

    /// Why a write failed: an alert that came first says it better than the system does.
    fn reason(&mut self, error: &io::Error) -> Broken {
        for _ in 0..READS {
            match self.read_once() {
                Ok(Read1::Some) => {}
                Err(ReadError::Session(broken)) => return broken,
                _ => break,
            }
        }
        Broken::ended(error, self.during())
    }

    /// The collector ended its side without a reason.
    fn end(&self) -> Broken {
        let moment = self.secure.as_ref().map(Secure::moment).unwrap_or_default();
        let remedy = if self.phase != Phase::Ready && moment.asked && !moment.given {
            "; it asks for a certificate of ours: give cert= and key="
        } else {
            ""
        };
        Broken::new(format!("closed the connection{}{remedy}", self.during()))
    }

    const fn during(&self) -> &'static str {
        match self.phase {
            Phase::Connecting | Phase::Ready => "",
            Phase::Handshaking => " during the handshake",
            Phase::Probing => " right after the handshake",
        }
    }
}

/// A time limit as text, like "10 s".
#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn seconds(nanoseconds: u64) -> String {
    format!("{} s", nanoseconds as f64 / SECOND as f64)
}
