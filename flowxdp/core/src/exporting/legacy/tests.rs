//! A legacy session at its limits: counters, times, message sizes.

use std::collections::VecDeque;

use super::*;
use crate::record::{Addresses, FlowRecord};
use crate::samples;

const START: u64 = 1_000_000_000_000;
const WRAP: u64 = 1 << 32;

fn record(start_ms: u64, end_ms: u64) -> FlowRecord {
    samples::udp(1).with(|flow| (flow.start_ms, flow.end_ms) = (start_ms, end_ms))
}

fn session(version: Version) -> Legacy {
    Legacy::new(LegacyConfig::new(version, START)).unwrap()
}

fn at(wall_ms: u64) -> Now {
    Now::new(0, wall_ms)
}

fn poll_all(session: &mut Legacy, now: Now) -> VecDeque<Message> {
    std::iter::from_fn(|| session.poll_message(now, true)).collect()
}

fn word(message: &Message, at: usize) -> u32 {
    u32::from_be_bytes(message.bytes[at..at + 4].try_into().unwrap())
}

/// Export time, milliseconds since 1970, after checking that the uptime says the same.
fn export_ms(message: &Message) -> u64 {
    let time = u64::from(word(message, 8)) * 1000 + u64::from(word(message, 12)) / 1_000_000;
    assert_eq!(u64::from(word(message, 4)), (time - START) % WRAP);
    time
}

/// First and last times of the records, counted back from the header.
fn times(message: &Message) -> Vec<(u64, u64)> {
    let back = |octets: &[u8]| {
        let field = u32::from_be_bytes(octets.try_into().unwrap());
        export_ms(message) - u64::from(word(message, 4).wrapping_sub(field))
    };
    let records = message.bytes[24..].chunks(48);
    records.map(|record| (back(&record[24..28]), back(&record[28..32]))).collect()
}

#[test]
fn the_sequence_counts_records_and_wraps_and_v1_has_none() {
    for version in [Version::V5, Version::V7] {
        let mut session = session(version);
        session.sequence = u32::MAX - 1;
        let mut sequences = Vec::new();
        for _ in 0..3 {
            session.push(&record(START, START), at(START)).unwrap();
            session.push(&record(START, START), at(START)).unwrap();
            let message = session.poll_message(at(START), true).unwrap();
            assert_eq!((message.counted, message.total.records, message.domain), (2, 2, 1));
            sequences.push(word(&message, 16));
        }
        assert_eq!(sequences, [u32::MAX - 1, 0, 2]);
    }
    let mut session = session(Version::V1);
    session.push(&record(START, START), at(START)).unwrap();
    assert_eq!(session.poll_message(at(START), true).unwrap().counted, 0);
    assert_eq!(session.sequence, 0);
}

#[test]
fn sizes_that_cannot_be_are_refused_with_the_one_that_can() {
    for (version, needed, text) in [
        (Version::V1, 64, "messages of 63 octets are too small: NetFlow v1 needs at least 64"),
        (Version::V5, 72, "messages of 71 octets are too small: NetFlow v5 needs at least 72"),
        (Version::V7, 76, "messages of 75 octets are too small: NetFlow v7 needs at least 76"),
    ] {
        let with =
            |max_message| Legacy::new(LegacyConfig { max_message, ..LegacyConfig::new(version, START) });
        assert_eq!(with(needed - 1).unwrap_err().to_string(), text);
        assert_eq!(with(65_536).unwrap_err(), SessionError::MessageTooLarge { max: 65_536 });
        let mut session = with(needed).unwrap();
        assert!(session.set_max_message(needed - 1).is_err());
        for _ in 0..100 {
            session.push(&record(START, START), at(START)).unwrap();
        }
        assert_eq!(session.poll_message(at(START), false).unwrap().bytes.len(), needed);
        session.set_max_message(65_535).unwrap();
        let message = session.poll_message(at(START), false).unwrap();
        assert_eq!(message.total.records, version.most_records() as u64);
        assert!(message.bytes.len() <= 1472);
    }
}

#[test]
fn a_part_filled_message_lingers_and_a_full_one_does_not() {
    let mut session = session(Version::V5);
    assert_eq!(session.poll_timeout(), None);
    session.push(&record(START, START), Now::new(5, START)).unwrap();
    assert_eq!(session.poll_timeout(), Some(Now::new(5 + SECOND, 0).monotonic));
    assert_eq!(session.poll_message(Now::new(4 + SECOND, START), false), None);
    for _ in 0..29 {
        session.push(&record(START, START), Now::new(6, START)).unwrap();
    }
    assert_eq!(session.poll_timeout(), Some(Now::new(5, 0).monotonic));
    assert_eq!(session.poll_message(at(START), true).unwrap().total.records, 30);
    assert_eq!((session.poll_timeout(), session.queued()), (None, RecordTotal::default()));
}

