//! RFC 7011 section 7, variable lengths; RFC 5610, types of an enterprise's elements; RFC 6759, applications.

use std::collections::{BTreeMap, VecDeque};

use flowxdp_core::elements::application::{APPLICATIONS, Application};
use flowxdp_core::elements::data_type::DataType;
use flowxdp_core::elements::{ELEMENTS, NTOP};
use flowxdp_core::exporting::session::{Message, Protocol, Session, SessionConfig};
use flowxdp_core::record::Entry;
use flowxdp_core::record::tail::{self, Text};

use crate::read::{Collector, Data, Read, VARIABLE, number, values};
use crate::samples::{SYSTEM_START, at, configs, drain, record, session, told, with_names};

/// Octets of the extension row in front of a tail: two MAC addresses, and up to a multiple of 8.
const ROW: usize = 16;

/// The text of a record, and the column that has it: of all lengths that there are, and a few that are cut.
fn text(record: u16) -> (usize, String) {
    let length = [0_usize, 1, 11, 253, 254, 255, 256, 300][usize::from(record / 3 % 8)];
    let letter = char::from(b'a' + (record % 26) as u8);
    (usize::from(record % 3), letter.to_string().repeat(length))
}

/// Pushes records with MAC addresses and names, and gives the messages.
fn exported(session: &mut Session, records: std::ops::Range<u16>) -> Vec<Message> {
    for number in records {
        let (column, text) = text(number);
        let mut row = vec![number as u8; ROW];
        tail::write(Application::HTTPS.number(), Some((Text::ALL[column], &text)), &mut row);
        session.push(Entry { record: &record(number), more: &row }, at(0)).unwrap();
    }
    drain(session, at(0))
}

/// The texts of data records of flows, by the octet of their MAC addresses, without zeros that fill them up.
fn texts(messages: &[Message], elements: [u16; 3]) -> BTreeMap<u64, Vec<[String; 3]>> {
    let mut found = BTreeMap::<u64, Vec<[String; 3]>>::new();
    for (set, data) in Collector::all(messages).iter().flat_map(Read::data) {
        if set < 288 {
            continue;
        }
        assert_eq!(field(data, 95), 0x0300_01bbu32.to_be_bytes());
        let mac = field(data, 56);
        assert!(mac.iter().all(|octet| *octet == mac[0]));
        assert!(
            data.iter().all(|(_, octets)| !octets.is_empty()),
            "decoders exist that refuse an empty value"
        );
        let text = |id| {
            let octets =
                data.iter().find(|(element, _)| *element == id).map_or(&[][..], |(_, octets)| octets);
            String::from_utf8(octets.to_vec()).unwrap().trim_end_matches('\0').to_owned()
        };
        found.entry(u64::from(mac[0])).or_default().push(elements.map(text));
    }
    // Records with different texts have messages of their own, and so an order of their own.
    found.values_mut().for_each(|texts| texts.sort());
    found
}

fn field(data: &Data, id: u16) -> &[u8] {
    &data.iter().find(|(element, _)| *element == id).unwrap().1
}

/// The texts that [`exported`] pushed, with at most so many octets each.
fn expected(records: std::ops::Range<u16>, most: usize) -> BTreeMap<u64, Vec<[String; 3]>> {
    let mut expected = BTreeMap::<u64, Vec<[String; 3]>>::new();
    for number in records {
        let (column, mut text) = text(number);
        text.truncate(most);
        let mut texts = [const { String::new() }; 3];
        texts[column] = text;
        expected.entry(u64::from(number as u8)).or_default().push(texts);
    }
    expected.values_mut().for_each(|texts| texts.sort());
    expected
}

fn ipfix() -> impl Iterator<Item = SessionConfig> {
    configs().into_iter().filter(|config| config.protocol == Protocol::Ipfix).map(with_names)
}

