//! RFC 7011 section 4: the exporter's reports about itself.

use std::collections::{BTreeMap, BTreeSet};

use flowxdp_core::clock::SECOND;
use flowxdp_core::elements::options::{Kind, OPTIONS};
use flowxdp_core::exporting::session::{Message, Protocol, SessionConfig};

use crate::read::{Collector, Data, Read, Template, values};
use crate::samples::{SYSTEM_START, T0, at, configs, drain, record, session, snapshot, told, with_names};

fn id(kind: Kind) -> u16 {
    OPTIONS.iter().find(|template| template.kind == kind).unwrap().id
}

/// The template of a kind of options, and its data records.
fn of(reads: &[Read], kind: Kind) -> (Template, Vec<Data>) {
    let template = reads.iter().flat_map(Read::templates).find(|template| template.id == id(kind)).unwrap();
    let data = reads.iter().flat_map(Read::data).filter(|(set, _)| *set == id(kind));
    (template.clone(), data.map(|(_, data)| data.clone()).collect())
}

fn scopes(template: &Template) -> Vec<u16> {
    template.fields.iter().take(template.scopes.unwrap()).map(|field| field.id).collect()
}

fn ids(template: &Template) -> Vec<u16> {
    template.fields.iter().skip(template.scopes.unwrap()).map(|field| field.id).collect()
}

fn ipfix() -> impl Iterator<Item = SessionConfig> {
    configs().into_iter().filter(|config| config.protocol == Protocol::Ipfix)
}

#[test]
fn metering_statistics_have_their_scope_and_count_what_was_handed_over() {
    for config in ipfix() {
        let mut session = session(&config);
        let before = told(&mut session, at(0), 100);
        let after = told(&mut session, at(1_000), 0);
        let reads = Collector::all(before.iter().chain(&after));
        let (template, data) = of(&reads, Kind::Statistics);
        assert!(scopes(&template).contains(&143));
        assert_eq!(ids(&template), [41, 42, 40]);
        let octets: usize = before.iter().map(|message| message.bytes.len()).sum();
        let last = data.last().unwrap();
        assert_eq!(values(last, 41), [before.len() as u64]);
        assert_eq!((values(last, 42), values(last, 40)), (vec![100], vec![octets as u64]));
    }
}

#[test]
fn what_was_not_handed_over_is_not_in_the_statistics() {
    for config in ipfix() {
        let mut session = session(&config);
        session.push(&record(0), at(0)).unwrap();
        let lost: Vec<Message> = std::iter::from_fn(|| session.poll_message(at(0), true)).collect();
        let reads = Collector::all(lost.iter().chain(&told(&mut session, at(1_000), 0)));
        let (_, data) = of(&reads, Kind::Statistics);
        assert_eq!((values(&data[0], 41), values(&data[0], 42)), (vec![0], vec![0]));
    }
}

#[test]
fn metering_reliability_has_its_scope_and_the_first_time_before_the_last() {
    for config in ipfix() {
        let reads = Collector::all(&told(&mut session(&config), at(0), 4));
        let (template, data) = of(&reads, Kind::MeteringReliability);
        assert!(scopes(&template).contains(&143));
        assert_eq!(ids(&template), [164, 165, 323, 323]);
        assert_eq!((values(&data[0], 164), values(&data[0], 165)), (vec![70], vec![7_000]));
        assert_eq!(values(&data[0], 323), [T0 - 9_000, T0 - 4_000]);
    }
}

#[test]
fn process_wide_reports_name_the_domain_that_they_are_of() {
    for config in ipfix() {
        let reads = Collector::all(&told(&mut session(&config), at(0), 4));
        for kind in [Kind::Statistics, Kind::MeteringReliability] {
            let (template, data) = of(&reads, kind);
            assert_eq!(scopes(&template), [149, 143]);
            assert_eq!(values(&data[0], 149), [u64::from(config.observation_domain)]);
        }
        // They are in a message of domain 0, which names none.
        let domain =
            |read: &Read| read.data().any(|(set, _)| set == id(Kind::Statistics)).then_some(read.domain);
        assert!(reads.iter().filter_map(domain).all(|domain| domain == 0));
    }
}