#[test]
fn what_cannot_be_told_is_refused() {
    let mut session = session(Version::V5);
    let ipv6 = record(START, START)
        .with(|flow| flow.key.addresses = Addresses::V6 { source: [0; 16], destination: [0; 16] });
    assert_eq!(session.push(&ipv6, at(START)), Err(NotRepresentable::Ipv6));
    let times = Err(NotRepresentable::Times);
    assert_eq!(session.push(&record(START - 1, START), at(START)), times);
    assert_eq!(session.push(&record(START, START + WRAP), at(START)), times);
    assert_eq!(session.push(&record(START, START + WRAP - 1), at(START)), Ok(()));
    // The one that waits ends so late that its message cannot tell an earlier start.
    assert_eq!(session.push(&record(START + 1, START + WRAP), at(START)), Ok(()));
    assert_eq!(session.push(&record(START, START), at(START)), times);
    assert_eq!(session.queued().records, 2);
    session.clear();
    assert_eq!(session.push(&record(START, START), at(START)), Ok(()));
    // Nor can a message be of an earlier time than the last.
    poll_all(&mut session, at(START + 2 * WRAP));
    assert_eq!(session.export_ms, START + WRAP - 1);
    assert_eq!(session.push(&record(START, START), at(START)), Ok(()));
    session.push(&record(START + WRAP, START + WRAP), at(START)).unwrap();
    poll_all(&mut session, at(START + WRAP));
    assert_eq!(session.push(&record(START, START), at(START)), times);
}

#[test]
fn the_export_time_waits_for_what_it_could_not_place() {
    let mut session = session(Version::V5);
    let now = at(START + 3 * WRAP);
    session.push(&record(START + 7, START + 8), now).unwrap();
    session.push(&record(START + 10, START + 20), now).unwrap();
    session.push(&record(now.wall_ms - 2, now.wall_ms - 1), now).unwrap();
    let messages = poll_all(&mut session, now);
    assert_eq!(messages.iter().map(export_ms).collect::<Vec<_>>(), [START + 6 + WRAP, now.wall_ms]);
    assert_eq!(times(&messages[0]), [(START + 7, START + 8), (START + 10, START + 20)]);
    assert_eq!(times(&messages[1]), [(now.wall_ms - 2, now.wall_ms - 1)]);
}

#[test]
fn a_wrap_of_the_uptime_before_within_and_after_the_flow() {
    for (start, end, now) in [
        (WRAP - 5_001, WRAP - 4_000, WRAP - 1_002),
        (WRAP - 5_000, WRAP - 4_000, WRAP + 1_003),
        (WRAP - 5_000, WRAP + 4_000, WRAP + 5_004),
        (WRAP + 5_000, WRAP + 6_000, WRAP + 7_005),
        (3 * WRAP - 1, 3 * WRAP, 4 * WRAP - 2),
    ] {
        let mut session = session(Version::V5);
        session.push(&record(START + start, START + end), at(START + now)).unwrap();
        let message = session.poll_message(at(START + now), true).unwrap();
        assert_eq!(export_ms(&message), START + now);
        assert_eq!(times(&message), [(START + start, START + end)]);
    }
}

#[test]
fn the_export_time_never_goes_back_nor_before_a_record() {
    let mut session = session(Version::V5);
    let mut exports = Vec::new();
    for (end, now) in [(0, 0), (500, 499), (500, 700), (600, 20), (701, 702)] {
        session.push(&record(START, START + end), at(START + now)).unwrap();
        exports.push(export_ms(&session.poll_message(at(START + now), true).unwrap()) - START);
    }
    assert_eq!(exports, [0, 500, 700, 700, 702]);
}

#[test]
fn refused_messages_take_the_numbers_and_times_of_a_first_transmission() {
    let mut session = session(Version::V5);
    let now = at(START + 5_500);
    let starts: Vec<u64> = (0..100).map(|number| START + 50 * number).collect();
    for start in &starts {
        session.push(&record(*start, start + 9), now).unwrap();
    }
    let first = session.poll_message(now, true).unwrap();
    let refused = poll_all(&mut session, now);
    assert_eq!(refused.iter().map(|message| word(message, 16)).collect::<Vec<_>>(), [30, 60, 90]);
    let sent = session.resume(refused.clone(), at(START + 9_999));
    assert_eq!(sent.iter().map(|message| word(message, 16)).collect::<Vec<_>>(), [30, 60, 90]);
    assert!(sent.iter().all(|message| export_ms(message) == START + 9_999));
    let received = [&first].into_iter().chain(&sent).flat_map(times);
    assert!(received.eq(starts.iter().map(|start| (*start, start + 9))));
    session.push(&record(START, START), now).unwrap();
    assert_eq!(word(&session.poll_message(now, true).unwrap(), 16), 100);
}

