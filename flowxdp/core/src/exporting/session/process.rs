//! Options data: of the whole process in observation domain 0; sampler, interfaces and flow keys in the flows'
//! own.

use super::domains::Definition;
use super::preset::{Place, place};
use super::resend::{Due, How, Resend};
use super::templated::{Content, Templated};
use super::{SessionConfig, modulo_32};
use crate::clock::{MeterTime, Now};
use crate::elements::options::{OPTIONS, OptionsTemplate};
use crate::exporting::options::{Snapshot, Source, describe, records};
use crate::exporting::wire::{Protocol, Writer};

/// The domain of data about the whole process (RFC 7011 section 3.1).
const PROCESS_WIDE: u32 = 0;

/// The domains of options data, in the order in which these go out: the statistics tell all that went before.
const PLACES: [Place; 2] = [Place::Process, Place::Flows];

/// A template's id and one data record of it.
type Data = (u16, Vec<u8>);

/// Options data that were sent.
#[derive(Debug)]
pub(super) struct Process {
    /// Of the templates, by the domain that they are for.
    resend: [Resend; PLACES.len()],
    /// Monotonic nanoseconds.
    sent_at: Option<MeterTime>,
    /// The last options data offered.
    pub(super) offered: Option<Snapshot>,
    /// Templates whose flow keys the collector was told.
    keys_told: usize,
}

impl Process {
    pub(super) fn new(config: &SessionConfig) -> Self {
        let resend = [Resend::of(config), Resend::of(config)];
        Self { resend, sent_at: None, offered: None, keys_told: 0 }
    }

    pub(super) fn restart(&mut self) {
        self.look_again();
        self.sent_at = None;
        self.keys_told = 0;
    }

    /// Looks at the templates again before the next options data.
    pub(super) fn look_again(&mut self) {
        self.resend.iter_mut().for_each(Resend::restart);
    }

    /// A message of a domain follows.
    pub(super) fn followed(&mut self, place: Place) {
        self.resend[place as usize].followed();
    }

    fn is_due(&self, snapshot: &Snapshot, now: Now, interval: u64) -> bool {
        self.sent_at.is_none_or(|at| now.monotonic.since(at) >= interval)
            || self.offered.as_ref().is_none_or(|offered| offered.interfaces != snapshot.interfaces)
    }
}

impl Templated {
    /// Makes the messages of options, if they are due.
    pub(super) fn offer(&mut self, snapshot: &Snapshot, now: Now, force: bool) {
        if !force && !self.process.is_due(snapshot, now, self.config.options_interval) {
            return;
        }
        self.process.sent_at = Some(now.monotonic);
        self.process.offered = Some(snapshot.clone());
        if self.groups[0].resend.due(now.monotonic) == Due::First {
            self.tell_at_start(now);
        }
        for place in PLACES {
            let data = self.data(place, snapshot);
            let mut rest = data.as_slice();
            // Looked at before each message: many interfaces take many.
            while !rest.is_empty() {
                rest = self.tell(place, rest, now);
            }
        }
    }

