//! Flow records, options data, and whole sessions of both.

use flowxdp_common::field::{Group, Groups};
use flowxdp_core::clock::Now;
use flowxdp_core::elements::Choice;
use flowxdp_core::exporting::options::{Interface, Reliability, Snapshot};
use flowxdp_core::exporting::session::{Message, Protocol, Session, SessionConfig};
use flowxdp_core::record::{Addresses, EndReason, Flow, FlowKey, FlowRecord, RecordTotal};
use flowxdp_core::samples;

pub(crate) const BOTH: [Protocol; 2] = [Protocol::Ipfix, Protocol::V9];
/// 2026-11-03 10:00:00.000 UTC.
pub(crate) const T0: u64 = 1_793_700_000_000;
/// System start: one hour before.
pub(crate) const SYSTEM_START: u64 = T0 - 3_600_000;

/// Milliseconds after [`T0`], on both clocks.
pub(crate) fn at(ms: u64) -> Now {
    Now::new(1_000_000 * (3_600_000 + ms), T0 + ms)
}

/// Every kind of session: IPFIX over UDP with flow keys and without, IPFIX over TCP, v9.
pub(crate) fn configs() -> [SessionConfig; 4] {
    let udp = SessionConfig::new(Protocol::Ipfix, SYSTEM_START);
    [
        SessionConfig { flow_keys: true, ..udp.clone() },
        udp,
        SessionConfig::reliable(SYSTEM_START),
        SessionConfig::new(Protocol::V9, SYSTEM_START),
    ]
}

/// The same with applications and names in the records.
pub(crate) fn with_names(config: SessionConfig) -> SessionConfig {
    SessionConfig { choice: Choice::of(Groups::BASE.with(Group::Names).with(Group::Mac)), ..config }
}

pub(crate) fn session(config: &SessionConfig) -> Session {
    Session::new(config.clone()).unwrap()
}

/// The ids of the templates that usual flow records have.
pub(crate) const fn usual(protocol: Protocol) -> [u16; 4] {
    if matches!(protocol, Protocol::V9) { [288, 289, 290, 291] } else { [292, 293, 294, 295] }
}

/// A record with one of the upper four TCP flags (RFC 9565).
pub(crate) fn with_upper_flags() -> FlowRecord {
    record(0).with(|flow| flow.tcp_flags = 0x11b)
}

/// A record of many flows that there was no room to keep apart.
pub(crate) fn aggregate() -> FlowRecord {
    record(0).with(|flow| flow.end_reason = EndReason::Aggregated)
}

/// A record of UDP or, by its number, of any other kind.
pub(crate) fn record(number: u16) -> FlowRecord {
    let (addresses, protocol) = match number % 4 {
        0 => (Addresses::V4 { source: [192, 0, 2, 1], destination: [198, 51, 100, 2] }, 6),
        1 => (Addresses::V6 { source: [0x20; 16], destination: [0x3f; 16] }, 17),
        2 => (Addresses::V4 { source: [192, 0, 2, 1], destination: [198, 51, 100, 2] }, 1),
        _ => (Addresses::V6 { source: [0x20; 16], destination: [0x3f; 16] }, 58),
    };
    Flow {
        key: FlowKey {
            addresses,
            source_port: if matches!(protocol, 1 | 58) { 0 } else { 1_024 + number },
            destination_port: 0x0800 + number % 256,
            protocol,
            tos: 0xb8,
            vlan: 0x0102,
            ingress: 0x0102_0304,
        },
        packets: 0x0001_0203_0405_0607,
        octets: 0x0011_1213_1415_1617,
        start_ms: T0 - 1_877,
        end_ms: T0 - 1,
        tcp_flags: if protocol == 6 { 0x1b } else { 0 },
        ttl_min: 61,
        length_min: 0x0128,
        length_max: 0x05dc,
        ..samples::FLOW
    }
    .into()
}

/// The exporter's options data: two interfaces.
pub(crate) fn snapshot() -> Snapshot {
    let interface = |index, name: &str, description: &str| Interface {
        index,
        name: name.to_owned(),
        description: description.to_owned(),
    };
    let reliability = |n, first_ms, last_ms| Reliability {
        total: RecordTotal { records: n, packets: 10 * n, octets: 1_000 * n },
        first_ms,
        last_ms,
    };
    Snapshot {
        process: 1,
        ignored: reliability(7, T0 - 9_000, T0 - 4_000),
        not_sent: reliability(3, T0 - 8_000, T0 - 5_000),
        interfaces: vec![interface(2, "eth0", "uplink"), interface(3, "eth1", "eth1")],
        name: "gateway.example".to_owned(),
        system_start_ms: SYSTEM_START,
        transport: 17,
        port: 40_000,
    }
}

/// All messages that are ready, delivered to the socket.
pub(crate) fn drain(session: &mut Session, now: Now) -> Vec<Message> {
    let messages: Vec<_> = std::iter::from_fn(|| session.poll_message(now, true)).collect();
    messages.iter().for_each(|message| session.handed(message));
    messages
}

/// Options data and `count` records of all kinds, then the messages that are ready.
pub(crate) fn told(session: &mut Session, now: Now, count: u16) -> Vec<Message> {
    session.offer(&snapshot(), now, true);
    (0..count).for_each(|number| session.push(&record(number), now).unwrap());
    drain(session, now)
}

/// A long life: options and flows, again and again, over half an hour.
pub(crate) fn life(config: &SessionConfig) -> Vec<Message> {
    let mut session = session(config);
    let mut messages = Vec::new();
    for round in 0..30 {
        messages.extend(told(&mut session, at(60_000 * round), 40));
    }
    messages
}
