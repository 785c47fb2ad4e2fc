//! One collector's session of a legacy version: NetFlow v5, v7 and v1, whose records are fixed.
//!
//! The caller drives a [`Legacy`] like a [`Session`](crate::exporting::session::Session): [`Legacy::push`] takes a
//! record, [`Legacy::poll_message`] gives messages, [`Legacy::poll_timeout`] says when to call again.
//!
//! # Counters
//!
//! Counters have 32 bits. A record that exceeds them becomes several: the same key, times and flags in each,
//! packets and octets in even shares whose sums are exact.
//!
//! # Times
//!
//! A record's times are milliseconds since system start in 32 bits, which wrap after 49.7 days. The header
//! has the export time twice, as time of day and as such an uptime, to the millisecond, and a collector
//! counts back from it: to (uptime − time) modulo 2^32 before the export time.
//!
//! - A message's export time is now, but never before that of an earlier message or the end of one of its
//!   records, and held back where some record that waits started more than 2^32 − 1 ms ago: the export time
//!   is then 2^32 − 1 ms after that start. A waiting record thus keeps its place in time.
//! - A record is not representable if it starts before system start, or more than 2^32 − 1 ms before the
//!   earliest export time that is possible: the last message's, or the latest end among this record and those
//!   that wait.

mod divide;
mod header;
mod layout;
mod queue;
mod resume;
mod version;

use self::layout::Layout;
use self::queue::{Queue, Times};
pub use self::version::{Content, FIELDS, Field, Version};
use crate::clock::{MeterTime, Now, SECOND};
use crate::elements::Choice;
use crate::exporting::message::{Message, SessionError};
use crate::exporting::wire::low_16;
use crate::record::{DeliveryId, Entry, FlowRecord, RecordTotal, Slice};

/// Milliseconds in one second.
const MS: u64 = 1000;

/// How far back from its header a message can tell times, milliseconds.
const SPAN: u64 = 0xffff_ffff;

/// Buffers kept for reuse: more than a caller has on the way at once.
const SPARE_BUFFERS: usize = 64;

/// Settings of a session, before its first record.
#[derive(Clone, Debug)]
pub struct LegacyConfig {
    /// The protocol.
    pub version: Version,
    /// Observation domain id. v5 says its low 16 bits as engine type (the high octet) and engine id.
    pub observation_domain: u32,
    /// The largest message, octets of UDP payload, at most 65,535.
    pub max_message: usize,
    /// A part-filled message leaves so many nanoseconds after its oldest record was pushed.
    pub linger: u64,
    /// System start, milliseconds since 1970: the zero of SysUptime.
    pub system_start_ms: u64,
    /// The elements that are collected: they lay the extension rows out.
    pub choice: Choice,
}

impl LegacyConfig {
    /// The defaults: domain 1, 1,472 octets, linger 1 s.
    pub fn new(version: Version, system_start_ms: u64) -> Self {
        let choice = Choice::default();
        Self { version, observation_domain: 1, max_message: 1472, linger: SECOND, system_start_ms, choice }
    }

    /// The most records of one message.
    fn per_message(&self) -> Result<usize, SessionError> {
        let (version, max) = (self.version, self.max_message);
        if max > usize::from(u16::MAX) {
            return Err(SessionError::MessageTooLarge { max });
        }
        let needed = version.header() + version.record();
        if max < needed {
            return Err(SessionError::MessageTooSmall { max, needed, protocol: version.protocol() });
        }
        Ok(((max - version.header()) / version.record()).min(version.most_records()))
    }
}

/// Why a record cannot be told in a fixed layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotRepresentable {
    /// There is room for IPv4 addresses only.
    #[error("it has IPv6 addresses")]
    Ipv6,
    /// 32 bits of milliseconds do not reach back so far: see the [module](self).
    #[error("it starts before system start, or 49.7 days before the export")]
    Times,
}

/// The state of one collector's session.
#[derive(Debug)]
pub struct Legacy {
    config: LegacyConfig,
    layout: Layout,
    per_message: usize,
    queue: Queue,
    /// Records in messages polled so far, modulo 2^32.
    sequence: u32,
    /// Export time of the last message, milliseconds since 1970.
    export_ms: u64,
    spare: Vec<Vec<u8>>,
    spare_deliveries: Vec<Vec<DeliveryId>>,
}

impl Legacy {
    /// A session in which nothing was sent yet.
    ///
    /// # Errors
    ///
    /// [`SessionError`] if `max_message` cannot hold one record, or is above 65,535.
    pub fn new(config: LegacyConfig) -> Result<Self, SessionError> {
        Ok(Self {
            layout: Layout::new(config.version, config.choice.groups()),
            per_message: config.per_message()?,
            queue: Queue::new(config.choice.batch()),
            sequence: 0,
            // A SysUptime below zero would read as one of 49 days.
            export_ms: config.system_start_ms,
            spare: Vec::new(),
            spare_deliveries: Vec::new(),
            config,
        })
    }

    /// The time of day went back, so that the system started earlier than the configuration says:
    /// milliseconds since 1970. Times of day in records stay the same.
    pub fn system_started(&mut self, ms: u64) {
        self.config.system_start_ms = self.config.system_start_ms.min(ms);
    }

