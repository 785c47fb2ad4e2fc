//! Options data: of the whole process in observation domain 0, and the flow keys in the flows' own.

use super::domains::Definition;
use super::resend::{Due, Resend};
use super::templated::{Content, Templated};
use super::{SessionConfig, modulo_32};
use crate::clock::Now;
use crate::elements::options::{OPTIONS, OptionsTemplate};
use crate::options::{Interface, Snapshot, Source, describe, records};
use crate::wire::Protocol;

/// The domain of what is true of the whole process (RFC 7011 section 3.1).
const PROCESS_WIDE: u32 = 0;

/// What was sent of process-wide options.
#[derive(Debug)]
pub(super) struct Process {
    resend: Resend,
    /// Monotonic nanoseconds.
    sent_at: Option<u64>,
    interfaces: Vec<Interface>,
    /// Templates whose flow keys the collector was told.
    keys_told: usize,
}

impl Process {
    pub(super) fn new(config: &SessionConfig) -> Self {
        let resend = Resend::of(config);
        Self { resend, sent_at: None, interfaces: Vec::new(), keys_told: 0 }
    }

    pub(super) fn restart(&mut self) {
        self.resend.restart();
        self.sent_at = None;
        self.keys_told = 0;
    }

    /// Looks at the templates again before the next options data.
    pub(super) fn look_again(&mut self) {
        self.resend.restart();
    }

    fn is_due(&self, snapshot: &Snapshot, now: Now, interval: u64) -> bool {
        self.sent_at.is_none_or(|at| now.monotonic.saturating_sub(at) >= interval)
            || self.interfaces != snapshot.interfaces
    }
}

/// The options templates of the whole process that a protocol has.
fn process_wide(protocol: Protocol) -> impl Iterator<Item = &'static OptionsTemplate> {
    OPTIONS.iter().filter(move |template| !template.is_of_flows() && template.is_in(protocol))
}

impl Templated {
    /// Makes the messages of process-wide options, if they are due.
    pub(super) fn offer(&mut self, snapshot: &Snapshot, now: Now, force: bool) {
        if !force && !self.process.is_due(snapshot, now, self.config.options_interval) {
            return;
        }
        self.process.sent_at = Some(now.monotonic);
        self.process.interfaces.clone_from(&snapshot.interfaces);
        let (statistics, protocol) = (self.statistics, self.protocol);
        let source = |interface| Source { snapshot, statistics, protocol, interface, flow_keys: (0, 0) };
        let mut sets: Vec<(u16, Vec<u8>)> = Vec::new();
        // Padding is below four octets.
        let room = self.config.max_message - protocol.header() - protocol.set(3);
        for template in process_wide(self.protocol) {
            for number in 0..records(template.kind, snapshot) {
                let mut octets = Vec::new();
                source(snapshot.interfaces.get(number)).encode(template, room, &mut octets);
                sets.push((template.id, octets));
            }
        }
        let mut rest = sets.as_slice();
        while !rest.is_empty() {
            // Looked at before each: many interfaces take many messages.
            self.tell_process_wide(now);
            rest = self.tell(rest, now);
        }
    }

    /// Makes the messages of the process-wide options templates, if they are due.
    fn tell_process_wide(&mut self, now: Now) {
        if self.process.resend.due(now.monotonic) != Due::No {
            let definitions = process_wide(self.protocol).map(|template| self.definition(template)).collect();
            self.define(PROCESS_WIDE, definitions, now);
            self.process.resend.sent(now.monotonic, false);
        }
    }

