//! RFC 7011 section 8: the life of templates over UDP, and over TCP and TLS.

use std::collections::BTreeSet;

use flowxdp_core::clock::{Now, SECOND};
use flowxdp_core::exporting::session::{Definition, Message, Protocol, SessionConfig};

use crate::read::{Collector, Read, Record, Template};
use crate::samples::{
    SYSTEM_START, aggregate, at, configs, drain, life, record, session, told, usual, with_upper_flags,
};

fn tcp() -> SessionConfig {
    SessionConfig::reliable(SYSTEM_START)
}

fn udp() -> [SessionConfig; 2] {
    [Protocol::Ipfix, Protocol::V9].map(|protocol| SessionConfig::new(protocol, SYSTEM_START))
}

/// Ids of flow templates in each message.
fn templates(reads: &[Read]) -> Vec<Vec<u16>> {
    let flows = |read: &Read| read.templates().filter(|it| it.scopes.is_none()).map(|it| it.id).collect();
    reads.iter().map(flows).collect()
}

#[test]
fn no_data_leaves_before_its_template() {
    for config in configs() {
        // The collector panics otherwise.
        assert!(Collector::all(&life(&config)).iter().flat_map(Read::data).count() > 1_200);
    }
}

#[test]
fn in_one_message_templates_stand_before_their_data() {
    for config in udp() {
        let reads = Collector::all(&life(&SessionConfig { template_messages: 2, ..config }));
        let mixed: Vec<_> =
            reads.iter().filter(|it| it.templates().count() > 0 && it.data().count() > 0).collect();
        assert!(mixed.len() > 20);
        for read in mixed {
            let places = |is_data| read.sets.iter().position(|set| (set.id >= 256) == is_data).unwrap();
            assert!(places(false) < places(true));
        }
    }
}

#[test]
fn over_udp_every_template_comes_again_at_the_interval_and_not_before() {
    for config in udp() {
        for minutes in [1, 7] {
            let config = SessionConfig {
                template_interval: minutes * 60 * SECOND,
                template_messages: u32::MAX,
                ..config.clone()
            };
            let mut session = session(&config);
            let mut collector = Collector::default();
            let mut seen = Vec::new();
            for minute in 0..29 {
                session.push(&record(0), at(60_000 * minute)).unwrap();
                for message in drain(&mut session, at(60_000 * minute)) {
                    let read = collector.read(&message.bytes);
                    let ids: Vec<_> = read.templates().map(|template| template.id).collect();
                    assert!(ids.is_empty() || ids == usual(config.protocol));
                    seen.extend(ids.first().map(|_| minute));
                }
            }
            // At the start alone, and with the first data.
            assert_eq!(seen.remove(0), seen[0]);
            assert_eq!(seen, (0..29).step_by(minutes as usize).collect::<Vec<_>>());
        }
    }
}

#[test]
fn over_udp_every_template_comes_again_after_so_many_messages() {
    for config in udp() {
        for count in [3, 10] {
            let mut session = session(&SessionConfig { template_messages: count, ..config.clone() });
            let mut messages = Vec::new();
            for ms in 0..60 {
                session.push(&record(0), at(ms)).unwrap();
                messages.extend(drain(&mut session, at(ms)));
            }
            let with = templates(&Collector::all(&messages));
            for (place, ids) in with.iter().enumerate() {
                let due = place == 0 || (place - 1).is_multiple_of(count as usize);
                assert_eq!(*ids == usual(config.protocol), due, "message {place}");
            }
        }
    }
}

#[test]
fn over_udp_options_templates_come_again_too() {
    for config in udp() {
        let mut ids: Vec<u16> = Vec::new();
        let reads = Collector::all(&life(&config));
        ids.extend(reads.iter().flat_map(Read::templates).filter(|it| it.scopes.is_some()).map(|it| it.id));
        let of = |id: u16| ids.iter().filter(|other| **other == id).count();
        assert!(!ids.is_empty() && ids.iter().all(|id| of(*id) >= 3), "{ids:?}");
    }
}

