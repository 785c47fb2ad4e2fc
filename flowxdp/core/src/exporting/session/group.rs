//! Records of one format with their templates, which share a message.
//!
//! A session begins with the group of usual records; the others come with the first record that needs them.
//!
//! - Aggregates have elements that flows do not have (RFC 7015).
//! - In IPFIX TCP flags have one octet, which every decoder reads, but for a record with one of the upper
//!   four (RFC 9565).
//! - In NetFlow v9 times are milliseconds since system start in 32 bits. A record from before the last wrap
//!   (49.7 days), or from before system start, needs times of day. A record whose end is in another round of
//!   the 32 bits than the export time, as after a step of the clock, needs them too.
//! - A record with a text has a field more.

use super::layout::Layout;
use super::process::flow_keys_set;
use super::queue::Queue;
use super::resend::Resend;
use super::{MS, SessionConfig, SessionError};
use crate::clock::MeterTime;
use crate::exporting::template::{Kind, RecordFormat, Template};
use crate::exporting::wire::Protocol;
use crate::record::{EndReason, FlowRecord};

/// Upper bound of a record's wait for its message, milliseconds.
const WAIT: u64 = 3_600_000;

/// TCP flags that one octet holds.
const ONE_OCTET: u16 = 0xff;

/// The form that `record` needs if the next export time is `export_ms` or somewhat later.
pub(super) fn format(
    record: &FlowRecord,
    export_ms: u64,
    protocol: Protocol,
    system_start_ms: u64,
) -> RecordFormat {
    let wide = match protocol {
        Protocol::Ipfix => record.tcp_flags() > ONE_OCTET,
        Protocol::V9 => !has_uptimes(record, export_ms, system_start_ms),
    };
    RecordFormat { aggregates: record.end_reason() == EndReason::Aggregated, wide, text: None }
}

/// Whether a v9 header of `export_ms` or somewhat later says when the record was.
fn has_uptimes(record: &FlowRecord, export_ms: u64, system_start_ms: u64) -> bool {
    let Some(uptime) = export_ms.checked_sub(system_start_ms) else { return false };
    // The round of sysUptime that the export is in: a time of another one has a bit above the low 32 set.
    let round = system_start_ms + (uptime >> 32 << 32);
    let (start_ms, end_ms) = (record.start_ms(), record.end_ms());
    (start_ms.wrapping_sub(round) | end_ms.wrapping_sub(round)) >> 32 == 0
        && export_ms.saturating_sub(start_ms) < (1 << 32) - WAIT
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) format: RecordFormat,
    pub(super) layout: Layout,
    pub(super) queue: Queue,
    pub(super) resend: Resend,
}

impl Group {
    /// # Errors
    ///
    /// As for [`Layout::new`].
    pub(super) fn new(
        protocol: Protocol,
        config: &SessionConfig,
        format: RecordFormat,
    ) -> Result<Self, SessionError> {
        Ok(Self {
            format,
            layout: Self::layout(protocol, config, format)?,
            queue: Queue::new(&config.choice.batch()),
            resend: Resend::of(config),
        })
    }

    fn layout(
        protocol: Protocol,
        config: &SessionConfig,
        format: RecordFormat,
    ) -> Result<Layout, SessionError> {
        let templates = Kind::ALL.map(|kind| Template::new(protocol, format, kind, &config.choice));
        Layout::new(protocol, config.max_message, templates, flow_keys_set(protocol, config))
    }

    /// Whether a set with this id holds records of the group.
    pub(super) fn has(&self, set: u16) -> bool {
        self.layout.templates().iter().any(|template| template.id() == set)
    }

    /// Takes over a new size of messages.
    ///
    /// # Errors
    ///
    /// As for [`Layout::new`]; nothing changes then.
    pub(super) fn resize(&mut self, protocol: Protocol, config: &SessionConfig) -> Result<(), SessionError> {
        self.layout = Self::layout(protocol, config, self.format)?;
        Ok(())
    }

    /// The end of a record that an export at `wall_ms` must not come before, milliseconds since 1970.
    ///
    /// Times of day need no header. One far from now must not draw the export time after it, for that never
    /// goes back, and the other records' times are told by it.
    pub(super) fn latest_ms(&self, end_ms: u64, wall_ms: u64) -> u64 {
        if self.format.wide { end_ms.min(wall_ms.saturating_add(MS)) } else { end_ms }
    }