    /// Makes one message of as many of these options records as fit; gives those that do not.
    fn tell<'a>(&mut self, records: &'a [(u16, Vec<u8>)], now: Now) -> &'a [(u16, Vec<u8>)] {
        let mut writer = self.writer();
        let mut rest = records;
        while let Some((id, _)) = rest.first() {
            let (mut count, mut length) = (0, 0);
            for (_, octets) in rest.iter().take_while(|(other, _)| other == id) {
                length += octets.len();
                let fits = writer.len() + self.protocol.set(length) <= self.config.max_message;
                // The first one fits in any case.
                if !fits && rest.len() < records.len() + count {
                    break;
                }
                count += 1;
            }
            if count == 0 {
                break;
            }
            writer.set(*id, |set| rest[..count].iter().for_each(|(_, octets)| set.next().extend(octets)));
            rest = &rest[count..];
        }
        let options = modulo_32((records.len() - rest.len()) as u64);
        let message =
            self.finish(writer, now, Content { domain: PROCESS_WIDE, options, ..Content::default() });
        self.process.resend.followed();
        self.ready.push_back(message);
        rest
    }

    /// Makes the message that tells the fields of the flow key for each template of flow records: behind
    /// the templates each time over UDP, and once in a session over TCP and TLS.
    pub(super) fn tell_flow_keys(&mut self, now: Now) {
        let Some(template) = self.flow_keys() else { return };
        let domain = self.config.observation_domain;
        let keys: Vec<(u16, u64)> =
            self.groups.iter().flat_map(|group| group.layout.templates()).map(|it| it.flow_keys()).collect();
        if self.config.reliable && self.process.keys_told == keys.len() {
            return;
        }
        self.process.keys_told = keys.len();
        let (statistics, protocol) = (self.statistics, self.protocol);
        let snapshot = Snapshot::default();
        let mut writer = self.writer();
        writer.set(template.id, |set| {
            for &flow_keys in &keys {
                let source = Source { snapshot: &snapshot, statistics, protocol, interface: None, flow_keys };
                source.encode(template, usize::MAX, set.next());
            }
        });
        let options = modulo_32(keys.len() as u64);
        let message = self.finish(writer, now, Content { domain, options, ..Content::default() });
        self.ready.push_back(message);
    }

    /// The template of flow keys, where they are told.
    fn flow_keys(&self) -> Option<&'static OptionsTemplate> {
        flow_keys(self.protocol, &self.config)
    }

    /// The definition of that template, which goes with those of the flow records.
    pub(super) fn flow_keys_definition(&self) -> Option<Definition> {
        self.flow_keys().map(|template| self.definition(template))
    }

    fn definition(&self, template: &OptionsTemplate) -> Definition {
        let mut octets = Vec::new();
        describe(template, self.protocol, &mut octets);
        Definition { id: template.id, is_options: true, octets }
    }
}

fn flow_keys(protocol: Protocol, config: &SessionConfig) -> Option<&'static OptionsTemplate> {
    let told = |template: &&OptionsTemplate| template.is_of_flows() && template.is_in(protocol);
    OPTIONS.iter().filter(|_| config.flow_keys).find(told)
}