#[test]
fn messages_that_waited_long_keep_the_times_of_their_records() {
    let mut session = session(Version::V5);
    let (mut refused, mut pushed) = (VecDeque::new(), Vec::new());
    // The second message's record starts before the first one's.
    for (start, end) in [(900, 1_000), (5, 1_500), (1_200, 5_000)] {
        pushed.push((START + start, START + end));
        session.push(&record(START + start, START + end), at(START + end)).unwrap();
        refused.extend(session.poll_message(at(START + end), true));
    }
    let sent = session.resume(refused, at(START + 10 * WRAP));
    assert_eq!(sent.iter().flat_map(times).collect::<Vec<_>>(), pushed);
    let exports: Vec<u64> = sent.iter().map(|message| export_ms(message) - START).collect();
    assert_eq!(exports, [WRAP + 4, WRAP + 4, WRAP + 1_199]);
}

#[test]
fn counters_beyond_32_bits_take_several_records() {
    for (packets, octets, parts) in [
        (1, u64::from(u32::MAX), 1),
        (1, u64::from(u32::MAX) + 1, 2),
        (3, 5 << 32, 6),
        (7_000_000_000, 10_500_000_000_001, 2445),
        (u64::from(u32::MAX) + 1, 0, 2),
    ] {
        let mut session = session(Version::V5);
        let large = record(START, START + 1)
            .with(|flow| (flow.packets, flow.octets, flow.tcp_flags) = (packets, octets, 0x12));
        session.push(&large, at(START)).unwrap();
        assert_eq!(session.queued(), RecordTotal { records: parts, packets, octets });
        let mut sum = RecordTotal::default();
        for message in poll_all(&mut session, at(START + 2)) {
            sum += message.total;
            for record in message.bytes[24..].chunks(48) {
                let packets = u32::from_be_bytes(record[16..20].try_into().unwrap());
                assert!(packets > 0 || parts > large.packets());
                assert_eq!(record[37], 0x12);
            }
        }
        assert_eq!(sum, RecordTotal { records: parts, packets, octets });
    }
}

#[test]
fn what_is_drained_is_what_was_pushed_and_not_polled() {
    let mut session = session(Version::V5);
    let large = record(START, START).with(|flow| (flow.packets, flow.octets) = (40, 40 << 32));
    for record in [large, record(START, START + 1)] {
        session.push(&record, at(START)).unwrap();
    }
    let sent = session.poll_message(at(START), true).unwrap().total;
    let queued = session.queued();
    assert_eq!(queued.records, 41 + 1 - 30);
    let rest = session.drain();
    let rest: Vec<FlowRecord> = rest.records().copied().collect();
    assert_eq!((session.queued(), session.poll_timeout()), (RecordTotal::default(), None));
    assert_eq!(rest.len(), 2);
    assert_eq!(rest[1], record(START, START + 1));
    assert_eq!((sent.packets + rest[0].packets(), sent.octets + rest[0].octets()), (40, 40 << 32));
}

/// The times of the first record, by the header's time of day and uptime alone.
fn times_of_day(message: &Message) -> (u64, u64) {
    let time = u64::from(word(message, 8)) * 1000 + u64::from(word(message, 12)) / 1_000_000;
    let back = |at: usize| time - u64::from(word(message, 4).wrapping_sub(word(message, at)));
    (back(24 + 24), back(24 + 28))
}

#[test]
fn when_the_time_of_day_goes_back_before_system_start_nothing_is_refused_and_times_stay() {
    const HOUR: u64 = 3_600_000;
    let mut session = session(Version::V5);
    session.push(&record(START + 1_000, START + 2_000), at(START + 3_000)).unwrap();
    let before = session.poll_message(at(START + 3_000), true).unwrap();
    let back = record(START - HOUR + 4_000, START - HOUR + 5_000);
    assert_eq!(session.push(&back, at(START - HOUR + 6_000)), Err(NotRepresentable::Times));
    session.system_started(START - HOUR);
    session.push(&back, at(START - HOUR + 6_000)).unwrap();
    let after = session.poll_message(at(START - HOUR + 6_000), true).unwrap();
    let wanted = [(START + 1_000, START + 2_000), (back.start_ms(), back.end_ms())];
    assert_eq!([&before, &after].map(times_of_day), wanted);
    // The first was made by the other start, and is told by that again.
    let sent = session.resume(VecDeque::from([before, after]), at(START - HOUR + 9_000));
    assert_eq!([&sent[0], &sent[1]].map(times_of_day), wanted);
    // Forward again: that one still holds.
    session.system_started(START);
    assert_eq!(session.push(&back, at(START + 10_000)), Ok(()));
}