#[test]
fn over_udp_nothing_is_ever_withdrawn() {
    for config in udp() {
        let mut session = session(&config);
        let mut messages = told(&mut session, at(0), 40);
        session.restart();
        messages.extend(told(&mut session, at(1_000), 40));
        session.set_max_message(600).unwrap();
        let unsent = told(&mut session, at(2_000), 40).into();
        messages.extend(session.resume(unsent, at(3_000)));
        messages.extend(told(&mut session, at(700_000), 40));
        let withdrawn = Collector::all(&messages).iter().map(|read| read.withdrawals().len()).sum::<usize>();
        assert_eq!((withdrawn, messages.len() > 10), (0, true));
    }
}

#[test]
fn over_udp_a_template_keeps_its_meaning_for_good() {
    for config in udp() {
        // The collector panics when a template changes.
        let mut session = session(&config);
        let mut messages = told(&mut session, at(0), 40);
        for max in [600, 9_000, 1_232] {
            session.set_max_message(max).unwrap();
            session.restart();
            messages.extend(told(&mut session, at(max as u64), 40));
        }
        Collector::all(&messages);
    }
}

#[test]
fn the_first_message_of_a_udp_session_is_templates_alone() {
    for config in udp() {
        let mut session = session(&config);
        session.push(&record(0), at(0)).unwrap();
        let reads = Collector::all(&drain(&mut session, at(0)));
        // Two datagrams may be read in either order: the first data have their templates with them.
        assert_eq!(templates(&reads), [usual(config.protocol), usual(config.protocol)]);
        assert_eq!((reads[0].data().count(), reads[1].data().count()), (0, 1));
    }
}

#[test]
fn over_tcp_templates_go_out_once_and_all_again_in_a_new_session() {
    let mut session = session(&tcp());
    let first: Vec<_> = (0..200).flat_map(|ms| told(&mut session, at(60_000 * ms), 20)).collect();
    session.begin();
    let second = told(&mut session, at(13_000_000), 20);
    for messages in [&first, &second] {
        let reads = Collector::all(messages);
        let mut ids: Vec<u16> = reads.iter().flat_map(Read::templates).map(|template| template.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [275, 276, 277, 279, 280, 281, 282, 292, 293, 294, 295]);
        assert!(reads.iter().all(|read| read.withdrawals().is_empty()));
    }
    assert!(Collector::all(&second).iter().any(|read| read.domain == 1 && read.sequence == 0));
}

/// Ours, then a message that was written with `foreign`, then ours again.
fn with_foreign(domain: u32, foreign: &[Definition], data: &[u8]) -> Vec<Message> {
    let mut session = session(&tcp());
    let mut messages = told(&mut session, at(0), 8);
    // One set of data behind the header.
    let length = (16 + data.len() as u16).to_be_bytes();
    let bytes = [&[0, 10][..], &length, &[0; 8], &domain.to_be_bytes(), data].concat();
    let message = Message { bytes, domain, counted: 1, ..Message::default() };
    messages.extend(session.again(message, Some(foreign), at(1_000)));
    messages.extend(told(&mut session, at(2_000), 8));
    messages
}

#[test]
fn over_tcp_an_id_is_withdrawn_by_set_2_before_it_means_something_else() {
    let messages = with_foreign(1, &[flows(292)], &address(292));
    let reads = Collector::all(&messages);
    let withdrawn: Vec<_> =
        reads.iter().flat_map(|read| &read.sets).filter(|set| is_withdrawal(set)).collect();
    // Before theirs, and before ours came back.
    assert_eq!(withdrawn.iter().map(|set| (set.id, set.length)).collect::<Vec<_>>(), [(2, 8), (2, 8)]);
    assert!(reads.iter().flat_map(Read::data).any(|(_, data)| *data == [(8, vec![192, 0, 2, 9])]));
}