    /// The options templates of a domain, but those of flow keys.
    fn templates_of(&self, of: Place) -> impl Iterator<Item = &'static OptionsTemplate> + use<> {
        let all = placed(self.protocol, &self.config);
        all.filter(move |(place, template)| *place == of && !template.is_of_keys())
            .map(|(_, template)| template)
    }

    /// The data records of a domain, in order.
    fn data(&self, place: Place, snapshot: &Snapshot) -> Vec<Data> {
        let (statistics, protocol) = (self.statistics, self.protocol);
        let source = |number: usize| {
            let interface = snapshot.interfaces.get(number);
            Source { snapshot, statistics, protocol, interface, flow_keys: (0, 0), number }
        };
        // Padding is below four octets.
        let room = self.config.max_message - protocol.header() - protocol.set(3);
        let mut data = Vec::new();
        for template in self.templates_of(place) {
            for number in 0..records(template.kind, snapshot) {
                let mut octets = Vec::new();
                source(number).encode(template, room, &mut octets);
                data.push((template.id, octets));
            }
        }
        data
    }

    /// Makes one message of as many of these options records as fit, behind the templates of the domain if
    /// they are due; gives the records that do not fit.
    fn tell<'a>(&mut self, place: Place, records: &'a [Data], now: Now) -> &'a [Data] {
        let domain = domain(place, &self.config);
        let mut writer = self.writer();
        let due = self.process.resend[place as usize].due(now.monotonic) != Due::No;
        match place {
            Place::Flows => self.followed(),
            Place::Process => self.process.followed(place),
        }
        if due {
            let wanted = self.templates_of(place).map(|template| self.definition(template)).collect();
            let first = records.first().map_or(0, |(_, octets)| self.protocol.set(octets.len()));
            self.write_or_define(domain, wanted, first, &mut writer, now);
            self.process.resend[place as usize].sent(now.monotonic, How::WithData);
        }
        let rest = self.write_data(records, &mut writer);
        let options = modulo_32((records.len() - rest.len()) as u64);
        let message = self.finish(writer, now, Content { domain, options, ..Content::default() });
        self.ready.push_back(message);
        rest
    }

    /// Writes as many of these options records as fit, the first in any case; gives those that do not.
    fn write_data<'a>(&self, records: &'a [Data], writer: &mut Writer) -> &'a [Data] {
        let mut rest = records;
        while let Some((id, _)) = rest.first() {
            let (mut count, mut length) = (0, 0);
            for (_, octets) in rest.iter().take_while(|(other, _)| other == id) {
                length += octets.len();
                let fits = writer.len() + self.protocol.set(length) <= self.config.max_message;
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
        rest
    }

    /// Makes the message that tells the fields of the flow key for each template of flow records: behind
    /// the templates each time over UDP, and once in a session over TCP and TLS.
    pub(super) fn tell_flow_keys(&mut self, now: Now) {
        let Some(template) = self.flow_keys() else { return };
        let domain = self.config.observation_domain;
        let told = self.groups.iter().filter(|group| group.resend.due(now.monotonic) != Due::First);
        let keys: Vec<(u16, u64)> =
            told.flat_map(|group| group.layout.templates()).map(|it| it.flow_keys()).collect();
        if self.config.reliable && keys.len() <= self.process.keys_told {
            return;
        }
        self.process.keys_told = keys.len();
        let (statistics, protocol) = (self.statistics, self.protocol);
        let snapshot = Snapshot::default();
        let data = keys.iter().map(|&flow_keys| {
            let source =
                Source { snapshot: &snapshot, statistics, protocol, interface: None, flow_keys, number: 0 };
            let mut octets = Vec::new();
            source.encode(template, usize::MAX, &mut octets);
            (template.id, octets)
        });
        let data: Vec<Data> = data.collect();
        let mut rest = data.as_slice();
        while let Some((_, first)) = rest.first() {
            let mut writer = self.writer();
            let first = protocol.set(first.len());
            self.write_or_define(domain, vec![self.definition(template)], first, &mut writer, now);
            let left = self.write_data(rest, &mut writer);
            let options = modulo_32((rest.len() - left.len()) as u64);
            let message = self.finish(writer, now, Content { domain, options, ..Content::default() });
            self.ready.push_back(message);
            rest = left;
        }
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

const fn domain(place: Place, config: &SessionConfig) -> u32 {
    match place {
        Place::Flows => config.observation_domain,
        Place::Process => PROCESS_WIDE,
    }
}

/// The options templates that a collector gets, in the order in which they go out, each with the place of its data.
fn placed(
    protocol: Protocol,
    config: &SessionConfig,
) -> impl Iterator<Item = (Place, &'static OptionsTemplate)> + use<> {
    let SessionConfig { preset, flow_keys, options, choice, .. } = *config;
    OPTIONS
        .iter()
        .filter(move |template| template.is_for(&choice))
        .filter_map(move |template| Some((place(template, protocol, preset, flow_keys, options)?, template)))
}

/// The options templates of a session, each with the observation domain of its data (IPFIX) or its source id (v9);
/// none where the protocol has no templates.
pub fn options_templates(config: &SessionConfig) -> Vec<(u32, &'static OptionsTemplate)> {
    let placed = Protocol::of(config.protocol).into_iter().flat_map(|protocol| placed(protocol, config));
    placed.map(|(place, template)| (domain(place, config), template)).collect()
}

fn flow_keys(protocol: Protocol, config: &SessionConfig) -> Option<&'static OptionsTemplate> {
    placed(protocol, config).map(|(_, template)| template).find(|template| template.is_of_keys())
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
    use super::super::{Message, Preset, Session, SessionConfig, SessionError};
    use crate::clock::{Now, SECOND};
    use crate::exporting::options::{Interface, Snapshot};
    use crate::exporting::protocol::Protocol;
    use crate::exporting::wire;
    use crate::samples;

    fn at(second: u64) -> Now {
        Now::new(second * SECOND, second * 1000)
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
            // Templates of flows, then options of the whole process, and of the flows' domain.
            assert_eq!(offered(&mut session, &snapshot(1), at(10), false).len(), 3);
            assert_eq!(offered(&mut session, &snapshot(1), at(69), false).len(), 0);
            assert_eq!(offered(&mut session, &snapshot(1), at(70), false).len(), 2);
            assert_eq!(offered(&mut session, &snapshot(2), at(71), false).len(), 2);
            assert_eq!(offered(&mut session, &snapshot(2), at(71), true).len(), 2);
            session.restart();
            assert_eq!(offered(&mut session, &snapshot(2), at(72), false).len(), 3);
        }
    }

    /// Domain, sequence before and records of each message of two offers.
    fn places(preset: Option<Preset>) -> Vec<(u32, u32, u32)> {
        let config = SessionConfig { preset, flow_keys: true, ..SessionConfig::new(Protocol::Ipfix, 0) };
        let mut session = Session::new(config).unwrap();
        let mut messages = offered(&mut session, &snapshot(3), at(1), false);
        messages.extend(offered(&mut session, &snapshot(3), at(100), false));
        let word =
            |message: &Message, at: usize| u32::from_be_bytes(message.bytes[at..at + 4].try_into().unwrap());
        assert!(messages.iter().all(|it| it.total.records == 0 && word(it, 12) == it.domain));
        messages.iter().map(|it| (it.domain, word(it, 8), it.counted)).collect()
    }

    #[test]
    fn each_has_its_domain_and_the_sequence_of_that() {
        // Templates; flow keys of four; statistics, exporter, reliability; sampler and three interfaces.
        assert_eq!(places(None), [(1, 0, 0), (1, 0, 4), (0, 0, 4), (1, 4, 4), (0, 4, 4), (1, 8, 4)]);
    }

    #[test]
    fn nfdump_gets_none_among_flows() {
        assert_eq!(places(Some(Preset::Nfdump)), [(1, 0, 0), (0, 0, 5), (0, 5, 5)]);
    }

    #[test]
    fn each_options_template_has_a_set_of_its_own_and_stands_in_front_of_its_data() {
        for protocol in [Protocol::Ipfix, Protocol::V9] {
            let (wire, set) = match protocol {
                Protocol::V9 => (wire::Protocol::V9, 1),
                _ => (wire::Protocol::Ipfix, 3),
            };
            let mut session = Session::new(SessionConfig::new(protocol, 0)).unwrap();
            let messages = offered(&mut session, &snapshot(2), at(1), false);
            let ids = messages[1..].iter().map(|message| wire::set_ids(wire, &message.bytes).collect());
            let process = match protocol {
                Protocol::V9 => vec![set, set, set, 280, 281, 282],
                _ => vec![set, set, set, set, 280, 277, 281, 282],
            };
            assert_eq!(ids.collect::<Vec<Vec<u16>>>(), [process, vec![set, set, 279, 276]]);
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
            session.push(&samples::udp(1), at(second)).unwrap();
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
