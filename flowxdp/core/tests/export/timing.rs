//! When messages leave, and when templates go with them.

use flowxdp_core::clock::{MILLISECOND, Now, SECOND};
use flowxdp_core::exporting::session::{Message, Protocol, Session, SessionConfig, SessionError};
use flowxdp_core::record::RecordTotal;

use crate::collector::Collector;
use crate::samples::{BOTH, SYSTEM_START, at, drain, ipv4, ipv6, session};

/// Number of templates and of records in each message.
fn shape(messages: &[Message]) -> Vec<(usize, usize)> {
    let mut collector = Collector::default();
    let read = messages.iter().map(|message| collector.read(&message.bytes));
    read.map(|read| (read.templates.len(), read.records.len())).collect()
}

/// One message for each second from `from` on.
fn messages(session: &mut Session, from: u64, count: u64) -> Vec<Message> {
    let mut messages = Vec::new();
    for second in from..from + count {
        session.push(&ipv4(6, 443), at(1000 * second)).unwrap();
        messages.extend(drain(session, at(1000 * second), true));
    }
    messages
}

#[test]
fn nothing_leaves_while_there_is_no_record() {
    for protocol in BOTH {
        let mut session = session(protocol);
        assert_eq!(session.poll_timeout(), None);
        assert_eq!(session.poll_message(at(0), true), None);
        assert_eq!(session.poll_message(at(10_000_000), true), None);
    }
}

#[test]
fn templates_come_alone_before_the_first_record() {
    for protocol in BOTH {
        let mut session = session(protocol);
        session.push(&ipv4(6, 443), at(0)).unwrap();
        let first = session.poll_message(at(0), true).unwrap();
        assert!(first.templates_only);
        assert_eq!(first.total, RecordTotal::default());
        let second = session.poll_message(at(0), true).unwrap();
        assert!(!second.templates_only);
        assert_eq!(second.total, RecordTotal { records: 1, packets: 5, octets: 2945 });
        // With it they come again: two datagrams may be read in either order.
        assert_eq!(shape(&[first, second]), [(4, 0), (4, 1)]);
    }
}

#[test]
fn a_part_filled_message_leaves_when_its_oldest_record_has_lingered() {
    for protocol in BOTH {
        let mut session = session(protocol);
        session.push(&ipv4(6, 443), at(0)).unwrap();
        session.push(&ipv6(6, 443), at(700)).unwrap();
        assert_eq!(session.poll_timeout(), Some(at(1000).monotonic));
        assert_eq!(session.poll_message(at(999), false), None);
        assert_eq!(shape(&drain(&mut session, at(1000), false)), [(4, 0), (4, 2)]);
        assert_eq!(session.poll_timeout(), None);
        assert_eq!(session.queued(), RecordTotal::default());
    }
}

#[test]
fn a_full_message_leaves_at_once_and_is_filled() {
    for (protocol, record) in [(Protocol::Ipfix, 60), (Protocol::V9, 52)] {
        let mut session = session(protocol);
        for port in 0..100 {
            session.push(&ipv4(6, port), at(0)).unwrap();
            assert_eq!(session.queued().records, u64::from(port) + 1);
        }
        assert!(session.poll_timeout().unwrap() <= at(0).monotonic);
        let messages = drain(&mut session, at(0), false);
        for message in &messages[1..] {
            assert!(message.bytes.len() > 1472 - record - 4, "{}", message.bytes.len());
        }
        let sent: u64 = messages.iter().map(|message| message.total.records).sum();
        assert_eq!(sent + session.queued().records, 100);
        assert!(session.poll_timeout().unwrap() > at(0).monotonic);
    }
}

#[test]
fn records_go_oldest_first_one_set_for_each_kind() {
    for protocol in BOTH {
        let mut session = session(protocol);
        for port in 0..60 {
            let record = if port % 3 == 0 { ipv6(6, port) } else { ipv4(6, port) };
            session.push(&record, at(0)).unwrap();
        }
        let mut collector = Collector::default();
        let mut ports = Vec::new();
        for message in drain(&mut session, at(0), true) {
            let read = collector.read(&message.bytes);
            let sets = read.records.chunk_by(|one, next| one.set == next.set).count();
            assert!(sets <= 2);
            let mut here: Vec<_> = read.records.iter().map(|data| data.fields[3].1[1]).collect();
            here.sort_unstable();
            ports.push(here);
        }
        // A record overtakes no more than those for which its message had no room left.
        for (message, here) in ports.iter().enumerate() {
            let later = ports.iter().skip(message + 1).flatten().min();
            assert!(later.zip(here.last()).is_none_or(|(later, last)| *last <= later + 3));
        }
    }
}

