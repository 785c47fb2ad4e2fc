//! Going on in a new transport session: messages of an earlier one, or of a spool (RFC 7011 section 8).

use super::Message;
use super::domains::Definition;
use super::templated::Templated;
use crate::clock::Now;
use crate::exporting::template::{Kind, RecordFormat, Template};
use crate::exporting::wire::set_ids;

impl Templated {
    pub(super) fn begin(&mut self) {
        self.domains.forget();
        self.ready.clear();
        self.restart();
    }

    pub(super) fn poll_stored(&mut self, now: Now, flush: bool) -> Option<Message> {
        let (deadline, group) = self.next()?;
        if !flush && now.monotonic < deadline {
            return None;
        }
        let message = self.data_message(group, now, false);
        self.domains.roll_back(message.domain, message.counted);
        Some(Message { next: 0, ..message })
    }

    /// Of every form, whether a record needed it yet or not: a file can only begin with them.
    pub(super) fn definitions(&self) -> Vec<Definition> {
        let of = |format| {
            Kind::ALL
                .map(|kind| Definition::of(&Template::new(self.protocol, format, kind, &self.config.choice)))
        };
        let mut definitions: Vec<Definition> = RecordFormat::all(&self.config.choice).flat_map(of).collect();
        definitions.sort_by_key(|definition| definition.id);
        definitions
    }

    /// The templates that a message of flow records needs: of `templates`, where they may not be ours.
    ///
    /// Foreign options templates are of no use to it, and would stand where ours belong.
    fn needed(&self, message: &Message, templates: Option<&[Definition]>) -> Vec<Definition> {
        let Some(templates) = templates else {
            return self.group_of(message).map_or_else(Vec::new, |group| self.of_group(group));
        };
        let sets: Vec<u16> = set_ids(self.protocol, &message.bytes).collect();
        let needed = templates.iter().filter(|it| !it.is_options && sets.contains(&it.id));
        needed.cloned().collect()
    }

    pub(super) fn again(
        &mut self,
        mut message: Message,
        templates: Option<&[Definition]>,
        now: Now,
    ) -> Vec<Message> {
        message.without_templates();
        let made = self.ready.len();
        let needed = self.needed(&message, templates);
        self.lead(&mut message, needed, now);
        if message.templates > 0 || self.ready.len() > made {
            // Another agent's templates may have replaced ours, so ours are checked again before our own
            // data.
            self.groups.iter_mut().for_each(|group| group.resend.restart());
            self.process.look_again();
        }
        // Messages made before have earlier numbers and go first.
        let mut messages: Vec<Message> = self.ready.drain(..).collect();
        self.number(&mut message, now);
        messages.push(message);
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::record;
    use super::super::{Definition, Message, Session, SessionConfig};
    use crate::clock::Now;
    use crate::exporting::wire::{Protocol, set_ids};
    use crate::record::EndReason;

    const NOW: Now = Now::new(0, 5_000);

    fn session() -> Session {
        Session::new(SessionConfig::reliable(0)).unwrap()
    }

    fn sent(session: &mut Session, ports: std::ops::Range<u16>) -> Vec<Message> {
        ports.for_each(|port| session.push(&record(port), NOW).unwrap());
        std::iter::from_fn(|| session.poll_message(NOW, true)).collect()
    }

    fn ids(message: &Message) -> Vec<u16> {
        set_ids(Protocol::Ipfix, &message.bytes).collect()
    }

    /// Sequence and first set id.
    fn head(message: &Message) -> (u32, u16) {
        let bytes = &message.bytes;
        (u32::from_be_bytes(bytes[8..12].try_into().unwrap()), u16::from_be_bytes([bytes[16], bytes[17]]))
    }

    #[test]
    fn templates_go_out_once_in_a_session() {
        let mut session = session();
        let first = sent(&mut session, 0..3);
        // Templates, flow keys (four records), data.
        assert_eq!(first.iter().map(head).collect::<Vec<_>>(), [(0, 2), (0, 275), (4, 292)]);
        let many = sent(&mut session, 0..10_000);
        assert!(many.len() > 60 && many.iter().all(|message| head(message).1 == 292));
    }

    #[test]
    fn a_new_session_begins_with_sequence_0_and_templates_and_old_messages_take_its_numbers() {
        let mut session = session();
        let first = sent(&mut session, 0..3);
        session.begin();
        let again = session.again(first[2].clone(), None, NOW);
        // The templates that it needs stand in front of its data.
        assert_eq!(again.iter().map(ids).collect::<Vec<_>>(), [[2, 3, 292]]);
        assert_eq!(head(&again[0]).0, 0);
        let mut data = again[0].clone();
        data.without_templates();
        assert_eq!(data.bytes[16..], first[2].bytes[16..]);
        let next = sent(&mut session, 3..4);
        assert_eq!(next.iter().map(head).collect::<Vec<_>>(), [(3, 275), (7, 292)]);
    }

    #[test]
    fn foreign_templates_are_withdrawn_before_ours_come_back() {
        let mut session = session();
        let ours = sent(&mut session, 0..1);
        let foreign = vec![Definition { id: 292, is_options: false, octets: vec![1, 36, 0, 1, 0, 8, 0, 4] }];
        let again = session.again(ours[2].clone(), Some(&foreign), NOW);
        // The withdrawal of 292, then its new definition, in one message; then the data.
        assert_eq!(again.len(), 2);
        assert_eq!(again[0].bytes[16..32], [0, 2, 0, 8, 1, 36, 0, 0, 0, 2, 0, 12, 1, 36, 0, 1]);
        let back = sent(&mut session, 1..2);
        assert_eq!(back.len(), 2);
        assert_eq!(back[0].bytes[16..24], [0, 2, 0, 8, 1, 36, 0, 0]);
        assert_eq!(head(&back[1]).1, 292);
    }

    #[test]
    fn aggregates_that_go_out_again_bring_their_templates_once_in_each_session() {
        let mut session = session();
        let aggregate = record(1).with(|flow| flow.end_reason = EndReason::Aggregated);
        session.push(&record(0), NOW).unwrap();
        session.push(&aggregate, NOW).unwrap();
        let first: Vec<Message> = std::iter::from_fn(|| session.poll_message(NOW, true)).collect();
        // Templates, flow keys, flows; aggregates behind theirs; the keys of all eight.
        assert_eq!(
            first.iter().map(ids).collect::<Vec<_>>(),
            [&[2, 3][..], &[275], &[292], &[2, 300], &[275]]
        );
        for _ in 0..2 {
            session.begin();
            let again = |session: &mut Session, place: usize| session.again(first[place].clone(), None, NOW);
            assert_eq!(again(&mut session, 2).iter().map(ids).collect::<Vec<_>>(), [[2, 3, 292]]);
            assert_eq!(again(&mut session, 3).iter().map(ids).collect::<Vec<_>>(), [[2, 300]]);
            assert_eq!(again(&mut session, 3).iter().map(ids).collect::<Vec<_>>(), [[300]]);
        }
    }
}