#[test]
fn exporting_reliability_has_its_scope_and_the_first_time_before_the_last() {
    for config in ipfix() {
        let reads = Collector::all(&told(&mut session(&config), at(0), 4));
        let (template, data) = of(&reads, Kind::ExportingReliability);
        assert_eq!(scopes(&template), [144]);
        assert_eq!(ids(&template), [166, 167, 168, 323, 323]);
        let numbers = [166, 167, 168].map(|id| values(&data[0], id)[0]);
        assert_eq!(numbers, [3, 30, 3_000]);
        assert_eq!(values(&data[0], 323), [T0 - 8_000, T0 - 5_000]);
    }
}

#[test]
fn flow_keys_have_the_template_as_scope_and_a_bit_for_each_key_field() {
    for config in ipfix().filter(|config| config.flow_keys) {
        let reads = Collector::all(&told(&mut session(&config), at(0), 4));
        let (template, data) = of(&reads, Kind::FlowKeys);
        assert_eq!((scopes(&template), ids(&template)), (vec![145], vec![173]));
        let flows = reads.iter().flat_map(Read::templates).filter(|it| it.scopes.is_none());
        let flows: BTreeMap<u16, &Template> = flows.map(|template| (template.id, template)).collect();
        let told: BTreeSet<u64> = data.iter().map(|data| values(data, 145)[0]).collect();
        assert!(told.into_iter().eq(flows.keys().map(|id| u64::from(*id))));
        for data in &data {
            let template = flows[&(values(data, 145)[0] as u16)];
            let keys = [4, 5, 7, 8, 10, 11, 12, 27, 28, 32, 58, 61, 139];
            let bits = template.fields.iter().enumerate().filter(|(_, field)| keys.contains(&field.id));
            let bits = bits.fold(0, |bits, (place, _)| bits | 1_u64 << place);
            assert_eq!(values(data, 173), [bits], "template {}", template.id);
        }
    }
}

#[test]
fn flow_keys_stay_away_unless_asked_for() {
    for config in configs().into_iter().filter(|config| !config.flow_keys) {
        let reads = Collector::all(&told(&mut session(&config), at(0), 4));
        assert!(reads.iter().flat_map(Read::templates).all(|template| template.id != id(Kind::FlowKeys)));
    }
}

/// Seconds at which statistics go out while they are offered every second.
fn told_at(config: &SessionConfig) -> Vec<u64> {
    let mut session = session(config);
    let mut collector = Collector::default();
    let mut seconds = Vec::new();
    for second in 0..130 {
        session.offer(&snapshot(), at(1_000 * second), false);
        for message in drain(&mut session, at(1_000 * second)) {
            let read = collector.read(&message.bytes);
            seconds.extend(read.data().filter(|(set, _)| *set == id(Kind::Statistics)).map(|_| second));
        }
    }
    seconds
}

#[test]
fn reports_come_regularly_and_as_often_as_configured() {
    for config in configs() {
        assert_eq!(told_at(&config), [0, 60, 120]);
        let config = SessionConfig { options_interval: 50 * SECOND, ..config };
        assert_eq!(told_at(&config), [0, 50, 100]);
    }
}

#[test]
fn a_new_session_and_a_changed_interface_are_told_at_once() {
    for config in configs() {
        let mut session = session(&config);
        told(&mut session, at(0), 0);
        session.offer(&snapshot(), at(1_000), false);
        assert!(drain(&mut session, at(1_000)).is_empty());
        let mut changed = snapshot();
        changed.interfaces[0].description = "downlink".to_owned();
        session.offer(&changed, at(2_000), false);
        assert!(!drain(&mut session, at(2_000)).is_empty());
        if config.reliable {
            session.begin()
        } else {
            session.restart()
        }
        session.offer(&changed, at(3_000), false);
        assert!(!drain(&mut session, at(3_000)).is_empty());
    }
}

#[test]
fn process_wide_options_stand_in_templates_of_the_rfc_alone() {
    // More elements than the RFC asks for have templates of their own.
    let config = with_names(SessionConfig::reliable(SYSTEM_START));
    let reads = Collector::all(&told(&mut session(&config), at(0), 4));
    let templates = reads.iter().flat_map(Read::templates).filter(|template| template.scopes.is_some());
    let mut all: Vec<u16> = templates.map(|template| template.id).collect();
    all.sort_unstable();
    let mut known = OPTIONS.map(|template| template.id);
    known.sort_unstable();
    assert_eq!(all, known);
}
