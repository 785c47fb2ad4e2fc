//! TLS over the socket: octets in, records out, and the peer's alerts in between.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use rustls::{ClientConnection, ProtocolVersion, pki_types::CertificateDer};
use socket2::Socket;

use super::{Broken, socket};
use crate::transport::tls::{Identity, Moment, TlsClient, words};

/// Plaintext of one record at most (RFC 8446 section 5.1).
const RECORD: usize = 1 << 14;

/// A TLS session.
pub(super) struct Secure {
    connection: ClientConnection,
    identity: Arc<Identity>,
    /// Records that the kernel had no room for, from `sent` on.
    records: Vec<u8>,
    sent: usize,
    /// Octets of all records so far.
    made: u64,
    /// The peer sent application data.
    heard: bool,
}

/// The result of one read.
pub(super) enum Read1 {
    /// Octets; there may be more.
    Some,
    /// Nothing for now.
    Nothing,
    /// The end: TCP's, or a `close_notify`.
    End,
}

impl Secure {
    pub(super) fn new(tls: &TlsClient) -> Result<Self, Broken> {
        let (connection, identity) = tls.connection()?;
        Ok(Self { connection, identity, records: Vec::new(), sent: 0, made: 0, heard: false })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking() || self.unsent() > 0
    }

    /// Whether the handshake can end well here and be refused there: under TLS 1.3 the client speaks last,
    /// and its certificate is judged after that (RFC 8446 section 4.4.2.4 and appendix E.1.2).
    pub(super) fn may_be_refused(&self) -> bool {
        self.identity.asked() && self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// Whether the server spoke after it had judged us: tickets come from secrets that hold our last message.
    pub(super) fn is_accepted(&self) -> bool {
        self.heard || self.connection.tls13_tickets_received() > 0
    }

    pub(super) fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.connection.peer_certificates()
    }

    /// Octets of records that the kernel has not taken.
    pub(super) const fn unsent(&self) -> usize {
        self.records.len() - self.sent
    }

    /// Octets of all records so far, the handshake's included.
    pub(super) const fn made(&self) -> u64 {
        self.made
    }

    /// When it ended, for [`words`].
    pub(super) fn moment(&self) -> Moment {
        Moment {
            greeted: self.connection.protocol_version().is_some(),
            asked: self.identity.asked(),
            given: self.identity.is_some(),
        }
    }

    pub(super) fn send_close_notify(&mut self) {
        self.connection.send_close_notify();
    }

    /// Reads records once and takes their content.
    pub(super) fn read(&mut self, socket: &Socket) -> Result<Read1, ReadError> {
        match self.connection.read_tls(&mut socket::Reader(socket)) {
            Ok(0) => return Ok(Read1::End),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Read1::Nothing),
            Err(error) => return Err(ReadError::Socket(error)),
        }
        if let Err(error) = self.connection.process_new_packets() {
            // The alert that gives the peer the reason, whether or not it arrives.
            drop(self.flush(socket));
            return Err(ReadError::Session(Broken::new(words(&error, self.moment()))));
        }
        let mut scratch = [0; 1024];
        while let Ok(1..) = self.connection.reader().read(&mut scratch) {
            self.heard = true;
        }
        Ok(Read1::Some)
    }

    /// Takes as many octets as fit: a record is made only when the kernel took the one before.
    pub(super) fn write(&mut self, socket: &Socket, octets: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < octets.len() {
            self.flush(socket)?;
            if self.unsent() > 0 {
                break;
            }
            let end = octets.len().min(taken + RECORD);
            taken += self.connection.writer().write(&octets[taken..end])?;
        }
        // A failure here is told by the next call: these octets were taken.
        drop(self.flush(socket));
        Ok(taken)
    }

    /// Hands records to the kernel until it has no room or there are no more.
    pub(super) fn flush(&mut self, socket: &Socket) -> io::Result<()> {
        while self.connection.wants_write() {
            self.made += self.connection.write_tls(&mut self.records)? as u64;
        }
        if self.unsent() > 0 {
            self.sent += socket::send(socket, &self.records[self.sent..])?;
        }
        if self.unsent() == 0 {
            self.records.clear();
            self.sent = 0;
        }
        Ok(())
    }
}

/// Why reading failed.
pub(super) enum ReadError {
    /// The system's.
    Socket(io::Error),
    /// The session's.
    Session(Broken),
}
