//! The orderly end of a connection.

use std::net::Shutdown;

use flowxdp_core::clock::{AgentTime, MILLISECOND};

use super::{Broken, Phase, Stream};

/// How long a collector that has everything is given to end its side too, nanoseconds.
const LINGER: u64 = 200 * MILLISECOND;

/// How far an orderly end is.
pub(super) enum Closing {
    /// No end was asked for.
    No,
    /// Accepted octets go out first.
    Flushing,
    /// The FIN is behind it.
    Shut,
    /// All is acknowledged; until this instant the collector's own end is waited for.
    Acknowledged(AgentTime),
}

impl Stream {
    /// Ends in order: accepted octets go out, then `close_notify` and FIN. Polled like [`Stream::poll`],
    /// until it gives true: all octets are acknowledged, and the collector ended its side too or had the time
    /// to. Before [`Phase::Probing`] there is nothing to deliver and nothing to wait for.
    ///
    /// # Errors
    ///
    /// The connection broke first, and with it the certainty.
    pub fn close(&mut self, real: AgentTime) -> Result<bool, Broken> {
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
        if self.ended {
            self.fail_if_reset()?;
        }
        if matches!(self.closing, Closing::Flushing) && self.secure.as_ref().is_none_or(|s| s.unsent() == 0) {
            self.socket.shutdown(Shutdown::Write).map_err(|error| self.reason(&error))?;
            self.closing = Closing::Shut;
        }
        if matches!(self.closing, Closing::Shut) && self.outstanding() == 0 {
            self.closing = Closing::Acknowledged(real.after(LINGER));
        }
        Ok(matches!(self.closing, Closing::Acknowledged(until) if self.ended || real >= until))
    }

    /// Says goodbye to a collector that ended its side first: `close_notify` goes out as far as there is room,
    /// and the kernel sends the FIN behind the octets that it holds once the socket is dropped.
    ///
    /// Not before it is known how much was read: after both FINs a collector that closes with octets unread
    /// sends no reset any more, and a `close_notify` to one that is gone draws one.
    pub fn leave(&mut self) {
        if let Some(secure) = &mut self.secure {
            secure.send_close_notify();
        }
        drop(self.flush());
    }

    /// Behind the collector's own end no read shows a reset, which its kernel sends where octets of ours find
    /// no reader.
    ///
    /// # Errors
    ///
    /// The reset, or another error of the socket.
    pub fn fail_if_reset(&mut self) -> Result<(), Broken> {
        match self.socket.take_error() {
            Ok(None) => Ok(()),
            Ok(Some(error)) | Err(error) => Err(self.reason(&error)),
        }
    }
}