#[test]
fn templates_are_in_every_twentieth_message() {
    for protocol in BOTH {
        let messages = messages(&mut session(protocol), 0, 61);
        let with: Vec<_> = (0..messages.len()).filter(|i| shape(&messages)[*i].0 == 4).collect();
        // Alone, and then in the first message of data and each twentieth after it.
        assert_eq!(with, [0, 1, 21, 41, 61]);
        assert_eq!(shape(&messages)[21], (4, 1));
    }
}

#[test]
fn templates_go_again_after_a_minute() {
    for protocol in BOTH {
        let mut session = session(protocol);
        let mut sent = messages(&mut session, 0, 1);
        sent.extend(messages(&mut session, 59, 3));
        assert_eq!(shape(&sent), [(4, 0), (4, 1), (0, 1), (4, 1), (0, 1)]);
    }
}

#[test]
fn a_jump_of_the_clock_sends_them_once() {
    for protocol in BOTH {
        let mut session = session(protocol);
        let mut sent = messages(&mut session, 0, 1);
        sent.extend(messages(&mut session, 1_000_000, 3));
        assert_eq!(shape(&sent), [(4, 0), (4, 1), (4, 1), (0, 1), (0, 1)]);
    }
}

#[test]
fn a_restart_sends_them_alone_and_goes_on_counting() {
    for protocol in BOTH {
        let mut session = session(protocol);
        let mut sent = messages(&mut session, 0, 3);
        session.push(&ipv4(6, 1), at(3000)).unwrap();
        session.restart();
        sent.extend(messages(&mut session, 4, 1));
        // The collector of `shape` has judged the sequence.
        assert_eq!(shape(&sent), [(4, 0), (4, 1), (0, 1), (0, 1), (4, 0), (4, 2)]);
    }
}

#[test]
fn templates_that_leave_no_room_go_alone() {
    for protocol in BOTH {
        let mut config = SessionConfig::new(protocol, SYSTEM_START);
        (config.max_message, config.template_messages, config.template_interval) = (400, 0, 0);
        let mut session = Session::new(config).unwrap();
        let sent = messages(&mut session, 0, 3);
        assert_eq!(shape(&sent), [(4, 0), (0, 1), (4, 0), (0, 1), (4, 0), (0, 1)]);
    }
}

#[test]
fn a_size_that_cannot_be_is_refused_with_the_one_that_can() {
    for protocol in BOTH {
        let with = |max_message| {
            Session::new(SessionConfig { max_message, ..SessionConfig::new(protocol, SYSTEM_START) })
        };
        let Err(SessionError::MessageTooSmall { needed, .. }) = with(100) else { panic!("100 was taken") };
        assert!(needed < 512);
        assert!(with(needed).is_ok());
        assert!(with(needed - 1).is_err());
        assert!(with(65_535).is_ok());
        assert!(with(65_536).unwrap_err().to_string().contains("65536 octets are too large"));
        let text = with(0).unwrap_err().to_string();
        assert_eq!(text, format!("messages of 0 octets are too small: {protocol} needs at least {needed}"));
    }
}

#[test]
fn a_message_of_the_largest_size_is_written() {
    for protocol in BOTH {
        let config = SessionConfig { max_message: 65_535, ..SessionConfig::new(protocol, SYSTEM_START) };
        let mut session = Session::new(config).unwrap();
        for port in 0..2000 {
            session.push(&ipv4(6, port), at(0)).unwrap();
        }
        let sent = drain(&mut session, at(0), true);
        assert!(sent[1].bytes.len() > 65_000);
        assert_eq!(shape(&sent).iter().map(|(_, records)| records).sum::<usize>(), 2000);
    }
}

#[test]
fn export_time_is_whole_seconds_and_never_goes_back() {
    let mut session = session(Protocol::Ipfix);
    let mut collector = Collector::default();
    let mut times = Vec::new();
    for (step, wall_ms) in [5_999, 6_000, 1_000, 7_001].into_iter().enumerate() {
        let now = Now::new(SECOND + step as u64 * MILLISECOND, wall_ms);
        session.push(&ipv4(6, 1), now).unwrap();
        for message in drain(&mut session, now, true) {
            times.push(collector.read(&message.bytes).export_secs);
        }
    }
    assert_eq!(times, [5, 5, 6, 6, 7]);
}
