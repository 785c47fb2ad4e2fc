//! The collector: the records that it still awaits, and its checks of each message.

use std::collections::{BTreeMap, VecDeque};

use flowxdp_core::exporting::protocol::Protocol;
use flowxdp_core::exporting::session::{Message, SessionConfig};
use flowxdp_core::record::Flow;

use super::options::Awaited;
use super::templated::Domain;
use super::{Delivered, Read, legacy};

/// Template of the records that tell flow keys.
const FLOW_KEYS: u16 = 275;

#[derive(Default)]
pub(super) struct Collector {
    domains: BTreeMap<u32, Domain>,
    sequences: BTreeMap<u32, u32>,
    /// Records that were pushed, or sent again, and must come.
    pub(super) flows: VecDeque<Flow>,
    /// Options records that must come, with the room for a text in each.
    pub(super) options: VecDeque<(Awaited, usize)>,
    pub(super) sessions: Vec<Delivered>,
}

impl Collector {
    /// Takes one message and gives its flow records.
    pub(super) fn take(&mut self, config: &SessionConfig, message: &Message) -> Vec<Flow> {
        let is_fixed = is_fixed(config.protocol);
        let read = if is_fixed {
            legacy::read(&message.bytes)
        } else {
            self.domains.entry(message.domain).or_default().read(&message.bytes)
        };
        self.check(config, message, &read);
        for record in &read.records {
            if is_fixed { self.part(record) } else { self.whole(config, record) }
        }
        for options in &read.options {
            if options.template == FLOW_KEYS {
                let values = options.values.iter().map(|(id, octets)| (*id, super::number(octets)));
                let (template, key) = match values.collect::<Vec<_>>()[..] {
                    [(145, template), (173, key)] => (u16::try_from(template).unwrap_or(0), key),
                    _ => unreachable!("{options:?}"),
                };
                assert_eq!(self.domains[&message.domain].flow_key(template), key);
            } else {
                let Some((awaited, room)) = self.options.pop_front() else {
                    unreachable!("options that were not offered: {options:?}")
                };
                awaited.check(options, config.protocol == Protocol::Ipfix, room);
                let of_flows = awaited.is_of_flows(config);
                assert_eq!(message.domain, if of_flows { config.observation_domain } else { 0 });
            }
        }
        let delivered = self.session();
        delivered.messages.push(message.bytes.clone());
        delivered.records.extend(&read.records);
        delivered.export_ms = read.export_ms;
        read.records
    }

    /// Header against content, and against earlier messages.
    fn check(&mut self, config: &SessionConfig, message: &Message, read: &Read) {
        let records = read.records.len() as u64;
        let sum = |of: fn(&Flow) -> u64| read.records.iter().map(of).sum::<u64>();
        let total = (message.total.records, message.total.packets, message.total.octets);
        assert_eq!(total, (records, sum(|it| it.packets), sum(|it| it.octets)));
        assert_eq!(message.templates_only, records == 0);
        let all = records + read.options.len() as u64;
        let counted = match config.protocol {
            Protocol::Ipfix | Protocol::V7 | Protocol::V5 => all,
            Protocol::V9 => 1,
            Protocol::V1 => 0,
        };
        assert_eq!(u64::from(message.counted), counted);
        let expected = self.sequences.entry(message.domain).or_default();
        assert!(read.sequence.is_none_or(|sequence| sequence == *expected), "{read:?}, not {expected}");
        *expected = expected.wrapping_add(message.counted);
        assert!(read.export_ms >= self.session().export_ms, "the export time goes back");
        if records > 0 {
            assert_eq!(message.domain, config.observation_domain);
        }
        assert!(read.engine.is_none_or(|engine| engine == u64::from(message.domain & 0xffff)));
        if let Some(place) = [None, Some(16), Some(12)][domain_place(config.protocol)] {
            assert_eq!(message.bytes[place..place + 4], message.domain.to_be_bytes());
        }
    }

    /// A record of a protocol with templates: in any order, for each kind waits for itself.
    fn whole(&mut self, config: &SessionConfig, record: &Flow) {
        let flags = if config.protocol == Protocol::V9 { 0xff } else { 0xfff };
        let told = |it: &Flow| Flow { tcp_flags: it.tcp_flags & flags, ..*it };
        let place = self.flows.iter().position(|it| told(it) == *record);
        let near = self.flows.iter().find(|it| it.key == record.key);
        assert!(place.is_some(), "{record:?}\nwas not pushed; of its key: {near:?}");
        place.map(|place| self.flows.remove(place));
    }

    /// A record of a fixed layout: the next one, or a part of it.
    fn part(&mut self, record: &Flow) {
        let Some(first) = self.flows.front_mut() else { unreachable!("{record:?} was not pushed") };
        let told = Flow { packets: record.packets, octets: record.octets, ..legacy::as_told(first) };
        assert_eq!(told, *record);
        assert!(record.packets <= first.packets && record.octets <= first.octets);
        first.packets -= record.packets;
        first.octets -= record.octets;
        if (first.packets, first.octets) == (0, 0) {
            self.flows.pop_front();
        }
    }

    /// Another collector has the address, or the same one has started anew, without templates.
    pub(super) fn forget(&mut self) {
        self.domains.clear();
    }

    /// A new transport session.
    pub(super) fn begin(&mut self) {
        self.forget();
        self.sequences.clear();
        self.sessions.push(Delivered::default());
    }

    fn session(&mut self) -> &mut Delivered {
        if self.sessions.is_empty() {
            self.sessions.push(Delivered::default());
        }
        let last = self.sessions.len() - 1;
        &mut self.sessions[last]
    }
}

pub(super) const fn is_fixed(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::V5 | Protocol::V7 | Protocol::V1)
}

const fn domain_place(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Ipfix => 2,
        Protocol::V9 => 1,
        _ => 0,
    }
}
