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
mod domains;
mod group;
mod layout;
mod process;
mod queue;
mod resend;
mod resume;
mod templated;

pub use self::domains::Definition;
use self::templated::Templated;
use crate::clock::{Now, SECOND};
use crate::options::Snapshot;
pub use crate::protocol::Protocol;
use crate::record::{FlowRecord, RecordTotal};
use crate::wire;

/// What a session needs to know before the first record.
#[derive(Clone, Debug)]
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
    /// Options data of the whole process go out again after so many nanoseconds.
    pub options_interval: u64,
    /// Tells which fields are the flow key, in the flows' own domain. Some collectors count those records
    /// wrongly, so over UDP only on request.
    pub flow_keys: bool,
    /// System start, milliseconds since 1970: the zero of sysUptime. Not used by IPFIX.
    pub system_start_ms: u64,
}

impl SessionConfig {
    /// The defaults over UDP: domain 1, 1,472 octets, templates every 600 s and every 20 messages, linger
    /// 1 s, options every 60 s.
    pub fn new(protocol: impl Into<Protocol>, system_start_ms: u64) -> Self {
        Self {
            protocol: protocol.into(),
            reliable: false,
            observation_domain: 1,
            max_message: 1472,
            template_interval: 600 * SECOND,
            template_messages: 20,
            linger: SECOND,
            options_interval: 60 * SECOND,
            flow_keys: false,
            system_start_ms,
        }
    }

    /// The defaults over TCP and TLS, for IPFIX: messages of 8,192 octets, and flow keys.
    pub fn reliable(system_start_ms: u64) -> Self {
        let config = Self::new(Protocol::Ipfix, system_start_ms);
        Self { reliable: true, max_message: 8192, flow_keys: true, ..config }
    }
}

/// Why a session cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// All templates, or the largest record, do not fit into one message.
    #[error("messages of {max} octets are too small: {protocol} needs at least {needed}")]
    MessageTooSmall {
        /// The configured size.
        max: usize,
        /// The smallest size that does.
        needed: usize,
        /// The protocol.
        protocol: Protocol,
    },
    /// The length of a message is a field of 16 bits.
    #[error("messages of {max} octets are too large: at most 65535")]
    MessageTooLarge {
        /// The configured size.
        max: usize,
    },
}

/// One message, to be sent as one datagram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The octets.
    pub bytes: Vec<u8>,
    /// The data records in it.
    pub total: RecordTotal,
    /// It holds templates and no data.
    pub templates_only: bool,
    /// The observation domain, source id or engine that it speaks of.
    pub domain: u32,
    /// What it adds to the sequence of that domain.
    pub counted: u32,
}

/// Milliseconds in one second.
const MS: u64 = 1000;

/// One collector's session.
#[derive(Debug)]
pub struct Session {
    form: Templated,
}

impl Session {
    /// A session in which nothing was sent yet.
    ///
    /// # Errors
    ///
    /// [`SessionError`] if `max_message` cannot hold the templates or one record, or is above 65,535.
    pub fn new(config: SessionConfig) -> Result<Self, SessionError> {
        let protocol = match config.protocol {
            Protocol::V9 => wire::Protocol::V9,
            _ => wire::Protocol::Ipfix,
        };
        Ok(Self { form: Templated::new(protocol, config)? })
    }

    /// Queues one record. The queue has no bound of its own: see [`Session::queued`].
    pub fn push(&mut self, record: &FlowRecord, now: Now) {
        self.form.push(record, now);
    }

    /// The next message that is ready, if any: queued records fill one, the oldest of them has
    /// lingered, or `flush` asks for whatever is there.
    ///
    /// Call it until it gives `None`: templates may come first as a message of their own.
    pub fn poll_message(&mut self, now: Now, flush: bool) -> Option<Message> {
        self.form.poll_message(now, flush)
    }

