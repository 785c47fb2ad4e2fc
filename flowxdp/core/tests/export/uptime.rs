//! v9's time: one instant in the header, records relative to it, 32 bits that wrap every 49.7 days.

use flowxdp_core::clock::Now;
use flowxdp_core::exporting::session::{Protocol, Session, SessionConfig};
use flowxdp_core::record::FlowRecord;

use crate::collector::Collector;
use crate::samples::{SYSTEM_START, drain, flow, ipv4};

const WRAP: u64 = 1 << 32;

/// Exports one record `start..=end` (milliseconds after system start) at `now` (same), and reads it back:
/// header's seconds and uptime, and the record.
fn through(start: u64, end: u64, now: u64) -> (u64, u64, FlowRecord) {
    let mut session = Session::new(SessionConfig::new(Protocol::V9, SYSTEM_START)).unwrap();
    let record =
        ipv4(6, 443).with(|flow| (flow.start_ms, flow.end_ms) = (SYSTEM_START + start, SYSTEM_START + end));
    let now = Now::new(now * 1_000_000, SYSTEM_START + now);
    session.push(&record, now).unwrap();
    let mut collector = Collector::default();
    let messages = drain(&mut session, now, true);
    let read = messages.iter().map(|message| collector.read(&message.bytes)).last().unwrap();
    (read.export_secs * 1000 - SYSTEM_START, read.uptime, flow(&read, &read.records[0]))
}

#[test]
fn seconds_and_uptime_are_one_instant() {
    let (seconds, uptime, record) = through(10_000, 11_111, 22_999);
    assert_eq!((seconds, uptime), (22_000, 22_000));
    assert_eq!((record.start_ms(), record.end_ms()), (SYSTEM_START + 10_000, SYSTEM_START + 11_111));
}

#[test]
fn no_record_ends_after_its_header() {
    let (seconds, uptime, record) = through(10_000, 22_001, 22_002);
    assert_eq!((seconds, uptime), (23_000, 23_000));
    assert_eq!(record.end_ms(), SYSTEM_START + 22_001);
    assert_eq!(through(0, 22_000, 22_500).0, 22_000);
}

#[test]
fn a_wrap_before_within_and_after_the_flow() {
    for (start, end, now) in [
        (WRAP - 5_000, WRAP - 4_000, WRAP - 1_000),
        (WRAP - 5_000, WRAP - 4_000, WRAP + 1_000),
        (WRAP - 5_000, WRAP + 4_000, WRAP + 5_000),
        (WRAP + 5_000, WRAP + 6_000, WRAP + 7_000),
        (3 * WRAP - 1, 3 * WRAP, 3 * WRAP + 1),
    ] {
        let (seconds, uptime, record) = through(start, end, now);
        assert_eq!(uptime, seconds % WRAP);
        assert_eq!((record.start_ms() - SYSTEM_START, record.end_ms() - SYSTEM_START), (start, end));
    }
}

#[test]
fn uptime_is_not_negative_in_the_first_second() {
    let system_start_ms = SYSTEM_START + 400;
    let mut session = Session::new(SessionConfig::new(Protocol::V9, system_start_ms)).unwrap();
    let now = Now::new(0, system_start_ms + 200);
    session.push(&ipv4(6, 1), now).unwrap();
    let message = session.poll_message(now, true).unwrap();
    assert_eq!(Collector::default().read(&message.bytes).uptime, 600);
}
