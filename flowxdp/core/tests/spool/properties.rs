//! A session's messages read back; arbitrary octets do no harm.

use flowxdp_core::clock::Now;
use flowxdp_core::exporting::options::Snapshot;
use flowxdp_core::exporting::session::{Session, SessionConfig};
use flowxdp_core::exporting::spool::{Messages, Start, Templates, begin, export_secs, stamp};
use flowxdp_core::record::{Addresses, Flow, FlowKey, FlowRecord, RecordTotal};
use flowxdp_core::samples;
use proptest::prelude::*;

use crate::{message, set};

const T0: u64 = 1_793_700_000_000;

fn record() -> impl Strategy<Value = FlowRecord> {
    let numbers = (1..1_u64 << 40, 28..1_u64 << 50);
    (any::<bool>(), any::<u16>(), any::<bool>(), numbers).prop_map(
        |(is_ipv4, port, is_icmp, (packets, octets))| {
            Flow {
                key: FlowKey {
                    addresses: if is_ipv4 {
                        Addresses::V4 { source: [192, 0, 2, 1], destination: [192, 0, 2, 2] }
                    } else {
                        Addresses::V6 { source: [1; 16], destination: [2; 16] }
                    },
                    source_port: port,
                    protocol: if is_icmp { 1 } else { 17 },
                    ..samples::KEY
                },
                packets,
                octets,
                start_ms: T0,
                end_ms: T0,
                ..samples::FLOW
            }
            .into()
        },
    )
}

/// Messages made of octets that are nearly right.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let octets = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        // Words that ids, counts and lengths often are.
        prop::collection::vec(
            prop::sample::select(vec![0, 1, 2, 4, 8, 255, 256, 257, 300, 0x8001, 0xffff]),
            0..40
        )
        .prop_map(|words: Vec<u16>| crate::words(&words)),
    ];
    let id = prop_oneof![Just(2), Just(3), Just(256), Just(257), any::<u16>()];
    let set = (id, octets).prop_map(|(id, octets)| set(id, &octets));
    let whole = prop::collection::vec(set, 0..6).prop_map(|sets| message(&sets));
    let message = (whole, 0_usize..100, any::<u8>()).prop_map(|(mut bytes, at, octet)| {
        // One octet in three messages is another.
        if let Some(place) = bytes.get_mut(at).filter(|_| octet % 3 == 0) {
            *place = octet;
        }
        bytes
    });
    prop::collection::vec(message, 0..8).prop_map(|messages| messages.concat())
}

/// Reads a file and checks the properties of all files.
fn check(file: &[u8]) {
    let (mut messages, mut templates) = (Messages::new(file), Templates::default());
    let mut octets = 0;
    for message in messages.by_ref() {
        octets += message.len();
        let content = templates.read(message);
        assert_eq!(content.export_secs, export_secs(message));
        assert!(u64::from(content.counted) >= content.total.records);
        assert!(content.counted as usize <= message.len());
        for definition in templates.definitions(content.domain) {
            assert!(definition.octets.starts_with(&definition.id.to_be_bytes()));
        }
        // The definitions given suffice to send the templates again.
        let definitions = templates.definitions(content.domain);
        let mut again = Templates::default();
        for message in Messages::new(&begin(content.domain, &definitions, 5)) {
            assert_eq!(again.read(message).fault, None);
        }
        assert_eq!(again.definitions(content.domain), definitions);
    }
    assert_eq!(octets, messages.whole());
    assert!(!matches!(messages.rest(), Start::Message(_)));
}

proptest! {
    #[test]
    fn any_octets_are_read(file in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&file);
    }

    #[test]
    fn octets_that_are_nearly_right_are_read(file in nearly()) {
        check(&file);
    }

    #[test]
    fn what_a_session_made_reads_back(records in prop::collection::vec(record(), 1..400), with_options in any::<bool>()) {
        let mut session = Session::new(SessionConfig::reliable(T0 - 1000)).unwrap();
        let now = Now::new(0, T0);
        if with_options {
            session.offer(&Snapshot { process: 1, name: "here".to_owned(), ..Snapshot::default() }, now, true);
        }
        let mut expected = RecordTotal::default();
        for record in &records {
            session.push(record, now).unwrap();
            expected.count(record);
        }
        let messages: Vec<_> = std::iter::from_fn(|| session.poll_message(now, true)).collect();
        let file: Vec<u8> = messages.iter().flat_map(|message| message.bytes.clone()).collect();
        let (mut read, mut templates, mut total) = (Messages::new(&file), Templates::default(), RecordTotal::default());
        for (octets, made) in read.by_ref().zip(&messages) {
            let content = templates.read(octets);
            prop_assert_eq!((content.total, content.counted, content.domain), (made.total, made.counted, made.domain));
            prop_assert_eq!((content.fault, u64::from(content.export_secs)), (None, T0 / 1000));
            total += content.total;
        }
        prop_assert_eq!((total, read.rest()), (expected, Start::End));
        // A file begins with these definitions, and with those of records that did not come.
        let all = session.templates();
        let told = templates.definitions(1);
        let told: Vec<_> = told.iter().filter(|definition| !definition.is_options).collect();
        prop_assert!(!told.is_empty() && told.into_iter().all(|definition| all.contains(definition)));
        check(&file);
        // A stamp makes no difference but in the header.
        let mut stamped = messages.last().unwrap().bytes.clone();
        stamp(&mut stamped, 77, 88);
        let content = templates.read(&stamped);
        prop_assert_eq!((content.sequence, content.export_secs, content.fault), (77, 88, None));
        // And of a file that is cut, all before the cut is there.
        for end in (0..file.len()).step_by(file.len() / 50 + 1) {
            check(&file[..end]);
        }
    }
}
