//! Messages that RFC 7011 allows and we do not make, and messages that it does not allow.

use flowxdp_core::exporting::spool::{Content, Fault, MOST_TEMPLATES, Templates};
use flowxdp_core::record::RecordTotal;

use crate::{message, set, words};

const VARIABLE: u16 = 0xffff;

const fn total(records: u64, packets: u64, octets: u64) -> RecordTotal {
    RecordTotal { records, packets, octets }
}

/// The content of the last of these messages.
fn last(messages: &[Vec<u8>]) -> Content {
    let mut templates = Templates::default();
    messages.iter().map(|message| templates.read(message)).last().unwrap()
}

/// A message of a template, and one of data that it describes.
fn read(template: &[u16], data: &[u8]) -> Content {
    last(&[message(&[set(2, &words(template))]), message(&[set(template[0], data)])])
}

#[test]
fn counters_are_read_at_any_length_and_place() {
    for length in 1..=8_u16 {
        let mut data = vec![0; 2 * usize::from(length) + 1];
        data[usize::from(length) - 1] = 7;
        data[2 * usize::from(length) - 1] = 9;
        let content = read(&[256, 3, 2, length, 1, length, 4, 1], &data.repeat(3));
        assert_eq!((content.total, content.counted, content.fault), (total(3, 21, 27), 3, None));
        assert_eq!((content.domain, content.export_secs, content.sequence), (1, 1000, 7));
    }
    // Not a counter, but a field all the same.
    for length in [0, 9, 200] {
        let data = vec![1; usize::from(length) + 1];
        let content = read(&[256, 2, 2, length, 1, 1], &data);
        assert_eq!((content.total, content.fault), (total(1, 0, 1), None), "{length}");
    }
}

#[test]
fn sums_stop_at_the_largest_number() {
    let content = read(&[300, 2, 1, 8, 2, 8], &[0xff; 48]);
    assert_eq!(content.total, total(3, u64::MAX, u64::MAX));
}

#[test]
fn fields_of_enterprises_count_nothing_and_are_stepped_over() {
    // Element 2 of enterprise 9, then packetDeltaCount.
    let content = read(&[256, 2, 0x8002, 4, 0, 9, 2, 2], &[0, 0, 0, 5, 0, 6]);
    assert_eq!((content.total, content.fault), (total(1, 6, 0), None));
    let content = last(&[message(&[set(2, &words(&[256, 1, 0x8002, 4, 0]))])]);
    assert_eq!(content.fault, Some(Fault::Template));
}

#[test]
fn values_of_variable_length_say_it_in_one_octet_or_three() {
    // interfaceName, then packetDeltaCount of variable length too.
    let template = [256, 2, 82, VARIABLE, 2, VARIABLE];
    let short = [&[3][..], b"eth", &[1, 5]].concat();
    let long = [&[255, 1, 44][..], &[b'x'; 300], &[255, 0, 2, 1, 0]].concat();
    let empty = vec![0, 0];
    let data = [short.clone(), long, empty].concat();
    let content = read(&template, &data);
    assert_eq!((content.total, content.fault), (total(3, 261, 0), None));
    for end in 2..short.len() {
        assert_eq!(read(&template, &short[..end]).fault, Some(Fault::Record), "{end}");
    }
    assert_eq!(read(&template, &[255, 255, 255, 0]).fault, Some(Fault::Record));
}

#[test]
fn records_of_options_count_in_the_sequence_alone() {
    let options = set(3, &words(&[999, 2, 1, 10, 4, 2, 8]));
    let flows = set(2, &words(&[256, 1, 2, 1]));
    let data = [set(999, &[1; 24]), set(256, &[2, 3])];
    let content = last(&[message(&[options, flows, data.concat()])]);
    assert_eq!((content.total, content.counted, content.fault), (total(2, 5, 0), 4, None));
    assert!(content.has_templates);
    for scope in [0, 3] {
        let content = last(&[message(&[set(3, &words(&[999, 2, scope, 10, 4, 2, 8]))])]);
        assert_eq!(content.fault, Some(Fault::Template));
    }
}

