//! RFC 3954: rules of NetFlow v9 alone. The sections above run with v9 too.

use flowxdp_core::elements::options::OPTIONS;
use flowxdp_core::exporting::options::Snapshot;
use flowxdp_core::exporting::session::{Protocol, SessionConfig};

use crate::read::{Collector, Read, values};
use crate::samples::{SYSTEM_START, at, drain, life, record, session, told};

fn config() -> SessionConfig {
    SessionConfig::new(Protocol::V9, SYSTEM_START)
}

#[test]
fn the_sequence_counts_packets_of_each_source_id() {
    let reads = Collector::all(&life(&config()));
    for domain in [0, 1] {
        let of = reads.iter().filter(|read| read.domain == domain).map(|read| read.sequence);
        assert!(of.clone().eq(0..of.count() as u32) && reads.len() > 60);
    }
}

#[test]
fn the_source_id_is_the_configured_one() {
    let reads = Collector::all(&life(&SessionConfig { observation_domain: 0x0102_0304, ..config() }));
    let domains = reads.iter().filter(|read| read.data().any(|(set, _)| set >= 288));
    assert!(domains.map(|read| read.domain).all(|domain| domain == 0x0102_0304));
}

#[test]
fn uptime_and_seconds_are_those_of_the_packet() {
    for read in Collector::all(&told(&mut session(&config()), at(5_000), 8)) {
        assert_eq!(u64::from(read.time), at(5_000).wall_ms / 1_000);
        assert_eq!(read.uptime, 3_605_000);
    }
}

#[test]
fn switched_times_are_uptimes_in_four_octets() {
    let mut session = session(&config());
    let record =
        record(0).with(|flow| (flow.start_ms, flow.end_ms) = (SYSTEM_START + 5, SYSTEM_START + 0x01_0203));
    session.push(&record, at(0)).unwrap();
    let reads = Collector::all(&drain(&mut session, at(0)));
    let (_, data) = reads.iter().flat_map(Read::data).next().unwrap();
    let octets = |id| &data.iter().find(|(element, _)| *element == id).unwrap().1;
    assert_eq!((octets(22), octets(21)), (&vec![0, 0, 0, 5], &vec![0, 1, 2, 3]));
}

#[test]
fn options_templates_give_lengths_in_octets_and_a_scope_of_rfc_3954() {
    let messages = told(&mut session(&config()), at(0), 4);
    let reads = Collector::all(&messages);
    let options: Vec<_> = reads.iter().flat_map(Read::templates).filter(|it| it.scopes.is_some()).collect();
    assert_eq!(options.len(), 5);
    for template in &options {
        // System, four octets.
        assert_eq!(template.scopes, Some(1));
        assert_eq!((template.fields[0].id, template.fields[0].length), (1, 4));
    }
    // The octets of the first: FlowSet id 1, template 280, 4 octets of scopes, 16 of others.
    let expected = [1, 24, 0, 4, 0, 16, 0, 1, 0, 4, 0, 143, 0, 4, 0, 41, 0, 8, 0, 42, 0, 8, 0, 40, 0, 8];
    assert!(
        messages
            .iter()
            .any(|message| { message.bytes[20..22] == [0, 1] && message.bytes[24..].starts_with(&expected) })
    );
}

#[test]
fn options_data_come_in_data_flowsets_of_their_template() {
    let reads = Collector::all(&told(&mut session(&config()), at(0), 4));
    let sets: Vec<u16> = reads.iter().flat_map(Read::data).map(|(set, _)| set).collect();
    let told = OPTIONS.iter().filter(|template| sets.contains(&template.id)).count();
    assert_eq!(told, 5);
    let (_, interface) = reads.iter().flat_map(Read::data).find(|(set, _)| *set == 276).unwrap();
    // RFC 3954 gives System no value: 0, which nobody adds up.
    assert_eq!((values(interface, 1), values(interface, 10)), (vec![0], vec![2]));
}

#[test]
fn template_ids_stay_for_the_life_of_the_process() {
    let mut session = session(&config());
    let mut messages = told(&mut session, at(0), 8);
    for round in 1..100 {
        if round % 10 == 0 {
            session.restart();
        }
        messages.extend(told(&mut session, at(60_000 * round), 8));
    }
    // The collector panics when one changes.
    let reads = Collector::all(&messages);
    assert!(reads.iter().flat_map(Read::data).all(|(set, _)| set >= 256));
}

#[test]
fn after_a_restart_templates_come_before_any_data() {
    let mut session = session(&config());
    told(&mut session, at(0), 8);
    session.restart();
    // A collector that has started anew has no template, and panics at data without one.
    assert!(Collector::all(&told(&mut session, at(1_000), 8)).iter().flat_map(Read::data).count() >= 8);
}

#[test]
fn no_options_record_is_all_zeros_as_padding_is() {
    let mut session = session(&config());
    session.offer(&Snapshot { process: 1, ..Snapshot::default() }, at(0), true);
    let reads = Collector::all(&drain(&mut session, at(0)));
    let data: Vec<_> = reads.iter().flat_map(Read::data).collect();
    assert_eq!(data.len(), 4);
    for (set, record) in data {
        assert!(record.iter().any(|(_, octets)| octets.iter().any(|octet| *octet != 0)), "set {set}");
    }
}