/// Octets of the set with the template of flow keys, 0 where they are not told.
pub(super) fn flow_keys_set(protocol: Protocol, config: &SessionConfig) -> usize {
    let mut octets = Vec::new();
    if let Some(template) = flow_keys(protocol, config) {
        describe(template, protocol, &mut octets);
    }
    if octets.is_empty() { 0 } else { protocol.set(octets.len()) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::RECORD;
    use super::super::{Message, Session, SessionConfig, SessionError};
    use crate::clock::{Now, SECOND};
    use crate::options::{Interface, Snapshot};
    use crate::protocol::Protocol;

    fn at(second: u64) -> Now {
        Now { monotonic: second * SECOND, wall_ms: second * 1000 }
    }

    fn snapshot(interfaces: u32) -> Snapshot {
        let interface = |index: u32| Interface {
            index,
            name: format!("eth{index}"),
            description: format!("port {index} to the north"),
        };
        let interfaces = (1..=interfaces).map(interface).collect();
        Snapshot { process: 1, name: "gateway".to_owned(), interfaces, ..Snapshot::default() }
    }

    fn offered(session: &mut Session, snapshot: &Snapshot, now: Now, force: bool) -> Vec<Message> {
        session.offer(snapshot, now, force);
        std::iter::from_fn(|| session.poll_message(now, false)).collect()
    }

    #[test]
    fn they_go_out_first_then_after_the_interval_on_a_change_and_when_asked() {
        for protocol in [Protocol::Ipfix, Protocol::V9] {
            let mut session = Session::new(SessionConfig::new(protocol, 0)).unwrap();
            // Templates, then all records in one message.
            assert_eq!(offered(&mut session, &snapshot(1), at(10), false).len(), 2);
            assert_eq!(offered(&mut session, &snapshot(1), at(69), false).len(), 0);
            assert_eq!(offered(&mut session, &snapshot(1), at(70), false).len(), 1);
            assert_eq!(offered(&mut session, &snapshot(2), at(71), false).len(), 1);
            assert_eq!(offered(&mut session, &snapshot(2), at(71), true).len(), 1);
            session.restart();
            assert_eq!(offered(&mut session, &snapshot(2), at(72), false).len(), 2);
        }
    }

    #[test]
    fn they_speak_for_domain_0_and_have_its_sequence() {
        let mut session = Session::new(SessionConfig::new(Protocol::Ipfix, 0)).unwrap();
        let first = offered(&mut session, &snapshot(3), at(1), false);
        let second = offered(&mut session, &snapshot(3), at(100), false);
        // Statistics, two of reliability, three interfaces, exporter, sampler.
        let counted: Vec<u32> = first.iter().chain(&second).map(|message| message.counted).collect();
        assert_eq!(counted, [0, 8, 8]);
        for (message, sequence) in first.iter().chain(&second).zip([0_u32, 0, 8]) {
            assert_eq!((message.domain, message.total.records), (0, 0));
            assert_eq!(message.bytes[8..12], sequence.to_be_bytes());
            assert_eq!(message.bytes[12..16], [0; 4]);
        }
    }

    #[test]
    fn many_interfaces_fill_many_messages_and_none_is_too_large() {
        for protocol in [Protocol::Ipfix, Protocol::V9] {
            let config = SessionConfig { max_message: 512, ..SessionConfig::new(protocol, 0) };
            let mut session = Session::new(config).unwrap();
            let messages = offered(&mut session, &snapshot(100), at(1), false);
            assert!(messages.len() > 5 && messages.iter().all(|message| message.bytes.len() <= 512));
            let text: Vec<u8> = messages.into_iter().flat_map(|message| message.bytes).collect();
            for index in 1..=100 {
                let name = format!("port {index} to");
                assert!(text.windows(name.len()).any(|octets| octets == name.as_bytes()), "{name}");
            }
        }
    }

    #[test]
    fn long_names_are_cut_where_messages_are_small() {
        let Err(SessionError::MessageTooSmall { needed, .. }) =
            Session::new(SessionConfig { max_message: 0, ..SessionConfig::new(Protocol::Ipfix, 0) })
        else {
            unreachable!()
        };
        let config = SessionConfig { max_message: needed, ..SessionConfig::new(Protocol::Ipfix, 0) };
        let mut session = Session::new(config).unwrap();
        let (name, description) = ("é".repeat(8), "網".repeat(200));
        let interfaces = vec![Interface { index: 1, name, description }];
        let snapshot = Snapshot { name: "x".repeat(400), interfaces, ..snapshot(0) };
        let messages = offered(&mut session, &snapshot, at(1), true);
        assert!(messages.iter().all(|message| message.bytes.len() <= needed));
        let text: Vec<u8> = messages.into_iter().flat_map(|message| message.bytes).collect();
        for part in ["é".repeat(8), "網".repeat(40), "x".repeat(254)] {
            assert!(text.windows(part.len()).any(|octets| octets == part.as_bytes()), "{part}");
        }
    }

    #[test]
    fn flow_keys_that_are_told_again_have_their_place_in_the_sequence() {
        let config = SessionConfig { flow_keys: true, ..SessionConfig::new(Protocol::Ipfix, 0) };
        let mut session = Session::new(SessionConfig { template_messages: 2, ..config }).unwrap();
        let mut sequence = 0_u32;
        for second in 1..10 {
            session.push(&RECORD, at(second)).unwrap();
            while let Some(message) = session.poll_message(at(second), true) {
                assert_eq!(message.bytes[8..12], sequence.to_be_bytes());
                sequence += message.counted;
            }
        }
        // Nine records, and four of keys each second time.
        assert!(sequence > 9 + 4 * 3, "{sequence}");
    }

    #[test]
    fn protocols_without_templates_have_none() {
        let mut session = Session::new(SessionConfig::new(Protocol::V5, 0)).unwrap();
        assert!(offered(&mut session, &snapshot(1), at(1), true).is_empty());
    }
}