#[test]
fn texts_of_any_length_are_read_back_from_messages_that_are_full_and_none_too_large() {
    for config in ipfix() {
        for max_message in [600, 1_472, 9_000] {
            let config = SessionConfig { max_message, ..config.clone() };
            let messages = exported(&mut session(&config), 0..1_000);
            assert!(texts(&messages, [188, 187, 205]) == expected(0..1_000, tail::MOST));
            let data: Vec<&Message> = messages.iter().filter(|message| message.total.records > 0).collect();
            assert_eq!(data.iter().map(|message| message.total.records).sum::<u64>(), 1_000);
            assert!(messages.iter().all(|message| message.bytes.len() <= max_message));
            let octets: usize = data.iter().map(|message| message.bytes.len()).sum();
            assert!(data.len() <= octets.div_ceil(max_message - 400) + 8, "{} of {max_message}", data.len());
            for (message, read) in messages.iter().zip(Collector::all(&messages)) {
                assert_eq!(u32::from(read.length_or_count), message.bytes.len() as u32);
            }
        }
    }
}

#[test]
fn a_message_leaves_as_soon_as_it_is_full_and_a_part_of_one_after_its_wait() {
    let config = with_names(SessionConfig::new(Protocol::Ipfix, SYSTEM_START));
    let mut session = session(&config);
    exported(&mut session, 0..1);
    for number in 0..100 {
        let mut row = vec![0; ROW];
        tail::write(0, Some((Text::Host, &"x".repeat(200))), &mut row);
        session.push(Entry { record: &record(0), more: &row }, at(1)).unwrap();
        let is_ready = session.poll_timeout().unwrap() <= at(1).monotonic;
        // About 300 octets each.
        assert_eq!(is_ready, number >= 4, "{number}");
        if number > 5 {
            break;
        }
    }
    let first = session.poll_message(at(1), false).unwrap();
    assert!(first.bytes.len() > 1_472 - 300 && session.poll_message(at(1), false).is_none());
    assert!(session.poll_message(at(1_001), false).is_some());
}

#[test]
fn a_text_of_netflow_v9_is_filled_up_with_zeros_or_cut() {
    let config = with_names(SessionConfig::new(Protocol::V9, SYSTEM_START));
    let messages = exported(&mut session(&config), 0..500);
    assert!(texts(&messages, [57_660, 57_659, 57_677]) == expected(0..500, 64));
    let reads = Collector::all(&messages);
    for field in reads.iter().flat_map(Read::templates).flat_map(|template| &template.fields) {
        assert!(field.enterprise.is_none() && field.length != VARIABLE);
        assert!(field.id < 57_000 || field.length == 64);
    }
}

#[test]
fn messages_that_are_too_large_become_several_with_the_same_records() {
    for protocol in [Protocol::Ipfix, Protocol::V9] {
        let config = with_names(SessionConfig::new(protocol, SYSTEM_START));
        let mut session = session(&config);
        let large = exported(&mut session, 0..300);
        session.set_max_message(600).unwrap();
        let small: Vec<Message> =
            session.resume(large.iter().cloned().collect::<VecDeque<_>>(), at(10)).into_iter().collect();
        assert!(small.iter().all(|message| message.bytes.len() <= 600));
        let (elements, most) = match protocol {
            Protocol::V9 => ([57_660, 57_659, 57_677], 64),
            _ => ([188, 187, 205], tail::MOST),
        };
        assert!(texts(&small, elements) == expected(0..300, most));
        let sum = |messages: &[Message]| messages.iter().map(|it| it.total.octets).sum::<u64>();
        assert_eq!(sum(&small), sum(&large));
    }
}

#[test]
fn records_that_move_to_another_session_keep_their_names() {
    let config = with_names(SessionConfig::new(Protocol::Ipfix, SYSTEM_START));
    let (mut one, mut other) = (session(&config), session(&SessionConfig::new(Protocol::V5, SYSTEM_START)));
    let mut back = session(&config);
    let mut row = vec![9; ROW];
    tail::write(Application::HTTPS.number(), Some((Text::Dns, "moved.example")), &mut row);
    one.push(Entry { record: &record(0), more: &row }, at(0)).unwrap();
    one.drain().each(|entry| back.push(entry, at(0)).unwrap());
    let messages = drain(&mut back, at(0));
    let found = texts(&messages, [188, 187, 205]);
    assert_eq!(found[&9], [["", "", "moved.example"].map(str::to_owned)]);
    // A protocol without templates leaves them out.
    let small = record(0).with(|flow| (flow.packets, flow.octets) = (1, 40));
    other.push(Entry { record: &small, more: &row }, at(0)).unwrap();
    assert_eq!(drain(&mut other, at(0))[0].bytes.len(), 24 + 48);
}

