//! RFC 7011 section 10, as far as the core decides it: sizes and sequences.

use flowxdp_core::exporting::session::{Protocol, Session, SessionConfig};

use crate::read::Collector;
use crate::samples::{BOTH, SYSTEM_START, at, configs, life, record, session, told};

#[test]
fn no_message_is_longer_than_configured() {
    for config in configs() {
        for max_message in [464, 512, 1_232, 1_472, 8_192] {
            let messages = life(&SessionConfig { max_message, ..config.clone() });
            let longest = messages.iter().map(|message| message.bytes.len()).max().unwrap();
            assert!(longest <= max_message && longest > max_message.min(3_000) / 2, "{longest}");
        }
    }
}

#[test]
fn a_new_limit_holds_for_the_next_message() {
    for config in configs() {
        let mut session = session(&config);
        told(&mut session, at(0), 100);
        session.set_max_message(500).unwrap();
        assert!(told(&mut session, at(1_000), 100).iter().all(|message| message.bytes.len() <= 500));
        assert!(session.set_max_message(100).is_err());
        assert!(told(&mut session, at(2_000), 100).iter().all(|message| message.bytes.len() <= 500));
    }
}

#[test]
fn a_limit_that_the_length_field_cannot_say_is_refused() {
    for protocol in BOTH {
        let with = |max_message| {
            Session::new(SessionConfig { max_message, ..SessionConfig::new(protocol, SYSTEM_START) })
        };
        assert!(with(65_535).is_ok() && with(65_536).is_err());
    }
}

#[test]
fn a_packet_of_512_octets_is_enough_for_every_template_and_record() {
    // Less the headers of IPv6 and UDP.
    for config in configs() {
        let messages = life(&SessionConfig { max_message: 512 - 48, ..config });
        assert!(messages.iter().all(|message| message.bytes.len() <= 464));
    }
}

#[test]
fn messages_that_never_arrived_leave_a_gap() {
    for config in configs() {
        let mut session = session(&config);
        let mut messages = told(&mut session, at(0), 40);
        let lost = told(&mut session, at(1_000), 40);
        messages.extend(told(&mut session, at(2_000), 40));
        let (mut next, mut gap) = (0, 0);
        for read in Collector::all(&messages).iter().filter(|read| read.domain == 1) {
            gap += read.sequence - next;
            let counted = if config.protocol == Protocol::V9 { 1 } else { read.data().count() as u32 };
            next = read.sequence + counted;
        }
        let lost: u32 = lost.iter().filter(|it| it.domain == 1).map(|message| message.counted).sum();
        assert!(lost >= if config.protocol == Protocol::V9 { 2 } else { 40 });
        assert_eq!(gap, lost);
    }
}

#[test]
fn records_wait_no_longer_than_the_linger_for_company() {
    for config in configs() {
        let mut session = session(&config);
        session.push(&record(0), at(0)).unwrap();
        assert!(session.poll_timeout().unwrap() <= at(1_000).monotonic);
        assert!(session.poll_message(at(999), false).is_none());
        assert!(session.poll_message(at(1_000), false).is_some());
    }
}
