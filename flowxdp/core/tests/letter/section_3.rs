//! RFC 7011 section 3: messages, sets, templates and data records.

use std::collections::{BTreeMap, BTreeSet};

use flowxdp_core::exporting::session::Protocol;

use crate::read::{Collector, Record, Specifier, VARIABLE};
use crate::samples::{at, configs, life, session, told};

/// Set ids of templates and options templates.
const fn template_sets(protocol: Protocol) -> [u16; 2] {
    if matches!(protocol, Protocol::V9) { [0, 1] } else { [2, 3] }
}

#[test]
fn version_and_length_are_those_of_the_message() {
    for config in configs() {
        let messages = life(&config);
        for (read, message) in Collector::all(&messages).iter().zip(&messages) {
            if config.protocol == Protocol::V9 {
                assert_eq!((read.version, usize::from(read.length_or_count)), (9, read.records().count()));
            } else {
                assert_eq!((read.version, usize::from(read.length_or_count)), (10, message.bytes.len()));
            }
            assert!(!read.sets.is_empty());
        }
    }
}

#[test]
fn the_sequence_counts_data_records_of_each_domain_and_no_templates() {
    for config in configs().into_iter().filter(|config| config.protocol == Protocol::Ipfix) {
        let mut next = BTreeMap::new();
        for read in Collector::all(&life(&config)) {
            let next = next.entry(read.domain).or_insert(0);
            assert_eq!(read.sequence, *next, "domain {}", read.domain);
            *next += read.data().count() as u32;
        }
        // Options data count too: domain 0 has nothing else.
        assert!(next[&0] > 0 && next[&1] >= 1_200);
    }
}

#[test]
fn every_message_says_the_second_in_which_it_was_made() {
    for config in configs() {
        let mut session = session(&config);
        let messages = told(&mut session, at(1_999), 4);
        for read in Collector::all(&messages) {
            assert_eq!(u64::from(read.time), at(1_000).wall_ms / 1_000);
        }
    }
}

#[test]
fn what_is_true_of_the_whole_process_has_domain_0_and_what_is_of_the_flows_theirs() {
    for config in configs() {
        let mut domains = BTreeMap::<u16, BTreeSet<u32>>::new();
        for read in Collector::all(&life(&config)) {
            for (set, _) in read.data() {
                domains.entry(set).or_default().insert(read.domain);
            }
        }
        for (set, domains) in domains {
            // Flow keys, interfaces and the sampler are those of the flows.
            let expected = if set >= 288 || [275, 276, 279].contains(&set) { 1 } else { 0 };
            assert_eq!(domains, BTreeSet::from([expected]), "set {set}");
        }
    }
}

#[test]
fn sets_have_known_ids_and_records_of_one_kind() {
    for config in configs() {
        let [plain, options] = template_sets(config.protocol);
        for set in Collector::all(&life(&config)).iter().flat_map(|read| &read.sets) {
            assert!(set.id == plain || set.id == options || set.id >= 256, "set {}", set.id);
            assert!(!set.records.is_empty());
            for record in &set.records {
                match record {
                    Record::Template(template) => {
                        assert_eq!(set.id, if template.scopes.is_some() { options } else { plain });
                    }
                    Record::Withdrawal(_) => panic!("nothing was withdrawn"),
                    Record::Data(_) => assert!(set.id >= 256),
                }
            }
        }
    }
}

#[test]
fn sets_are_as_long_as_their_records_and_padding_is_short_and_zero() {
    for config in configs() {
        for set in Collector::all(&life(&config)).iter().flat_map(|read| &read.sets) {
            if config.protocol == Protocol::Ipfix {
                assert_eq!(set.padding, []);
            } else {
                assert_eq!(set.length % 4, 0);
                assert!(set.padding.len() < 4 && set.padding.iter().all(|octet| *octet == 0));
            }
            let data = set.records.iter().filter_map(|record| match record {
                Record::Data(data) => Some(data.iter().map(|(_, octets)| octets.len()).sum::<usize>()),
                _ => None,
            });
            assert!(data.min().is_none_or(|shortest| set.padding.len() < shortest));
        }
    }
}

#[test]
fn template_ids_are_above_255_and_each_means_one_template() {
    for config in configs() {
        let mut collector = Collector::default();
        for message in life(&config) {
            let read = collector.read(&message.bytes);
            assert!(read.templates().all(|template| template.id > 255));
        }
        // The collector has refused a second meaning; templates and options templates share the numbers.
        let ids: BTreeSet<u16> = collector.templates.keys().map(|(_, id)| *id).collect();
        assert_eq!(ids.len(), collector.templates.len());
    }
}

#[test]
fn no_field_is_of_an_enterprise_and_each_is_registered() {
    for config in configs() {
        for template in Collector::all(&life(&config)).iter().flat_map(|read| read.templates()) {
            for (place, field) in template.fields.iter().enumerate() {
                assert_eq!(field.enterprise, None, "a record without names");
                // Scopes of NetFlow v9 have numbers of their own.
                let is_v9_scope =
                    config.protocol == Protocol::V9 && template.scopes.is_some_and(|n| place < n);
                assert!(
                    is_v9_scope || flowxdp_core::elements::registry::get(field.id).is_some(),
                    "{}",
                    field.id
                );
            }
        }
    }
}

#[test]
fn options_templates_have_scopes_first_and_something_to_tell() {
    for config in configs() {
        let reads = Collector::all(&life(&config));
        let templates: Vec<_> = reads.iter().flat_map(|read| read.templates()).collect();
        let scopes: Vec<_> = templates.iter().filter_map(|it| Some((it.scopes?, it.fields.len()))).collect();
        assert!(!scopes.is_empty());
        assert!(scopes.iter().all(|(scopes, fields)| *scopes > 0 && scopes < fields), "{scopes:?}");
    }
}

#[test]
fn a_template_never_has_a_field_of_no_octets() {
    for config in configs() {
        for template in Collector::all(&life(&config)).iter().flat_map(|read| read.templates()) {
            let lengths = template.fields.iter().map(|Specifier { length, .. }| *length);
            assert!(!template.fields.is_empty() && lengths.clone().all(|length| length > 0));
            assert!(config.protocol == Protocol::Ipfix || lengths.clone().all(|length| length < VARIABLE));
        }
    }
}
