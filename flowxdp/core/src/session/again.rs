//! Going on in a new transport session: messages of an earlier one, or of a spool (RFC 7011 section 8).

use super::Message;
use super::domains::Definition;
use super::templated::Templated;
use crate::clock::Now;

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

    pub(super) fn definitions(&self) -> Vec<Definition> {
        self.groups.iter().flat_map(|group| group.layout.definitions()).collect()
    }

    pub(super) fn again(
        &mut self,
        mut message: Message,
        templates: Option<&[Definition]>,
        now: Now,
    ) -> Vec<Message> {
        let made = self.ready.len();
        // Messages of before hold flow records alone: foreign options templates are of no use to them, and
        // would stand where ours belong.
        let definitions = templates.map_or_else(
            || self.definitions().into_iter().chain(self.flow_keys_definition()).collect(),
            |foreign| foreign.iter().filter(|definition| !definition.is_options).cloned().collect(),
        );
        self.define(message.domain, definitions, now);
        if self.ready.len() > made {
            // Whatever was told now, our own templates are looked at again before our own data.
            self.groups.iter_mut().for_each(|group| group.resend.restart());
            self.process.look_again();
        }
        // What was made before has earlier numbers, and goes first.
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

    const NOW: Now = Now { monotonic: 0, wall_ms: 5_000 };

    fn session() -> Session {
        Session::new(SessionConfig::reliable(0)).unwrap()
    }

    fn sent(session: &mut Session, ports: std::ops::Range<u16>) -> Vec<Message> {
        ports.for_each(|port| session.push(&record(port), NOW).unwrap());
        std::iter::from_fn(|| session.poll_message(NOW, true)).collect()
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
        assert_eq!(first.iter().map(head).collect::<Vec<_>>(), [(0, 2), (0, 275), (4, 256)]);
        let many = sent(&mut session, 0..10_000);
        assert!(many.len() > 60 && many.iter().all(|message| head(message).1 == 256));
    }

    #[test]
    fn a_new_session_begins_with_sequence_0_and_templates_and_old_messages_take_its_numbers() {
        let mut session = session();
        let first = sent(&mut session, 0..3);
        session.begin();
        let again = session.again(first[2].clone(), None, NOW);
        assert_eq!(again.iter().map(head).collect::<Vec<_>>(), [(0, 2), (0, 256)]);
        assert_eq!(again[1].bytes[16..], first[2].bytes[16..]);
        let next = sent(&mut session, 3..4);
        assert_eq!(next.iter().map(head).collect::<Vec<_>>(), [(3, 275), (7, 256)]);
    }

    #[test]
    fn foreign_templates_are_withdrawn_before_ours_come_back() {
        let mut session = session();
        let ours = sent(&mut session, 0..1);
        let foreign = vec![Definition { id: 256, is_options: false, octets: vec![1, 0, 0, 1, 0, 8, 0, 4] }];
        let again = session.again(ours[2].clone(), Some(&foreign), NOW);
        // The withdrawal of 256, then its new definition, in one message; then the data.
        assert_eq!(again.len(), 2);
        assert_eq!(again[0].bytes[16..32], [0, 2, 0, 8, 1, 0, 0, 0, 0, 2, 0, 12, 1, 0, 0, 1]);
        let back = sent(&mut session, 1..2);
        assert_eq!(back.len(), 2);
        assert_eq!(back[0].bytes[16..24], [0, 2, 0, 8, 1, 0, 0, 0]);
        assert_eq!(head(&back[1]).1, 256);
    }
}
