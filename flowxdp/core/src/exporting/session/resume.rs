//! Going on after messages were refused: the collector may have started anew and know no template.

use std::collections::VecDeque;

use super::group::Group;
use super::resend::{Due, How};
use super::templated::Templated;
use super::{MS, Message, SessionConfig, SessionError};
use crate::clock::Now;

impl Templated {
    pub(super) fn set_max_message(&mut self, max: usize) -> Result<(), SessionError> {
        let config = SessionConfig { max_message: max, ..self.config.clone() };
        for group in &mut self.groups {
            group.resize(self.protocol, &config)?;
        }
        self.config = config;
        Ok(())
    }

    pub(super) fn resume(&mut self, unsent: VecDeque<Message>, now: Now) -> VecDeque<Message> {
        for message in unsent.iter().chain(&self.ready) {
            self.domains.roll_back(message.domain, message.counted);
        }
        self.ready.clear();
        self.restart();
        let data = unsent.into_iter().filter(|message| !message.templates_only).collect::<Vec<_>>();
        if data.is_empty() {
            return VecDeque::new();
        }
        // As at a start: a collector that knows no sampler yet may drop flows.
        match self.process.offered.take() {
            Some(offered) => self.offer(&offered, now, true),
            None => self.tell_at_start(now),
        }
        for mut message in data.into_iter().flat_map(|message| self.divide(message)).collect::<Vec<_>>() {
            self.followed();
            self.lead_again(&mut message, now);
            self.number(&mut message, now);
            self.ready.push_back(message);
        }
        std::mem::take(&mut self.ready)
    }

    /// Gives data that were not received the templates that are due: inside, or before it where the collector
    /// has none of them and there is no room.
    fn lead_again(&mut self, message: &mut Message, now: Now) {
        let Some(group) = self.group_of(message) else {
            // A change of the configuration came between.
            if let Some(wanted) = self.former(message).filter(|_| message.templates == 0) {
                self.lead(message, wanted, now);
            }
            return;
        };
        let Group { resend, layout, .. } = &self.groups[group];
        let due = resend.due(now.monotonic);
        let fits = layout.has_room(message.bytes.len());
        let how = if fits || message.templates > 0 { How::WithData } else { How::Alone };
        if message.templates == 0 {
            if due == Due::No || (due == Due::Again && !fits) {
                return;
            }
            let wanted = self.of_group(group);
            self.lead(message, wanted, now);
        }
        self.groups[group].resend.sent(now.monotonic, how);
    }

    /// Gives a message that was made before the header of one that is sent now.
    pub(super) fn number(&mut self, message: &mut Message, now: Now) {
        self.export_secs = self.export_secs.max(now.wall_ms / MS);
        let header = self.header(message.domain);
        self.protocol.stamp(&mut message.bytes, &header);
        self.domains.advance(message.domain, message.counted);
        message.next = self.domains.sequence(message.domain);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::super::samples::record;
    use super::super::{Message, Session, SessionConfig};
    use crate::clock::Now;
    use crate::exporting::wire::Protocol;

    fn word(message: &Message, at: usize) -> u32 {
        u32::from_be_bytes(message.bytes[at..at + 4].try_into().unwrap())
    }

    fn poll_all(session: &mut Session, now: Now) -> VecDeque<Message> {
        std::iter::from_fn(|| session.poll_message(now, true)).collect()
    }

    /// The reading of a collector that refused some messages and then returned.
    fn sequences(protocol: Protocol, at: usize, export_time: usize) -> (Vec<u32>, u32) {
        let mut session = Session::new(SessionConfig::new(protocol, 0)).unwrap();
        let now = Now::new(0, 1_000_000);
        for port in 0..100 {
            session.push(&record(port), now).unwrap();
        }
        let refused = poll_all(&mut session, now);
        assert!(refused.len() > 3 && refused[0].templates_only);
        let later = Now::new(5_000_000_000, 1_005_000);
        let mut sent = session.resume(refused.clone(), later);
        assert!(sent[0].templates_only);
        assert_eq!(sent.len(), refused.len());
        session.push(&record(100), later).unwrap();
        sent.extend(poll_all(&mut session, later));
        let times: Vec<u32> = sent.iter().map(|message| word(message, export_time)).collect();
        assert!(times.iter().all(|time| *time == 1005), "{times:?}");
        let next = sent.iter().take(sent.len() - 1).map(|message| message.total.records).sum::<u64>();
        (sent.iter().map(|message| word(message, at)).collect(), u32::try_from(next).unwrap())
    }

    #[test]
    fn refused_messages_take_the_numbers_of_a_first_transmission() {
        let (sequences_v9, _) = sequences(Protocol::V9, 12, 8);
        assert!(sequences_v9.iter().copied().eq(0..u32::try_from(sequences_v9.len()).unwrap()));
        let (sequences_ipfix, records_before) = sequences(Protocol::Ipfix, 8, 4);
        assert_eq!(sequences_ipfix[..2], [0, 0]);
        assert!(sequences_ipfix.is_sorted());
        assert_eq!(*sequences_ipfix.last().unwrap(), records_before);
    }

    #[test]
    fn refused_templates_alone_come_again_with_the_next_data() {
        let mut session = Session::new(SessionConfig::new(Protocol::V9, 0)).unwrap();
        let now = Now::new(0, 1_000_000);
        session.push(&record(1), now).unwrap();
        let templates = session.poll_message(now, true).unwrap();
        assert!(session.resume(VecDeque::from([templates]), now).is_empty());
        let sent = poll_all(&mut session, now);
        assert_eq!(sent.len(), 2);
        assert!(sent[0].templates_only && !sent[1].templates_only);
        assert_eq!((word(&sent[0], 12), word(&sent[1], 12)), (0, 1));
    }
}
