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

mod group;
mod layout;
mod queue;
mod resend;
mod resume;

use self::group::{Group, Times};
use self::resend::Due;
use crate::clock::{Now, SECOND};
use crate::record::{FlowRecord, RecordTotal};
pub use crate::wire::Protocol;
use crate::wire::Writer;

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
    /// The observation domain, source id or engine that it speaks of.
    pub domain: u32,
    /// What it adds to the sequence of that domain.
    pub counted: u32,
}

/// Milliseconds in one second.
const MS: u64 = 1000;

/// Buffers kept for reuse: more than a caller has on the way at once.
const SPARE_BUFFERS: usize = 64;

/// The state of one collector's session.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    /// The usual group, and behind it v9's group with times of day once a record needed it.
    groups: Vec<Group>,
    /// IPFIX: data records in messages polled so far, modulo 2^32 (RFC 7011 section 3.1).
    /// v9: messages polled so far, modulo 2^32 (RFC 3954 section 5.1).
    sequence: u32,
    /// Export time of the last message, seconds since 1970.
    export_secs: u64,
    spare: Vec<Vec<u8>>,
}

impl Session {
    /// A session in which nothing was sent yet.
    ///
    /// # Errors
    ///
    /// [`SessionError`] if `max_message` cannot hold the templates or one record, or is above 65,535.
    pub fn new(config: SessionConfig) -> Result<Self, SessionError> {
        Ok(Self {
            groups: vec![Group::new(&config, Times::OfProtocol)?],
            sequence: 0,
            // A sysUptime below zero would read as one of 49 days.
            export_secs: match config.protocol {
                Protocol::Ipfix => 0,
                Protocol::V9 => config.system_start_ms.div_ceil(MS),
            },
            spare: Vec::new(),
            config,
        })
    }

    /// Queues one record. The queue has no bound of its own: see [`Session::queued`].
    pub fn push(&mut self, record: &FlowRecord, now: Now) {
        let group = match Times::of(record, now, &self.config) {
            Times::OfProtocol => 0,
            Times::OfDay => self.times_of_day(),
        };
        self.groups[group].queue.push(record, now.monotonic);
    }

    /// The place of the group with times of day, which is made now if this is its first record.
    fn times_of_day(&mut self) -> usize {
        if self.groups.len() == 1 {
            // Its templates are as large as the usual ones but for eight octets a record. Where they do not
            // fit into a message, its records go with the usual ones, times modulo 2^32.
            self.groups.extend(Group::new(&self.config, Times::OfDay));
        }
        self.groups.len() - 1
    }

    /// The next message that is ready, if any: queued records fill one, the oldest of them has
    /// lingered, or `flush` asks for whatever is there.
    ///
    /// Call it until it gives `None`: templates may come first as a message of their own.
    pub fn poll_message(&mut self, now: Now, flush: bool) -> Option<Message> {
        let (deadline, group) = self.next()?;
        if !flush && now.monotonic < deadline {
            return None;
        }
        let layout = &self.groups[group].layout;
        Some(match self.groups[group].resend.due(now.monotonic) {
            Due::No => self.data_message(group, now, false),
            Due::Again if layout.templates_leave_room() => self.data_message(group, now, true),
            Due::First | Due::Again => self.template_message(group, now),
        })
    }

    /// When [`Session::poll_message`] will have a message without a further push: monotonic
    /// nanoseconds, not in the future if it has one already, `None` while nothing is queued.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.next().map(|(deadline, _)| deadline)
    }

    /// The group that has the next message, and when.
    fn next(&self) -> Option<(u64, usize)> {
        let deadlines = self.groups.iter().enumerate();
        deadlines.filter_map(|(group, it)| Some((it.deadline(self.config.linger)?, group))).min()
    }

    /// Records that were pushed and not polled.
    pub fn queued(&self) -> RecordTotal {
        let mut queued = RecordTotal::default();
        for group in &self.groups {
            queued += group.queue.total();
        }
        queued
    }

    /// Starts anew towards the collector, after it was away or its address changed: templates go out
    /// again before any more data. The sequence goes on, and the queue stays.
    pub fn restart(&mut self) {
        for group in &mut self.groups {
            group.resend.restart();
        }
    }

    /// Gives back the buffer of a message that was sent, so that a later one need not allocate.
    pub fn recycle(&mut self, message: Message) {
        if self.spare.len() < SPARE_BUFFERS {
            self.spare.push(message.bytes);
        }
    }

    fn template_message(&mut self, group: usize, now: Now) -> Message {
        let mut writer = self.writer();
        self.write_templates(group, &mut writer);
        self.groups[group].resend.sent(now.monotonic, true);
        self.finish(writer, now, 0, RecordTotal::default())
    }

    fn data_message(&mut self, group: usize, now: Now, templates: bool) -> Message {
        let mut writer = self.writer();
        if templates {
            self.write_templates(group, &mut writer);
        }
        // Messages that follow count for every template, whatever is in them.
        for other in &mut self.groups {
            other.resend.followed();
        }
        let Group { layout, queue, resend, .. } = &mut self.groups[group];
        if templates {
            resend.sent(now.monotonic, false);
        }
        let counts = queue.plan(layout, templates);
        let (mut total, mut latest_ms) = (RecordTotal::default(), 0);
        for (kind, (&count, template)) in counts.iter().zip(layout.templates()).enumerate() {
            if count == 0 {
                continue;
            }
            writer.set(template.id(), |set| {
                for record in queue.take(kind, count) {
                    template.encode(&record, self.config.system_start_ms, set.next());
                    total.count(&record);
                    latest_ms = latest_ms.max(record.end_ms);
                }
            });
        }
        queue.sent(total);
        self.finish(writer, now, latest_ms, total)
    }

    fn writer(&mut self) -> Writer {
        let buffer = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(self.config.max_message));
        Writer::new(self.config.protocol, buffer)
    }

    fn write_templates(&self, group: usize, writer: &mut Writer) {
        writer.set(self.config.protocol.template_set(), |set| {
            for template in self.groups[group].layout.templates() {
                template.describe(set.next());
            }
        });
    }

    /// Completes a message that holds `total` and whose latest record ends at `latest_ms`.
    fn finish(&mut self, writer: Writer, now: Now, latest_ms: u64, total: RecordTotal) -> Message {
        self.export_secs = self.export_secs.max(now.wall_ms / MS);
        if self.config.protocol == Protocol::V9 {
            // v9 says seconds where its records say milliseconds: collectors take UNIX Secs and
            // sysUptime for one instant, and records that end after it for future ones.
            self.export_secs = self.export_secs.max(latest_ms.div_ceil(MS));
        }
        let bytes = writer.finish(&self.header());
        let counted = match self.config.protocol {
            Protocol::Ipfix => modulo_32(total.records),
            Protocol::V9 => 1,
        };
        self.sequence = self.sequence.wrapping_add(counted);
        let domain = self.config.observation_domain;
        Message { bytes, total, templates_only: total.records == 0, domain, counted }
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
        session.sequence = first;
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
