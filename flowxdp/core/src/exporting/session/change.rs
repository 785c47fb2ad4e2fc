//! Another configuration in a session that stands: other fields, another domain, other intervals.

use super::domains::Definition;
use super::templated::Templated;
use super::{Message, SessionConfig, SessionError};
use crate::exporting::wire::set_ids;

/// Templates of before that messages on the way may need: each group's, once.
#[derive(Debug, Default)]
pub(super) struct Former(Vec<Vec<Definition>>);

impl Former {
    /// The templates of the group that a set of the message belongs to.
    fn find(&self, sets: impl Iterator<Item = u16>) -> Option<&Vec<Definition>> {
        let sets: Vec<u16> = sets.collect();
        let is_its = |it: &Definition| !it.is_options && sets.contains(&it.id);
        self.0.iter().rev().find(|group| group.iter().any(is_its))
    }
}

impl Templated {
    /// Sequences and the templates that a transport session knows stay: RFC 7011 section 8 asks for a withdrawal
    /// before an id has another meaning there.
    pub(super) fn change(&mut self, config: SessionConfig) -> Result<(), SessionError> {
        let mut new = Self::new(self.protocol, config)?;
        std::mem::swap(&mut new.domains, &mut self.domains);
        std::mem::swap(&mut new.former, &mut self.former);
        for group in 0..self.groups.len() {
            let definitions = self.of_group(group);
            if !new.former.0.contains(&definitions) {
                new.former.0.push(definitions);
            }
        }
        new.statistics = self.statistics;
        new.export_secs = new.export_secs.max(self.export_secs);
        *self = new;
        Ok(())
    }

    /// The templates of a message from before a change.
    pub(super) fn former(&self, message: &Message) -> Option<Vec<Definition>> {
        self.former.find(set_ids(self.protocol, &message.bytes)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::super::samples::record;
    use super::super::{Message, Session, SessionConfig};
    use crate::clock::Now;
    use crate::elements::Choice;
    use crate::exporting::protocol::Protocol;
    use crate::exporting::wire::{self, set_ids};
    use flowxdp_common::field::Groups;

    const NOW: Now = Now::new(0, 1_000_000);

    fn polled(session: &mut Session, ports: std::ops::Range<u16>) -> VecDeque<Message> {
        ports.for_each(|port| session.push(&record(port), NOW).unwrap());
        std::iter::from_fn(|| session.poll_message(NOW, true)).collect()
    }

    fn word(message: &Message, at: usize) -> u32 {
        u32::from_be_bytes(message.bytes[at..at + 4].try_into().unwrap())
    }

    fn other(config: &SessionConfig) -> SessionConfig {
        let terms = ["default", "-minimumTTL"].map(str::to_owned);
        let (choice, _) = Choice::parse(Groups::BASE, &terms).unwrap();
        SessionConfig { choice, ..config.clone() }
    }

    fn sets(message: &Message) -> Vec<u16> {
        set_ids(wire::Protocol::Ipfix, &message.bytes).collect()
    }

    #[test]
    fn the_sequence_continues_and_templates_come_before_data_with_other_fields() {
        for (protocol, at) in [(Protocol::Ipfix, 8), (Protocol::V9, 12), (Protocol::V5, 16)] {
            let config = SessionConfig::new(protocol, 0);
            let mut session = Session::new(config.clone()).unwrap();
            let before = polled(&mut session, 0..50);
            session.change(SessionConfig { max_message: 1000, ..other(&config) }).unwrap();
            let after = polled(&mut session, 0..50);
            assert_eq!(word(&after[0], at), before.back().unwrap().next, "{protocol}");
            assert!(after.iter().all(|message| message.bytes.len() <= 1000));
            assert_eq!(after[0].templates_only, protocol != Protocol::V5);
        }
    }

    #[test]
    fn a_refused_message_of_before_has_its_own_templates_again() {
        let config = SessionConfig::new(Protocol::Ipfix, 0);
        let mut session = Session::new(config.clone()).unwrap();
        let refused: VecDeque<_> =
            polled(&mut session, 0..3).into_iter().filter(|it| !it.templates_only).collect();
        let set = *sets(&refused[0]).last().unwrap();
        session.change(other(&config)).unwrap();
        let stripped = refused.into_iter().map(|mut message| {
            message.without_templates();
            message
        });
        let again = session.resume(stripped.collect(), NOW);
        let data = again.iter().find(|message| sets(message).contains(&set)).unwrap();
        assert_eq!((data.total.records, sets(data)[0]), (3, 2));
        assert!(!sets(&again[0]).contains(&set));
    }

    #[test]
    fn a_connection_learns_a_template_once_and_another_domain_has_its_own() {
        let config = SessionConfig::reliable(0);
        let mut session = Session::new(config.clone()).unwrap();
        session.begin();
        polled(&mut session, 0..3);
        session.change(SessionConfig { options_interval: 7, ..config.clone() }).unwrap();
        assert!(polled(&mut session, 0..3).iter().all(|message| !sets(message).contains(&2)));
        session.change(SessionConfig { observation_domain: 7, ..config }).unwrap();
        let messages = polled(&mut session, 0..3);
        assert!(sets(&messages[0]).contains(&2) && messages.iter().all(|message| message.domain == 7));
        assert_eq!(word(&messages[0], 8), 0);
    }
}