    /// When a message is ready; not in the future if one is.
    pub(super) fn deadline(&self, linger: u64) -> Option<MeterTime> {
        let oldest = self.queue.oldest()?;
        let full = self.layout.is_full(&self.queue.octets(&self.layout));
        Some(if full { oldest } else { oldest.after(linger) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Session, SessionConfig};
    use super::format;
    use crate::clock::Now;
    use crate::exporting::template::RecordFormat;
    use crate::exporting::wire::{Protocol, set_ids};
    use crate::record::FlowRecord;
    use crate::samples;

    const START: u64 = 1_000_000_000_000;
    const WRAP: u64 = 1 << 32;

    fn record(start_ms: u64, end_ms: u64) -> FlowRecord {
        samples::udp(1).with(|flow| (flow.start_ms, flow.end_ms) = (start_ms, end_ms))
    }

    const TIMES_OF_DAY: RecordFormat = RecordFormat { wide: true, ..RecordFormat::USUAL };

    fn times(protocol: Protocol, start: u64, end: u64, now: u64) -> RecordFormat {
        format(&record(start, end), now, protocol, START)
    }

    #[test]
    fn only_what_the_uptime_of_the_export_can_place_is_told_by_it() {
        for (start, end, now, expected) in [
            (START, START + 5, START + 10, RecordFormat::USUAL),
            (START - 1, START + 5, START + 10, TIMES_OF_DAY),
            (START + WRAP - 2, START + WRAP - 1, START + WRAP, TIMES_OF_DAY),
            (START + WRAP - 2, START + WRAP + 1, START + WRAP + 1, TIMES_OF_DAY),
            (START + WRAP, START + WRAP + 1, START + WRAP + 2, RecordFormat::USUAL),
            (START + 5, START + 6, START + 10 * WRAP, TIMES_OF_DAY),
            // Of the future, after a step of the clock.
            (START + 5, START + 60_000, START + 10, RecordFormat::USUAL),
            (START + 3 * WRAP, START + 3 * WRAP, START + 10, TIMES_OF_DAY),
            // The record might be a round old when it leaves.
            (START + 5, START + 6, START + WRAP - 1, TIMES_OF_DAY),
        ] {
            assert_eq!(times(Protocol::V9, start, end, now), expected, "{start} {end} {now}");
            assert_eq!(times(Protocol::Ipfix, start, end, now), RecordFormat::USUAL);
        }
    }

    #[test]
    fn an_end_far_from_now_moves_no_other_record() {
        let mut session = Session::new(SessionConfig::new(Protocol::V9, START)).unwrap();
        let now = Now::new(0, START + 60_000);
        session.push(&record(START + 3 * WRAP, START + 3 * WRAP), now).unwrap();
        session.push(&record(START + 1, START + 2), now).unwrap();
        let messages: Vec<_> = std::iter::from_fn(|| session.poll_message(now, true)).collect();
        for message in messages {
            let seconds = u32::from_be_bytes(message.bytes[8..12].try_into().unwrap());
            assert!(u64::from(seconds) <= now.wall_ms / 1000 + 1, "{seconds}");
        }
    }

    #[test]
    fn only_flags_that_one_octet_does_not_hold_have_two() {
        for flags in 0..0x1000 {
            let record = record(START, START).with(|flow| flow.tcp_flags = flags);
            let wide = flags & 0xf00 != 0;
            assert_eq!(
                format(&record, START, Protocol::Ipfix, START),
                RecordFormat { wide, ..RecordFormat::USUAL }
            );
            assert_eq!(format(&record, START, Protocol::V9, START), RecordFormat::USUAL);
        }
    }

    #[test]
    fn times_of_day_have_templates_of_their_own_with_their_first_data() {
        let mut session = Session::new(SessionConfig::new(Protocol::V9, START)).unwrap();
        let now = Now::new(0, START + 3 * WRAP);
        session.push(&record(START + 3 * WRAP, START + 3 * WRAP), now).unwrap();
        session.push(&record(START + 1, START + 2), now).unwrap();
        assert_eq!(session.queued().records, 2);
        let messages: Vec<_> = std::iter::from_fn(|| session.poll_message(now, true)).collect();
        assert_eq!(session.queued().records, 0);
        let ids: Vec<Vec<u16>> =
            messages.iter().map(|message| set_ids(Protocol::V9, &message.bytes).collect()).collect();
        assert_eq!(ids, [vec![0], vec![0, 288], vec![0, 292]]);
        // Behind the FlowSet's header: the id of the first template.
        assert_eq!(messages[2].bytes[24..26], 292_u16.to_be_bytes());
        let old = &messages[2].bytes;
        assert!(old.windows(16).any(|octets| {
            octets[..8] == (START + 1).to_be_bytes() && octets[8..] == (START + 2).to_be_bytes()
        }));
    }
}
