//! Resuming after refused messages, and draining the queue for another collector.

use std::collections::VecDeque;

use super::header::{self, Header};
use super::{Legacy, LegacyConfig, SPAN};
use crate::clock::Now;
use crate::exporting::message::{Message, SessionError};
use crate::record::Batch;

impl Legacy {
    /// From now on messages have at most `max` octets.
    ///
    /// # Errors
    ///
    /// As for [`Legacy::new`]; nothing changes then.
    pub fn set_max_message(&mut self, max: usize) -> Result<(), SessionError> {
        let config = LegacyConfig { max_message: max, ..self.config.clone() };
        self.per_message = config.per_message()?;
        self.config = config;
        Ok(())
    }

    /// Takes the last polled messages, in order, that no collector received, and gives replacements: the same
    /// records in messages of at most the present largest size.
    ///
    /// Sequence and export time are those of a first transmission, so that the collector misses nothing.
    pub fn resume(&mut self, unsent: VecDeque<Message>, now: Now) -> VecDeque<Message> {
        for message in &unsent {
            self.sequence = self.sequence.wrapping_sub(message.counted);
        }
        let mut unsent: VecDeque<_> = unsent.into_iter().flat_map(|message| self.divide(message)).collect();
        let mut reach = self.queue.reach(now.wall_ms);
        let mut times = Vec::with_capacity(unsent.len());
        // No time is after the next one, so they come from the last to the first.
        for message in unsent.iter().rev() {
            let (export_ms, system_start_ms, earliest_ms) = self.times(&message.bytes);
            reach = reach.min(earliest_ms.saturating_add(SPAN));
            times.push((export_ms.max(reach), system_start_ms));
        }
        for (message, (export_ms, system_start_ms)) in unsent.iter_mut().zip(times.into_iter().rev()) {
            self.export_ms = self.export_ms.max(export_ms);
            // That by which its records were written.
            let header = Header { export_ms, system_start_ms, ..self.header() };
            header::stamp(self.config.version, &mut message.bytes, &header);
            self.sequence = self.sequence.wrapping_add(message.counted);
            message.next = self.sequence;
        }
        unsent
    }

    /// Export time of a message, the system's start by it (modulo 2^32), and when the first of its records
    /// starts, milliseconds since 1970.
    fn times(&self, bytes: &[u8]) -> (u64, u64, u64) {
        let (export_ms, uptime_ms) = header::times(bytes, self.export_ms);
        let firsts = self.layout.firsts(&bytes[self.config.version.header()..]);
        let before = firsts.map(|first| uptime_ms.wrapping_sub(first)).max().unwrap_or_default();
        (export_ms, export_ms.wrapping_sub(uptime_ms.into()), export_ms.saturating_sub(before.into()))
    }

    /// Discards the queue.
    pub fn clear(&mut self) {
        drop(self.queue.drain());
    }

    /// Takes out everything that is queued, the oldest first.
    ///
    /// Records come as they were pushed: one whose counters need several here is one, or the rest of one.
    /// So they can be fewer than [`Legacy::queued`] counts, with the same packets and octets.
    pub fn drain(&mut self) -> Batch {
        self.queue.drain()
    }

    /// The header of a message that is sent now.
    pub(super) const fn header(&self) -> Header {
        Header {
            export_ms: self.export_ms,
            system_start_ms: self.config.system_start_ms,
            sequence: self.sequence,
            domain: self.config.observation_domain,
        }
    }
}
