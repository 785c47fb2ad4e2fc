//! One collector's session: flow records and time in, messages out (RFC 7011, RFC 3954).
//!
//! The driving rule:
//!
//! - [`Session::push`] takes a record.
//! - [`Session::poll_message`] gives the next message, until it gives none.
//! - [`Session::poll_timeout`] says when to call again if nothing is pushed before.
//!
//! A message counts as sent, in the sequence and in the timing of templates, once it was polled. If
//! the socket refuses it, the caller keeps it and sends the same octets later, before any other.

mod again;
mod change;
mod divide;
mod domains;
mod group;
mod layout;
mod preset;
mod probe;
mod process;
mod queue;
mod resend;
mod resume;
#[cfg(test)]
mod samples;
mod templated;
mod templates;

pub use self::domains::Definition;
pub use self::preset::Preset;
pub use self::process::options_templates;
use std::collections::VecDeque;

use self::templated::Templated;
use crate::clock::{MeterTime, Now, SECOND};
use crate::elements::Choice;
use crate::elements::options::Subjects;
pub use crate::exporting::legacy::NotRepresentable;
use crate::exporting::legacy::{Legacy, LegacyConfig, Version};
pub use crate::exporting::message::{Message, SessionError};
use crate::exporting::options::{Snapshot, Statistics};
pub use crate::exporting::protocol::Protocol;
use crate::exporting::wire;
use crate::record::{Batch, Entry, FlowRecord, RecordTotal};

/// Settings of a session, before its first record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// The collector's protocol.
    pub protocol: Protocol,
    /// The transport delivers everything in order or breaks (TCP, TLS), so that templates go out once and
    /// are withdrawn before they are defined anew (RFC 7011 section 8). IPFIX alone has that.
    pub reliable: bool,
    /// Observation domain id (IPFIX), source id (v9) or engine (v5).
    pub observation_domain: u32,
    /// The largest message, octets, at most 65,535.
    pub max_message: usize,
    /// Templates go out again after so many nanoseconds of the monotonic clock…
    pub template_interval: u64,
    /// …or in every so many-th message, whichever is first. 0 counts as 1: in every message.
    pub template_messages: u32,
    /// A part-filled message leaves so many nanoseconds after its oldest record was pushed.
    pub linger: u64,
    /// Options data go out again after so many nanoseconds.
    pub options_interval: u64,
    /// The subjects of options data that are sent.
    pub options: Subjects,
    /// Tells which fields are the flow key, in the flows' own domain. Some collectors count those records
    /// wrongly, so over UDP only on request.
    pub flow_keys: bool,
    /// The elements of its records.
    pub choice: Choice,
    /// The deviations that this kind of collector needs.
    pub preset: Option<Preset>,
    /// System start, milliseconds since 1970: the zero of sysUptime. Not used by IPFIX.
    pub system_start_ms: u64,
}

impl SessionConfig {
    /// The defaults over UDP: domain 1, 1,472 octets, templates every 60 s and every 20 messages, linger
    /// 1 s, options every 60 s.
    pub fn new(protocol: impl Into<Protocol>, system_start_ms: u64) -> Self {
        Self {
            protocol: protocol.into(),
            reliable: false,
            observation_domain: 1,
            max_message: 1472,
            template_interval: 60 * SECOND,
            template_messages: 20,
            linger: SECOND,
            options_interval: 60 * SECOND,
            options: Subjects::ALL,
            flow_keys: false,
            choice: Choice::default(),
            preset: None,
            system_start_ms,
        }
    }

    /// The same for a legacy version.
    fn legacy(&self, version: Version) -> LegacyConfig {
        LegacyConfig {
            observation_domain: self.observation_domain,
            max_message: self.max_message,
            linger: self.linger,
            choice: self.choice,
            ..LegacyConfig::new(version, self.system_start_ms)
        }
    }

    /// The defaults over TCP and TLS, for IPFIX: messages of 8,192 octets, and flow keys.
    pub fn reliable(system_start_ms: u64) -> Self {
        let config = Self::new(Protocol::Ipfix, system_start_ms);
        Self { reliable: true, max_message: 8192, flow_keys: true, ..config }
    }
}

/// Milliseconds in one second.
const MS: u64 = 1000;

/// One collector's session.
#[derive(Debug)]
pub struct Session {
    encoding: Encoding,
}

/// How the collector's protocol describes records.
#[derive(Debug)]
enum Encoding {
    Templated(Box<Templated>),
    Legacy(Box<Legacy>),
}

/// Calls a method that both encodings have.
macro_rules! either {
    ($session:expr, $encoding:ident => $call:expr) => {
        match &mut $session.encoding {
            Encoding::Templated($encoding) => $call,
            Encoding::Legacy($encoding) => $call,
        }
    };
}