#[test]
fn withdrawn_templates_are_unknown_and_defined_ones_are_kept_in_order() {
    let define =
        message(&[set(2, &words(&[300, 1, 2, 1, 256, 1, 2, 1])), set(3, &words(&[257, 1, 1, 10, 4]))]);
    let data = |id| message(&[set(id, &[1; 4])]);
    let mut templates = Templates::default();
    let _ = templates.read(&define);
    let ids = |templates: &Templates| -> Vec<(u16, bool)> {
        templates.definitions(1).iter().map(|it| (it.id, it.is_options)).collect()
    };
    assert_eq!(ids(&templates), [(256, false), (257, true), (300, false)]);
    assert_eq!(templates.definitions(1)[1].octets, words(&[257, 1, 1, 10, 4]));
    assert_eq!(templates.definitions(0), []);
    let cases: [(u16, u16, &[u16]); 3] = [(2, 300, &[256, 257]), (2, 2, &[257]), (3, 3, &[256, 300])];
    for (kind, id, left) in cases {
        let mut templates = templates.clone();
        let content = templates.read(&message(&[set(kind, &words(&[id, 0]))]));
        assert_eq!((content.fault, content.has_templates), (None, true));
        for id in [256, 257, 300] {
            let fault = templates.read(&data(id)).fault;
            assert_eq!(fault, if left.contains(&id) { None } else { Some(Fault::UnknownTemplate(id)) });
        }
    }
    // In another domain they are others.
    let mut elsewhere = data(256);
    elsewhere[15] = 2;
    assert_eq!(templates.read(&elsewhere).fault, Some(Fault::UnknownTemplate(256)));
}

#[test]
fn a_fault_leaves_what_else_is_in_the_message() {
    let template = set(2, &words(&[256, 1, 2, 2]));
    let data = set(256, &[0, 5, 0, 6]);
    let cases = [
        (vec![set(77, &[1])], Fault::Reserved(77)),
        (vec![set(400, &[1])], Fault::UnknownTemplate(400)),
        (vec![set(2, &words(&[9, 1, 2, 2]))], Fault::Template),
        (vec![set(2, &words(&[257, 0xffff, 2, 2]))], Fault::Template),
        (vec![set(2, &words(&[257, 1, 2, 0])), set(257, &[1])], Fault::NoOctets),
    ];
    for (sets, fault) in cases {
        let content = last(&[message(&[template.clone(), sets.concat(), data.clone()])]);
        assert_eq!((content.fault, content.total), (Some(fault), total(2, 11, 0)));
    }
    for length in [0, 3, 9, 0xffff] {
        let content = last(&[message(&[template.clone(), data.clone(), words(&[256, length, 1, 1])])]);
        assert_eq!((content.fault, content.total), (Some(Fault::Set), total(2, 11, 0)));
    }
    let whole = message(&[template, data]);
    for wrong in [&whole[..whole.len() - 1], &[whole.clone(), vec![0]].concat(), &[]] {
        assert_eq!(last(&[wrong.to_vec()]), Content { fault: Some(Fault::Message), ..Content::default() });
    }
}

#[test]
fn padding_is_no_record() {
    let template = set(2, &[words(&[256, 2, 2, 2, 1, 2]), vec![0; 3]].concat());
    let content = last(&[message(&[template, set(256, &[0, 1, 0, 2, 0, 0, 0])])]);
    assert_eq!((content.total, content.fault), (total(1, 1, 2), None));
}

#[test]
fn no_more_templates_are_kept_than_is_said() {
    let mut templates = Templates::default();
    let mut kept = 0;
    let mut refused = false;
    for id in 256..400 {
        let fields = words(&[1, 4]).repeat(10_000);
        let content = templates.read(&message(&[set(2, &[words(&[id, 10_000]), fields].concat())]));
        kept += usize::from(content.fault.is_none());
        refused |= content.fault == Some(Fault::TooManyTemplates);
    }
    let octets: usize = templates.definitions(1).iter().map(|it| it.octets.len()).sum();
    assert!(refused && octets <= MOST_TEMPLATES && octets == kept * 40_004);
    // Withdrawn templates make room.
    let _ = templates.read(&message(&[set(2, &words(&[2, 0]))]));
    assert_eq!(templates.read(&message(&[set(2, &words(&[500, 1, 1, 4]))])).fault, None);
}