    /// The protocol's version.
    pub(crate) const fn version(&self) -> Version {
        self.config.version
    }

    /// Takes another configuration; the sequence and the export time continue.
    ///
    /// # Errors
    ///
    /// As for [`Legacy::new`]; nothing changes then.
    pub(crate) fn change(&mut self, config: LegacyConfig) -> Result<(), SessionError> {
        let start = self.config.system_start_ms.min(config.system_start_ms);
        let new = Self::new(LegacyConfig { system_start_ms: start, ..config })?;
        *self = Self { sequence: self.sequence, export_ms: self.export_ms.max(new.export_ms), ..new };
        Ok(())
    }

    /// Queues one record, with its extension row or without. The queue has no bound of its own: see [`Legacy::queued`].
    ///
    /// # Errors
    ///
    /// The protocol cannot tell this record, which is not queued.
    pub fn push<'a>(&mut self, entry: impl Into<Entry<'a>>, now: Now) -> Result<(), NotRepresentable> {
        let Entry { record, more } = entry.into();
        self.queue(record, more, now)
    }

    pub(crate) fn queue(
        &mut self,
        record: &FlowRecord,
        more: &[u8],
        now: Now,
    ) -> Result<(), NotRepresentable> {
        if record.is_ipv6() {
            return Err(NotRepresentable::Ipv6);
        }
        let export_ms = self.export_ms.max(self.queue.latest_ms()).max(record.end_ms());
        let before = export_ms.saturating_sub(record.start_ms());
        if record.start_ms() < self.config.system_start_ms || before > SPAN {
            return Err(NotRepresentable::Times);
        }
        self.queue.push(record, more, now.monotonic);
        Ok(())
    }

    /// The next message that is ready, if any: queued records fill one, the oldest of them has
    /// lingered, or `flush` asks for whatever is there. Call it until it gives `None`.
    pub fn poll_message(&mut self, now: Now, flush: bool) -> Option<Message> {
        let deadline = self.poll_timeout()?;
        if !flush && now.monotonic < deadline {
            return None;
        }
        let version = self.config.version;
        let reach = self.queue.reach(now.wall_ms);
        let mut bytes = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(self.config.max_message));
        let most = self.per_message.min(usize::try_from(self.queue.total().records).unwrap_or(usize::MAX));
        bytes.clear();
        bytes.resize(version.header() + most * version.record(), 0);
        let mut deliveries = self.spare_deliveries.pop().unwrap_or_default();
        let (mut total, mut times) = (RecordTotal::default(), Times::default());
        let (layout, start) = (&self.layout, self.config.system_start_ms);
        let mut rest = &mut bytes[version.header()..];
        let mut write = |Slice { records, more, .. }: Slice<'_>| {
            let (octets, behind) = std::mem::take(&mut rest).split_at_mut(records.len() * version.record());
            rest = behind;
            layout.encode(records, more, start, octets);
            for record in records {
                DeliveryId::keep(&mut deliveries, total.records, record.delivery);
                total.count(record);
            }
        };
        let mut left = most;
        while left > 0 {
            let together = self.queue.together(left, &mut times);
            self.queue.take(together, &mut write);
            left -= together;
            if together == 0 {
                if !self.queue.share(&mut times, &mut write) {
                    break;
                }
                left -= 1;
            }
        }
        self.queue.sent(total);
        bytes.truncate(version.header() + (most - left) * version.record());
        self.export_ms = self.export_ms.max(times.latest_ms).max(reach);
        let count = low_16((bytes.len() - version.header()) / version.record());
        header::write(version, &mut bytes, count, &self.header());
        let counted = version.counted(count);
        self.sequence = self.sequence.wrapping_add(counted);
        let domain = self.config.observation_domain;
        let next = self.sequence;
        Some(Message { bytes, templates: 0, total, templates_only: false, domain, counted, next, deliveries })
    }

    /// When [`Legacy::poll_message`] will have a message without a further push: not in the future if it has one
    /// already, `None` while nothing is queued.
    pub fn poll_timeout(&self) -> Option<MeterTime> {
        let oldest = self.queue.oldest()?;
        let part =
            usize::try_from(self.queue.total().records).is_ok_and(|records| records < self.per_message);
        Some(if part { oldest.after(self.config.linger) } else { oldest })
    }

    /// Records that were pushed and not polled, counted as they will be sent.
    pub const fn queued(&self) -> RecordTotal {
        self.queue.total()
    }

    /// Goes on with the sequence behind an earlier run's messages.
    pub const fn set_sequence(&mut self, sequence: u32) {
        self.sequence = sequence;
    }

    /// Gives back the buffer of a message that was sent, so that a later one need not allocate.
    pub fn recycle(&mut self, mut message: Message) {
        if self.spare.len() < SPARE_BUFFERS {
            self.spare.push(message.bytes);
        }
        if self.spare_deliveries.len() < SPARE_BUFFERS && message.deliveries.capacity() > 0 {
            message.deliveries.clear();
            self.spare_deliveries.push(message.deliveries);
        }
    }
}

#[cfg(test)]
mod tests;