impl Session {
    /// A session in which nothing was sent yet.
    ///
    /// # Errors
    ///
    /// [`SessionError`] if `max_message` cannot hold the templates or one record, or is above 65,535.
    pub fn new(config: SessionConfig) -> Result<Self, SessionError> {
        let encoding = match Version::of(config.protocol) {
            Some(version) => legacy(version, &config)?,
            // A protocol without templates is a legacy version.
            None => templated(wire::Protocol::of(config.protocol).unwrap_or(wire::Protocol::Ipfix), config)?,
        };
        Ok(Self { encoding })
    }

    /// Queues one record, with its extension row or without. The queue has no bound of its own: see [`Session::queued`].
    ///
    /// # Errors
    ///
    /// The protocol cannot represent the record, which is not queued.
    pub fn push<'a>(&mut self, entry: impl Into<Entry<'a>>, now: Now) -> Result<(), NotRepresentable> {
        let Entry { record, more } = entry.into();
        self.queue(record, more, now)
    }

    /// As [`Session::push`]: record and row come in registers, as an entry would not.
    fn queue(&mut self, record: &FlowRecord, more: &[u8], now: Now) -> Result<(), NotRepresentable> {
        match &mut self.encoding {
            Encoding::Templated(encoding) => encoding.push(record, more, now),
            Encoding::Legacy(encoding) => encoding.queue(record, more, now)?,
        }
        Ok(())
    }

    /// The next message that is ready, if any: queued records fill one, the oldest of them has
    /// lingered, or `flush` asks for whatever is there.
    ///
    /// Call it until it gives `None`: templates may come first as a message of their own.
    pub fn poll_message(&mut self, now: Now, flush: bool) -> Option<Message> {
        either!(self, encoding => encoding.poll_message(now, flush))
    }

    /// When [`Session::poll_message`] will have a message without a further push: not in the future if it has one
    /// already, `None` while nothing is queued.
    pub fn poll_timeout(&self) -> Option<MeterTime> {
        match &self.encoding {
            Encoding::Templated(encoding) => encoding.poll_timeout(),
            Encoding::Legacy(encoding) => encoding.poll_timeout(),
        }
    }

    /// Records that were pushed and not polled.
    pub fn queued(&self) -> RecordTotal {
        match &self.encoding {
            Encoding::Templated(encoding) => encoding.queued(),
            Encoding::Legacy(encoding) => encoding.queued(),
        }
    }

    /// Takes everything out that was pushed and not polled.
    pub fn drain(&mut self) -> Batch {
        either!(self, encoding => encoding.drain())
    }

    /// Offers options data: they are sent if none were in this session, if the last are older than the
    /// interval, if an interface changed, or if `force` says so. The first of a session come behind the
    /// templates of flow records. Protocols without templates have none.
    pub fn offer(&mut self, snapshot: &Snapshot, now: Now, force: bool) {
        if let Encoding::Templated(encoding) = &mut self.encoding {
            encoding.offer(snapshot, now, force);
        }
    }

    /// The time of day went back, and by it the system started earlier than the configuration says:
    /// milliseconds since 1970.
    ///
    /// NetFlow v5, v7 and v1 could not tell of flows before system start. v9 has times of day for them, and
    /// IPFIX has no others.
    pub fn system_started(&mut self, ms: u64) {
        if let Encoding::Legacy(encoding) = &mut self.encoding {
            encoding.system_started(ms);
        }
    }

    /// Over UDP: starts anew towards the collector, after it was away or its address changed. Templates
    /// go out again before any more data. The sequence goes on, and the queue stays.
    pub fn restart(&mut self) {
        if let Encoding::Templated(encoding) = &mut self.encoding {
            encoding.restart();
        }
    }

    /// Over UDP: takes polled messages, in order, that no collector received, and gives replacements:
    /// templates and the last options data, then the same data. A message above the present largest size
    /// becomes several.
    ///
    /// Sequence and export time are those of a first transmission, so that the collector misses nothing.
    /// Without data in `unsent` there are no replacements: templates come with the next data.
    pub fn resume(&mut self, unsent: VecDeque<Message>, now: Now) -> VecDeque<Message> {
        either!(self, encoding => encoding.resume(unsent, now))
    }

    /// Over UDP: a message that may be lost, of `octets` octets or a few less, above the largest size too: its
    /// templates, repeated. A path that takes it takes data of that size.
    ///
    /// `None` where the protocol has no templates, or where not all of them fit.
    pub fn probe(&mut self, octets: usize, now: Now) -> Option<Message> {
        match &mut self.encoding {
            Encoding::Templated(encoding) => encoding.probe(octets, now),
            Encoding::Legacy(_) => None,
        }
    }

    /// Goes on with the sequence that an earlier run's messages had behind them in a domain. Protocols
    /// without domains have one sequence.
    pub fn resume_at(&mut self, domain: u32, sequence: u32) {
        match &mut self.encoding {
            Encoding::Templated(encoding) => encoding.set_sequence(domain, sequence),
            Encoding::Legacy(encoding) => encoding.set_sequence(sequence),
        }
    }

    /// Over TCP and TLS: a new transport session has begun, with sequences from 0 and without templates
    /// (RFC 7011 sections 3.1 and 8).
    pub fn begin(&mut self) {
        if let Encoding::Templated(encoding) = &mut self.encoding {
            encoding.begin();
        }
    }

    /// Over TCP and TLS: the messages that stand for one of an earlier session or of a spool: the templates
    /// that the collector lacks, then the message with this session's sequence and export time.
    ///
    /// `templates` are the message's own, where another agent may have written it.
    pub fn again(&mut self, message: Message, templates: Option<&[Definition]>, now: Now) -> Vec<Message> {
        match &mut self.encoding {
            Encoding::Templated(encoding) => encoding.again(message, templates, now),
            Encoding::Legacy(_) => vec![message],
        }
    }

    /// Over TCP and TLS: as [`Session::poll_message`], for a file: flow records alone, and without a part in
    /// the sequence, which [`Session::again`] gives it later.
    pub fn poll_stored(&mut self, now: Now, flush: bool) -> Option<Message> {
        match &mut self.encoding {
            Encoding::Templated(encoding) => encoding.poll_stored(now, flush),
            Encoding::Legacy(_) => None,
        }
    }

    /// All templates that a flow record can need, for a file to begin with (RFC 5655 section 7).
    pub fn templates(&self) -> Vec<Definition> {
        match &self.encoding {
            Encoding::Templated(encoding) => encoding.definitions(),
            Encoding::Legacy(_) => Vec::new(),
        }
    }

    /// From now on messages have at most `max` octets.
    ///
    /// # Errors
    ///
    /// As for [`Session::new`]; nothing changes then.
    pub fn set_max_message(&mut self, max: usize) -> Result<(), SessionError> {
        either!(self, encoding => encoding.set_max_message(max))
    }

    /// Takes another configuration of the same protocol and transport. Sequences continue, and templates and options
    /// that differ go out before further data. Queued records must be in messages by now: none is kept.
    ///
    /// # Errors
    ///
    /// As for [`Session::new`]; nothing changes then.
    pub fn change(&mut self, config: SessionConfig) -> Result<(), SessionError> {
        match &mut self.encoding {
            Encoding::Templated(encoding) => encoding.change(config),
            Encoding::Legacy(encoding) => encoding.change(config.legacy(encoding.version())),
        }
    }

    /// Discards the queue.
    pub fn clear(&mut self) {
        either!(self, encoding => encoding.clear());
    }

    /// Totals handed to the socket so far; zero for protocols without templates, which cannot announce them.
    pub fn statistics(&self) -> Statistics {
        match &self.encoding {
            Encoding::Templated(encoding) => encoding.statistics,
            Encoding::Legacy(_) => Statistics::default(),
        }
    }

    /// A message was handed to the socket: the statistics that options data tell count it from now on.
    pub fn handed(&mut self, message: &Message) {
        if let Encoding::Templated(encoding) = &mut self.encoding {
            encoding.handed(message);
        }
    }

    /// Gives back the buffer of a message that was sent, so that a later one need not allocate.
    pub fn recycle(&mut self, message: Message) {
        either!(self, encoding => encoding.recycle(message));
    }
}

