//! The collector's end of the connection: reads at every poll, so that it is known soon.

use std::io::{self, Read};

use flowxdp_core::clock::AgentTime;

use super::{
    Broken, Phase, Stream,
    closing::Closing,
    secure::{Read1, ReadError, Secure},
    socket,
};

/// Reads in one poll, so that a collector that talks without end stops nobody.
const READS: usize = 64;

impl Stream {
    pub(super) fn flush(&mut self) -> Result<(), Broken> {
        let result = self.secure.as_mut().map_or(Ok(()), |secure| secure.flush(&self.socket));
        result.map_err(|error| self.reason(&error))
    }

    /// Reads until there is nothing, or enough for once.
    pub(super) fn read(&mut self, real: AgentTime) -> Result<(), Broken> {
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

    /// Why a write failed: an alert that came first says it better than the system does.
    pub(super) fn reason(&mut self, error: &io::Error) -> Broken {
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
        Broken::in_order(format!("closed the connection{}{remedy}", self.during()))
    }

    const fn during(&self) -> &'static str {
        match self.phase {
            Phase::Connecting | Phase::Ready => "",
            Phase::Handshaking => " during the handshake",
            Phase::Probing => " right after the handshake",
        }
    }
}
