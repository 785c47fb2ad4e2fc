//! Sessions over TCP and TLS: each is a sequence of IPFIX messages, judged by the strict reader, and their
//! flow records, each with its identity.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Result, bail, ensure};

use super::listed;
use super::wire::Wire;
use crate::flows::Tuple;
use crate::records::Records;

/// The records of one session.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// Application data, as far as it was read.
    pub octets: Vec<u8>,
    /// Why it ended, if that was an error.
    pub error: Option<String>,
    /// The session has ended, by the exporter's will or by an error.
    pub ended: bool,
}

/// The values that distinguish one flow record from any other: its key, its start and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// Whose.
    pub tuple: Tuple,
    /// Start and end, milliseconds since 1970.
    pub times: (u64, u64),
}

/// A flow record as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Which one it is.
    pub identity: Identity,
    /// Packets and octets.
    pub counts: (u64, u64),
}

/// The records of one or more sessions.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// How often each record came, and its packets and octets.
    pub records: HashMap<Identity, (u64, (u64, u64))>,
    /// Octets of messages that a broken session cut.
    pub cut: usize,
}

impl Received {
    /// Reads sessions, each by itself. A session that ended well ends with a whole message.
    pub fn read(sessions: &[Session]) -> Result<Self> {
        let mut received = Self::default();
        for (number, session) in sessions.iter().enumerate() {
            let mut wire = Wire::of_stream();
            let port = u16::try_from(number + 1)?;
            let (from, to) = [(1, port), (2, 4_739)]
                .map(|(host, port)| SocketAddr::from((Ipv4Addr::new(192, 0, 2, host), port)))
                .into();
            let mut rest = session.octets.as_slice();
            while let Some(length) = whole(rest)? {
                let (message, after) = rest.split_at(length);
                wire.message(from, to, message);
                rest = after;
            }
            received.cut += rest.len();
            if !wire.findings.is_empty() {
                bail!("session {number}: {}", listed(&wire.findings));
            }
            for arrived in wire.flows {
                received.add(&arrived)?;
            }
        }
        Ok(received)
    }

    /// Reads messages that came over UDP, in which templates may come again and sequences may have gaps.
    pub fn read_datagrams(octets: &[u8]) -> Result<Self> {
        let (mut received, mut wire) = (Self::default(), Wire::of_stream());
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        crate::stream::messages(octets)?
            .into_iter()
            .for_each(|message| wire.message(nowhere, nowhere, message));
        wire.flows.iter().try_for_each(|arrived| received.add(arrived))?;
        Ok(received)
    }

    fn add(&mut self, arrived: &Arrived) -> Result<()> {
        let (times, counts) = self.records.entry(arrived.identity).or_insert((0, arrived.counts));
        *times += 1;
        ensure!(*counts == arrived.counts, "one record with different counts: {arrived:?}, {counts:?}");
        Ok(())
    }

    /// The records, each as often as it came.
    pub fn all(&self) -> Records {
        self.records.values().map(|(times, counts)| row(*counts, *times)).sum()
    }

    /// The records, each once.
    pub fn distinct(&self) -> Records {
        self.records.values().map(|(_, counts)| row(*counts, 1)).sum()
    }
}

/// Sessions that are read while they last, of which only the sum is kept.
#[derive(Default)]
pub struct Reader {
    sessions: Vec<(Wire, Vec<u8>)>,
    sum: Records,
}

impl Reader {
    /// Reads the octets that came in each session since the last call.
    pub fn read(&mut self, came: Vec<Vec<u8>>) -> Result<()> {
        self.sessions.resize_with(came.len().max(self.sessions.len()), || (Wire::of_stream(), Vec::new()));
        let at = SocketAddr::from(([0; 4], 0));
        for (number, (octets, (wire, rest))) in came.into_iter().zip(&mut self.sessions).enumerate() {
            rest.extend(octets);
            let mut read = 0;
            while let Some(length) = whole(rest.get(read..).unwrap_or_default())? {
                wire.message(at, at, rest.get(read..read + length).unwrap_or_default());
                read += length;
            }
            rest.drain(..read);
            ensure!(wire.findings.is_empty(), "session {number}: {}", listed(&wire.findings));
            self.sum = wire.flows.drain(..).fold(self.sum, |sum, arrived| sum + row(arrived.counts, 1));
        }
        Ok(())
    }

    /// The sessions so far have ended; later sessions are counted from the first again.
    pub fn end_all(&mut self) {
        self.sessions.clear();
    }

    /// Flow records of whole messages so far.
    pub fn sum(&self) -> Records {
        self.sum
    }
}

const fn row((packets, octets): (u64, u64), times: u64) -> Records {
    Records { records: times, packets: packets * times, octets: octets * times }
}

/// The length of the next message, if all of it is there.
fn whole(octets: &[u8]) -> Result<Option<usize>> {
    let Some(head) = octets.first_chunk::<4>() else { return Ok(None) };
    let [version_high, version_low, high, low] = *head;
    ensure!([version_high, version_low] == [0, 10], "no IPFIX message: {head:02x?}");
    let length = usize::from(u16::from_be_bytes([high, low]));
    ensure!(length >= 16, "a message of {length} octets");
    Ok((octets.len() >= length).then_some(length))
}