    /// When [`Session::poll_message`] will have a message without a further push: monotonic
    /// nanoseconds, not in the future if it has one already, `None` while nothing is queued.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.form.poll_timeout()
    }

    /// Records that were pushed and not polled.
    pub fn queued(&self) -> RecordTotal {
        self.form.queued()
    }

    /// Takes everything out that was pushed and not polled.
    pub fn drain(&mut self) -> Vec<FlowRecord> {
        self.form.drain()
    }

    /// Offers options data of the whole process: they are sent if none were in this session, if the last
    /// are older than the interval, if an interface changed, or if `force` says so.
    pub fn offer(&mut self, snapshot: &Snapshot, now: Now, force: bool) {
        self.form.offer(snapshot, now, force);
    }

    /// Over UDP: starts anew towards the collector, after it was away or its address changed. Templates
    /// go out again before any more data. The sequence goes on, and the queue stays.
    pub fn restart(&mut self) {
        self.form.restart();
    }

    /// Over UDP: takes messages that were polled, in order, and that nobody received, and gives what to
    /// send instead: all templates, then the same data.
    ///
    /// Sequence and export time are those of a first transmission, so that the collector misses nothing.
    /// Without data in `unsent` it gives nothing: templates come with the next data.
    pub fn resume(
        &mut self,
        unsent: std::collections::VecDeque<Message>,
        now: Now,
    ) -> std::collections::VecDeque<Message> {
        self.form.resume(unsent, now)
    }

    /// Over TCP and TLS: a new transport session has begun, with sequences from 0 and without templates
    /// (RFC 7011 sections 3.1 and 8).
    pub fn begin(&mut self) {
        self.form.begin();
    }

    /// Over TCP and TLS: what to send for a message of an earlier session or of a spool: the templates
    /// that it needs and this session lacks, then the message with this session's sequence and export time.
    ///
    /// `templates` are those that the message was written with, where they may not be ours.
    pub fn again(&mut self, message: Message, templates: Option<&[Definition]>, now: Now) -> Vec<Message> {
        self.form.again(message, templates, now)
    }

    /// Over TCP and TLS: as [`Session::poll_message`], for a file: flow records alone, and without a part in
    /// the sequence, which [`Session::again`] gives it later.
    pub fn poll_stored(&mut self, now: Now, flush: bool) -> Option<Message> {
        self.form.poll_stored(now, flush)
    }

    /// The octets of a message with all templates of flow records, for a file to begin with.
    pub fn file_head(&mut self, now: Now) -> Vec<u8> {
        self.form.file_head(now)
    }

    /// From now on messages have at most `max` octets.
    ///
    /// # Errors
    ///
    /// As for [`Session::new`]; nothing changes then.
    pub fn set_max_message(&mut self, max: usize) -> Result<(), SessionError> {
        self.form.set_max_message(max)
    }

    /// Throws away what is queued.
    pub fn clear(&mut self) {
        self.form.clear();
    }

    /// A message was handed to the socket: the statistics that options data tell count it from now on.
    pub fn handed(&mut self, message: &Message) {
        self.form.handed(message);
    }

    /// Gives back the buffer of a message that was sent, so that a later one need not allocate.
    pub fn recycle(&mut self, message: Message) {
        self.form.recycle(message);
    }
}

/// Sequence numbers and export times wrap at 2^32 (RFC 7011 section 3.1; that of time is in 2106).
#[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is what the protocol says")]
const fn modulo_32(n: u64) -> u32 {
    n as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Addresses, EndReason, FlowKey};

    const RECORD: FlowRecord = FlowRecord {
        key: FlowKey {
            addresses: Addresses::V4 { source: [192, 0, 2, 1], destination: [192, 0, 2, 2] },
            source_port: 1,
            destination_port: 2,
            protocol: 17,
            tos: 0,
            vlan: 0,
            ingress: 1,
        },
        packets: 1,
        octets: 28,
        start_ms: 0,
        end_ms: 0,
        tcp_flags: 0,
        ttl_min: 64,
        ttl_max: 64,
        length_min: 28,
        length_max: 28,
        end_reason: EndReason::Forced,
    };

    /// Sequence numbers of the messages that two times two records make, from `first` on.
    fn sequences(protocol: Protocol, first: u32, place: usize) -> Vec<u32> {
        let mut session = Session::new(SessionConfig::new(protocol, 0)).unwrap();
        session.form.set_sequence(1, first);
        let mut sequences = Vec::new();
        for _ in 0..2 {
            session.push(&RECORD, Now::default());
            session.push(&RECORD, Now::default());
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
