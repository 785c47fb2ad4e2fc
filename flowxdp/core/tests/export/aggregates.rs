//! Aggregates (RFC 7015) go out by templates of their own, which come with the first of them.

use flowxdp_core::exporting::session::{Protocol, Session, SessionConfig};
use flowxdp_core::exporting::template::Kind;
use flowxdp_core::record::{Addresses, EndReason, FlowRecord};

use crate::collector::Collector;
use crate::samples::{BOTH, SYSTEM_START, as_exported, at, drain, flow, ipv4, ipv6, session};

fn aggregate(record: FlowRecord) -> FlowRecord {
    record.with(|flow| {
        flow.end_reason = EndReason::Aggregated;
        match &mut flow.key.addresses {
            Addresses::V4 { source, .. } => *source = [0; 4],
            Addresses::V6 { source, .. } => *source = [0; 16],
        }
    })
}

fn of_all_destinations(record: FlowRecord) -> FlowRecord {
    aggregate(record).with(|flow| {
        flow.key.destination_port = 0;
        match &mut flow.key.addresses {
            Addresses::V4 { destination, .. } => *destination = [0; 4],
            Addresses::V6 { destination, .. } => *destination = [0; 16],
        }
    })
}

fn samples() -> Vec<FlowRecord> {
    let flows = [ipv4(6, 443), ipv6(17, 53), ipv4(1, 0x0800), ipv6(58, 0x8000)];
    let mut records = Vec::new();
    for record in flows {
        records.extend([record, aggregate(record), of_all_destinations(record)]);
    }
    records
}

fn exchange(
    session: &mut Session,
    collector: &mut Collector,
    protocol: Protocol,
    records: &[FlowRecord],
) -> Vec<u16> {
    for record in records {
        session.push(record, at(0)).unwrap();
    }
    let (mut templates, mut told) = (Vec::new(), Vec::new());
    for message in drain(session, at(0), true) {
        let read = collector.read(&message.bytes);
        templates.extend(&read.templates);
        for data in &read.records {
            let record = flow(&read, data);
            let first = match (record.end_reason(), protocol) {
                (EndReason::Aggregated, _) => 300,
                (_, Protocol::V9) => 288,
                _ => 292,
            };
            assert_eq!(data.set, first + Kind::of(&record) as u16);
            told.push(record);
        }
    }
    let sorted = |mut records: Vec<FlowRecord>| {
        records.sort_by_key(|record| (record.key(), record.end_reason()));
        records
    };
    let sent = records.iter().map(|record| as_exported(protocol, record)).collect();
    assert_eq!(sorted(told), sorted(sent));
    templates
}

#[test]
fn they_say_what_they_are_and_nothing_of_what_they_are_not() {
    for protocol in BOTH {
        let (mut session, mut collector) = (session(protocol), Collector::default());
        let flows = exchange(&mut session, &mut collector, protocol, &[ipv4(6, 80)]);
        let first = if protocol == Protocol::V9 { 288 } else { 292 };
        let usual = [0, 1, 2, 3].map(|kind| first + kind);
        // At the start, and with the first data.
        assert_eq!(flows, [usual, usual].concat(), "{protocol:?}");
        let all = exchange(&mut session, &mut collector, protocol, &samples());
        assert_eq!(all, [300, 301, 302, 303], "{protocol:?}");
        assert!(exchange(&mut session, &mut collector, protocol, &samples()).is_empty());
    }
}

/// Where a message has no room for other templates than the usual ones, an aggregate is a flow from nowhere.
#[test]
fn the_smallest_messages_have_them_too() {
    for protocol in BOTH {
        let mut most = 4096;
        let smaller =
            |max_message| SessionConfig { max_message, ..SessionConfig::new(protocol, SYSTEM_START) };
        while Session::new(smaller(most - 1)).is_ok() {
            most -= 1;
        }
        let mut session = Session::new(smaller(most)).unwrap();
        let mut collector = Collector::default();
        for record in samples() {
            session.push(&record, at(0)).unwrap();
        }
        let messages = drain(&mut session, at(0), true);
        let records: usize =
            messages.iter().map(|message| collector.read(&message.bytes).records.len()).sum();
        assert_eq!(records, samples().len());
    }
}