#[test]
fn a_file_of_messages_is_counted_with_their_variable_lengths() {
    use flowxdp_core::exporting::spool::{Templates, begin};
    let config = with_names(SessionConfig::reliable(SYSTEM_START));
    let mut session = session(&config);
    let mut templates = Templates::default();
    let start = begin(1, &session.templates(), 1_000);
    assert_eq!(templates.read(&start).fault, None);
    let mut records = 0;
    for message in exported(&mut session, 0..400) {
        let content = templates.read(&message.bytes);
        assert_eq!((content.fault, content.total), (None, message.total));
        records += content.total.records;
    }
    assert_eq!(records, 400);
}

#[test]
fn elements_of_an_enterprise_have_their_types_announced_before_data() {
    for config in ipfix() {
        let reads = Collector::all(&told(&mut session(&config), at(0), 40));
        let types = reads.iter().position(|read| read.data().any(|(set, _)| set == 284)).unwrap();
        let data = reads.iter().position(|read| read.data().any(|(set, _)| set >= 288)).unwrap();
        assert!(types < data);
        let template = reads.iter().flat_map(Read::templates).find(|it| it.id == 284).unwrap();
        let ids: Vec<u16> = template.fields.iter().map(|field| field.id).collect();
        // Scopes: enterprise and element; then type, semantics and name.
        assert_eq!((template.scopes, ids), (Some(2), vec![346, 303, 339, 344, 341]));
        let rows: Vec<&Data> =
            reads.iter().flat_map(Read::data).filter(|it| it.0 == 284).map(|it| it.1).collect();
        let used = reads.iter().flat_map(Read::templates).filter(|it| it.scopes.is_none());
        for field in used.flat_map(|template| &template.fields).filter(|field| field.enterprise.is_some()) {
            let of = |row: &&&Data| {
                values(row, 303) == [u64::from(field.id)]
                    && values(row, 346) == [u64::from(field.enterprise.unwrap())]
            };
            let row = rows.iter().find(of).unwrap();
            // String and default, which fit together (RFC 5610 section 3.10).
            assert_eq!((values(row, 339), values(row, 344)), (vec![13], vec![0]));
            assert!(
                ELEMENTS.iter().any(|it| it.name.as_bytes() == self::field(row, 341) && it.id == field.id)
            );
        }
        assert!(
            ELEMENTS
                .iter()
                .all(|it| it.enterprise == 0 || (it.enterprise, it.data_type) == (NTOP, DataType::String))
        );
    }
}

#[test]
fn every_application_has_its_name_in_options_data_where_records_have_applications() {
    for protocol in [Protocol::Ipfix, Protocol::V9] {
        let plain = SessionConfig::new(protocol, SYSTEM_START);
        let sets = |config: &SessionConfig| {
            let reads = Collector::all(&told(&mut session(config), at(0), 4));
            let rows = reads.iter().flat_map(Read::data).filter(|(set, _)| *set == 283);
            rows.map(|(_, data)| data.clone()).collect::<Vec<Data>>()
        };
        assert!(sets(&plain).is_empty());
        let rows = sets(&with_names(plain));
        assert_eq!(rows.len(), APPLICATIONS.len());
        for (row, application) in rows.iter().zip(APPLICATIONS) {
            assert_eq!(number(field(row, 95)), u64::from(application.application.number()));
            let name = String::from_utf8(field(row, 96).to_vec()).unwrap();
            assert_eq!(name.trim_end_matches('\0'), application.name);
        }
    }
}