/// A foreign template of flow records, with one address in it.
fn flows(id: u16) -> Definition {
    Definition { id, is_options: false, octets: [&id.to_be_bytes()[..], &[0, 1, 0, 8, 0, 4]].concat() }
}

/// A set of such a record.
fn address(id: u16) -> Vec<u8> {
    [&id.to_be_bytes()[..], &[0, 8, 192, 0, 2, 9]].concat()
}

#[test]
fn over_tcp_options_templates_are_withdrawn_by_set_3() {
    // Flow records of another exporter, whose template has the number of one of our options templates: of
    // the flow keys, and of the whole process.
    for (domain, id) in [(1, 275), (0, 280)] {
        let reads = Collector::all(&with_foreign(domain, &[flows(id)], &address(id)));
        let sets = reads.iter().flat_map(|read| &read.sets);
        let withdrawn: Vec<_> = sets.filter(|set| is_withdrawal(set)).collect();
        // Ours for theirs, then theirs for ours.
        assert_eq!(withdrawn.iter().map(|set| (set.id, set.length)).collect::<Vec<_>>(), [(3, 8), (2, 8)]);
        assert!(withdrawn.iter().all(|set| set.records == [Record::Withdrawal(id)]));
    }
}

#[test]
fn over_tcp_our_options_templates_come_back() {
    let octets = vec![1, 24, 0, 2, 0, 1, 0, 149, 0, 4, 0, 41, 0, 4];
    let options = Definition { id: 280, is_options: true, octets };
    // Theirs of options are not told at all, and theirs of flows give way.
    for (domain, foreign, data) in
        [(1, vec![options, flows(292)], address(292)), (0, vec![flows(280)], address(280))]
    {
        let messages = with_foreign(domain, &foreign, &data);
        let reads = Collector::all(&messages);
        let fields = |template: &Template| template.fields.iter().map(|field| field.id).collect::<Vec<_>>();
        let ours = reads.iter().flat_map(Read::templates).filter(|it| it.id == 280 && it.scopes.is_some());
        assert!(ours.map(fields).all(|ids| ids == [149, 143, 41, 42, 40]));
        let last = reads.iter().flat_map(Read::data).filter(|(set, _)| *set == 280).last().unwrap();
        assert_eq!(last.1.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [149, 143, 41, 42, 40]);
    }
}

fn is_withdrawal(set: &crate::read::Set) -> bool {
    set.records.iter().any(|record| matches!(record, Record::Withdrawal(_)))
}

#[test]
fn withdrawals_share_no_set_with_definitions() {
    let reads = Collector::all(&with_foreign(1, &[flows(292)], &address(292)));
    for set in reads.iter().flat_map(|read| &read.sets).filter(|set| is_withdrawal(set)) {
        assert!(set.records.iter().all(|record| matches!(record, Record::Withdrawal(_))));
    }
}

#[test]
fn no_message_is_older_than_the_template_of_its_data() {
    for config in configs() {
        let mut session = session(&config);
        let mut messages = Vec::new();
        // The clock of the day steps back by a minute, a day, to 1970.
        for (step, back) in [0, 60_000, 86_400_000, at(0).wall_ms].into_iter().enumerate() {
            let now = at(1_000 * step as u64);
            let now = Now { wall_ms: now.wall_ms.saturating_sub(back), ..now };
            messages.extend(told(&mut session, now, 20));
            if !config.reliable {
                session.restart();
            }
        }
        let reads = Collector::all(&messages);
        assert!(reads.is_sorted_by_key(|read| read.time));
    }
}

#[test]
fn templates_say_each_element_in_one_place_or_in_their_order_in_time() {
    for config in configs() {
        let reads = Collector::all(&told(&mut session(&config), at(0), 8));
        for template in reads.iter().flat_map(Read::templates) {
            let ids: Vec<u16> = template.fields.iter().map(|field| field.id).collect();
            let again = ids.iter().filter(|id| ids.iter().filter(|other| other == id).count() > 1);
            // First and last time; the tests of section 4 check their values.
            assert!(again.copied().all(|id| id == 323), "template {}", template.id);
        }
    }
}