fn templated(protocol: wire::Protocol, config: SessionConfig) -> Result<Encoding, SessionError> {
    Ok(Encoding::Templated(Box::new(Templated::new(protocol, config)?)))
}

fn legacy(version: Version, config: &SessionConfig) -> Result<Encoding, SessionError> {
    Ok(Encoding::Legacy(Box::new(Legacy::new(config.legacy(version))?)))
}

/// Sequence numbers and export times wrap at 2^32 (RFC 7011 section 3.1; that of time is in 2106).
#[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is what the protocol says")]
const fn modulo_32(n: u64) -> u32 {
    n as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    /// Sequence numbers of the messages that two times two records make, from `first` on.
    fn sequences(protocol: Protocol, first: u32, place: usize) -> Vec<u32> {
        let mut session = Session::new(SessionConfig::new(protocol, 0)).unwrap();
        let Encoding::Templated(encoding) = &mut session.encoding else { unreachable!() };
        encoding.set_sequence(1, first);
        let mut sequences = Vec::new();
        for _ in 0..2 {
            session.push(&samples::udp(1), Now::default()).unwrap();
            session.push(&samples::udp(1), Now::default()).unwrap();
            while let Some(message) = session.poll_message(Now::default(), true) {
                let octets = message.bytes[place..place + 4].try_into().unwrap();
                sequences.push(u32::from_be_bytes(octets));
            }
        }
        sequences
    }

    #[test]
    fn the_sequence_counts_records_in_ipfix_and_messages_in_v9_and_wraps() {
        // Templates, two records, two records.
        assert_eq!(sequences(Protocol::Ipfix, u32::MAX, 8), [u32::MAX, u32::MAX, 1]);
        assert_eq!(sequences(Protocol::V9, u32::MAX - 1, 12), [u32::MAX - 1, u32::MAX, 0]);
    }
}
