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

use crate::clock::{Now, SECOND};
use crate::record::{FlowRecord, RecordTotal};
pub use crate::wire::Protocol;

/// What a session needs to know before the first record.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// IPFIX or NetFlow v9.
    pub protocol: Protocol,
    /// Observation domain id (IPFIX) or source id (v9).
    pub observation_domain: u32,
    /// The largest message, octets of UDP payload, at most 65,535.
    pub max_message: usize,
    /// Templates go out again after so many nanoseconds of the monotonic clock…
    pub template_interval: u64,
    /// …or in every so many-th message, whichever is first. 0 counts as 1: in every message.
    pub template_messages: u32,
    /// A part-filled message leaves so many nanoseconds after its oldest record was pushed.
    pub linger: u64,
    /// System start, milliseconds since 1970: the zero of v9's sysUptime. Not used by IPFIX.
    pub system_start_ms: u64,
}

impl SessionConfig {
    /// The defaults: domain 1, 1,472 octets, templates every 600 s and every 20 messages, linger 1 s.
    pub const fn new(protocol: Protocol, system_start_ms: u64) -> Self {
        Self {
            protocol,
            observation_domain: 1,
            max_message: 1472,
            template_interval: 600 * SECOND,
            template_messages: 20,
            linger: SECOND,
            system_start_ms,
        }
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
        /// IPFIX or v9.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The octets.
    pub bytes: Vec<u8>,
    /// The data records in it.
    pub total: RecordTotal,
    /// It holds templates and no data.
    pub templates_only: bool,
}

/// The state of one collector's session.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    queued: RecordTotal,
    spare: Vec<Vec<u8>>,
}

impl Session {
    /// A session in which nothing was sent yet.
    ///
    /// # Errors
    ///
    /// [`SessionError`] if `max_message` cannot hold the templates or one record, or is above 65,535.
    pub fn new(config: SessionConfig) -> Result<Self, SessionError> {
        Ok(Self { config, queued: RecordTotal::default(), spare: Vec::new() })
    }

    /// Queues one record. The queue has no bound of its own: see [`Session::queued`].
    pub fn push(&mut self, record: &FlowRecord, now: Now) {
        let _ = now;
        self.queued.count(record);
    }

    /// The next message that is ready, if any: queued records fill one, the oldest of them has
    /// lingered, or `flush` asks for whatever is there.
    ///
    /// Call it until it gives `None`: templates may come first as a message of their own.
    pub fn poll_message(&mut self, now: Now, flush: bool) -> Option<Message> {
        let _ = (now, flush, &self.config);
        None
    }

    /// When [`Session::poll_message`] will have a message without a further push: monotonic
    /// nanoseconds, in the past if it has one already, `None` while nothing is queued.
    pub fn poll_timeout(&self) -> Option<u64> {
        None
    }

    /// Records that were pushed and not polled.
    pub const fn queued(&self) -> RecordTotal {
        self.queued
    }

    /// Starts anew towards the collector, after it was away or its address changed: templates go out
    /// again before any more data. The sequence goes on, and the queue stays.
    pub fn restart(&mut self) {}

    /// Gives back the buffer of a message that was sent, so that a later one need not allocate.
    pub fn recycle(&mut self, message: Message) {
        self.spare.push(message.bytes);
    }
}