#[test]
fn the_flow_keys_template_is_told_with_those_it_speaks_of() {
    for config in configs().into_iter().filter(|it| it.reliable || it.flow_keys) {
        let reads = Collector::all(&life(&config));
        let with_flows = templates(&reads).iter().filter(|ids| !ids.is_empty()).count();
        for read in &reads {
            let ids: Vec<u16> = read.templates().map(|it| it.id).collect();
            let flows = ids.contains(&292);
            assert!(!flows || ids == [292, 293, 294, 295, 275], "{ids:?}");
        }
        // Options data about the templates follow them, with the flows.
        let keys = reads.iter().flat_map(Read::data).filter(|(set, _)| *set == 275).count();
        assert_eq!((keys, with_flows > 0), (4 * with_flows, true));
    }
}

#[test]
fn templates_of_one_moment_share_a_message() {
    for config in udp() {
        let reads = Collector::all(&life(&config));
        let flows = templates(&reads);
        assert!(flows.iter().all(|ids| ids.is_empty() || *ids == usual(config.protocol)));
        for domain in [0, 1] {
            let of = reads.iter().filter(|it| it.domain == domain);
            let options = of.filter(|it| it.templates().any(|template| template.scopes.is_some()));
            let counts: Vec<usize> = options.map(|read| read.templates().count()).collect();
            assert!(counts.len() > 1 && counts.windows(2).all(|pair| pair[0] == pair[1]), "{counts:?}");
        }
    }
}

#[test]
fn every_first_data_has_its_templates_in_front_of_it() {
    for config in configs() {
        let mut session = session(&config);
        let mut messages = told(&mut session, at(0), 8);
        for record in [aggregate(), with_upper_flags(), aggregate().with(|flow| flow.tcp_flags = 0xf00)] {
            session.push(&record, at(0)).unwrap();
            messages.extend(drain(&mut session, at(0)));
        }
        let reads = Collector::all(&messages);
        let mut known = BTreeSet::new();
        for read in &reads {
            let here: BTreeSet<u16> = read.templates().map(|template| template.id).collect();
            for (set, _) in read.data() {
                // Over TCP and TLS nothing overtakes: the usual ones are told once, at the start.
                let before = config.reliable && (usual(config.protocol).contains(&set) || set == 275);
                assert!(here.contains(&set) || known.contains(&set) || before, "set {set}");
                known.insert(set);
            }
        }
        let forms: BTreeSet<u16> = known.iter().filter(|id| **id >= 288).map(|id| id / 4 * 4).collect();
        let expected =
            if config.protocol == Protocol::V9 { vec![288, 300] } else { vec![288, 292, 296, 300] };
        assert!(forms.into_iter().eq(expected));
    }
}

#[test]
fn over_tcp_templates_of_aggregates_go_out_once_with_the_first_of_them() {
    let mut session = session(&tcp());
    let mut messages = told(&mut session, at(0), 8);
    for ms in 0..100 {
        session.push(&aggregate(), at(ms)).unwrap();
        messages.extend(drain(&mut session, at(ms)));
    }
    let reads = Collector::all(&messages);
    let with: Vec<&Read> = reads.iter().filter(|it| it.templates().any(|it| it.id == 300)).collect();
    assert_eq!((with.len(), with[0].data().filter(|(set, _)| *set == 300).count()), (1, 1));
}

#[test]
fn each_options_template_has_a_set_of_its_own() {
    for config in configs() {
        let mut count = 0;
        for set in Collector::all(&life(&config)).iter().flat_map(|read| &read.sets) {
            let options = |record: &Record| matches!(record, Record::Template(it) if it.scopes.is_some());
            count += set.records.iter().filter(|record| options(record)).count();
            assert!(!set.records.iter().any(options) || set.records.len() == 1);
        }
        assert!(count >= 5);
    }
}
