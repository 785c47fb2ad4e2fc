//! Records of four kinds with their templates: what goes into one message together.
//!
//! IPFIX has one such group. NetFlow v9 has a second one, from the first record on that needs it: times
//! there are milliseconds since system start in 32 bits, and a record from before the last wrap of those
//! (49.7 days), or from before system start, can only be told with times of day. So can one whose end is in
//! another round of them than the export, as after a step of the clock. Aggregates have a group of their own
//! in both protocols, from the first one on: their templates say what a flow's do not.

use super::layout::Layout;
use super::process::flow_keys_set;
use super::queue::Queue;
use super::resend::Resend;
use super::{MS, SessionConfig, SessionError};
use crate::record::{EndReason, FlowRecord};
use crate::template::{Kind, Template};
use crate::wire::Protocol;

/// How long a record may wait for its message, milliseconds: it never does so long.
const WAIT: u64 = 3_600_000;

/// How the templates of a group tell times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    /// As the protocol does.
    OfProtocol,
    /// v9 with milliseconds since 1970.
    OfDay,
    /// Aggregates (RFC 7015), which have more to say; times as the protocol does, or of day in v9.
    Aggregates,
}

impl Times {
    /// What `record` needs if the next export time is `export_ms` or somewhat later.
    pub(super) fn of(record: &FlowRecord, export_ms: u64, protocol: Protocol, system_start_ms: u64) -> Self {
        if record.end_reason == EndReason::Aggregated {
            return Self::Aggregates;
        }
        let wrap = |ms: u64| ms.checked_sub(system_start_ms).map(|uptime| uptime >> 32);
        let at_export = wrap(export_ms);
        let within = wrap(record.start_ms) == at_export
            && wrap(record.end_ms) == at_export
            && export_ms.saturating_sub(record.start_ms) < (1 << 32) - WAIT;
        match protocol {
            Protocol::V9 if !within || at_export.is_none() => Self::OfDay,
            Protocol::V9 | Protocol::Ipfix => Self::OfProtocol,
        }
    }
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) times: Times,
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
        times: Times,
    ) -> Result<Self, SessionError> {
        Ok(Self {
            times,
            layout: Self::layout(protocol, config, times)?,
            queue: Queue::default(),
            resend: Resend::of(config),
        })
    }

    fn layout(protocol: Protocol, config: &SessionConfig, times: Times) -> Result<Layout, SessionError> {
        let template = |kind| match times {
            Times::OfProtocol => Template::new(protocol, kind),
            Times::OfDay => Template::v9_with_times_of_day(kind),
            Times::Aggregates => Template::of_aggregates(protocol, kind),
        };
        Layout::new(protocol, config.max_message, Kind::ALL.map(template), flow_keys_set(protocol, config))
    }

    /// Takes over a new size of messages.
    ///
    /// # Errors
    ///
    /// As for [`Layout::new`]; nothing changes then.
    pub(super) fn resize(&mut self, protocol: Protocol, config: &SessionConfig) -> Result<(), SessionError> {
        self.layout = Self::layout(protocol, config, self.times)?;
        Ok(())
    }

    /// The end of a record that an export at `wall_ms` must not come before, milliseconds since 1970.
    ///
    /// Times of day need no header. One far from now must not draw the export time after it, for that never
    /// goes back, and the other records' times are told by it.
    pub(super) fn latest_ms(&self, end_ms: u64, wall_ms: u64) -> u64 {
        match self.times {
            Times::OfProtocol => end_ms,
            Times::OfDay | Times::Aggregates => end_ms.min(wall_ms.saturating_add(MS)),
        }
    }

    /// When a message is ready, monotonic nanoseconds; not in the future if one is.
    pub(super) fn deadline(&self, linger: u64) -> Option<u64> {
        let oldest = self.queue.oldest()?;
        let full = self.layout.is_full(&self.queue.counts());
        Some(if full { oldest } else { oldest.saturating_add(linger) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Session, SessionConfig};
    use super::Times;
    use crate::clock::Now;
    use crate::record::{Addresses, EndReason, FlowKey, FlowRecord};
    use crate::wire::Protocol;

    const START: u64 = 1_000_000_000_000;
    const WRAP: u64 = 1 << 32;

    fn record(start_ms: u64, end_ms: u64) -> FlowRecord {
        FlowRecord {
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
            start_ms,
            end_ms,
            tcp_flags: 0,
            ttl_min: 1,
            ttl_max: 1,
            length_min: 28,
            length_max: 28,
            end_reason: EndReason::Forced,
            ticket: crate::record::Ticket::NONE,
        }
    }

    fn times(protocol: Protocol, start: u64, end: u64, now: u64) -> Times {
        Times::of(&record(start, end), now, protocol, START)
    }

    #[test]
    fn only_what_the_uptime_of_the_export_can_place_is_told_by_it() {
        for (start, end, now, expected) in [
            (START, START + 5, START + 10, Times::OfProtocol),
            (START - 1, START + 5, START + 10, Times::OfDay),
            (START + WRAP - 2, START + WRAP - 1, START + WRAP, Times::OfDay),
            (START + WRAP - 2, START + WRAP + 1, START + WRAP + 1, Times::OfDay),
            (START + WRAP, START + WRAP + 1, START + WRAP + 2, Times::OfProtocol),
            (START + 5, START + 6, START + 10 * WRAP, Times::OfDay),
            // Of the future, after a step of the clock.
            (START + 5, START + 60_000, START + 10, Times::OfProtocol),
            (START + 3 * WRAP, START + 3 * WRAP, START + 10, Times::OfDay),
            // It might be a round old when it leaves.
            (START + 5, START + 6, START + WRAP - 1, Times::OfDay),
        ] {
            assert_eq!(times(Protocol::V9, start, end, now), expected, "{start} {end} {now}");
            assert_eq!(times(Protocol::Ipfix, start, end, now), Times::OfProtocol);
        }
    }

    #[test]
    fn an_end_far_from_now_moves_no_other_record() {
        let mut session = Session::new(SessionConfig::new(Protocol::V9, START)).unwrap();
        let now = Now { monotonic: 0, wall_ms: START + 60_000 };
        session.push(&record(START + 3 * WRAP, START + 3 * WRAP), now).unwrap();
        session.push(&record(START + 1, START + 2), now).unwrap();
        let messages: Vec<_> = std::iter::from_fn(|| session.poll_message(now, true)).collect();
        for message in messages {
            let seconds = u32::from_be_bytes(message.bytes[8..12].try_into().unwrap());
            assert!(u64::from(seconds) <= now.wall_ms / 1000 + 1, "{seconds}");
        }
    }

    #[test]
    fn times_of_day_have_templates_of_their_own_before_their_data() {
        let mut session = Session::new(SessionConfig::new(Protocol::V9, START)).unwrap();
        let now = Now { monotonic: 0, wall_ms: START + 3 * WRAP };
        session.push(&record(START + 3 * WRAP, START + 3 * WRAP), now).unwrap();
        session.push(&record(START + 1, START + 2), now).unwrap();
        assert_eq!(session.queued().records, 2);
        let messages: Vec<_> = std::iter::from_fn(|| session.poll_message(now, true)).collect();
        assert_eq!(session.queued().records, 0);
        // The set id of the first data set, or the id of the first template.
        let ids: Vec<_> = messages
            .iter()
            .map(|message| {
                let at = if message.templates_only { 24 } else { 20 };
                (message.templates_only, u16::from_be_bytes([message.bytes[at], message.bytes[at + 1]]))
            })
            .collect();
        assert_eq!(ids, [(true, 256), (false, 256), (true, 260), (false, 260)]);
        let old = &messages[3].bytes;
        assert!(old.windows(16).any(|octets| {
            octets[..8] == (START + 1).to_be_bytes() && octets[8..] == (START + 2).to_be_bytes()
        }));
    }
}
