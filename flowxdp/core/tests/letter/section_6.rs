//! RFC 7011 sections 6 and 7: how values are written.

use flowxdp_core::exporting::options::{Interface, Snapshot};
use flowxdp_core::exporting::session::{Protocol, SessionConfig};
use flowxdp_core::record::FlowRecord;

use crate::read::{Collector, Data, Read, VARIABLE};
use crate::samples::{
    BOTH, SYSTEM_START, T0, at, configs, drain, record, session, snapshot, told, with_upper_flags,
};

fn octets(data: &Data, id: u16) -> &[u8] {
    &data.iter().find(|(element, _)| *element == id).unwrap().1
}

/// The data record of `record(number)`.
fn exported(protocol: Protocol, number: u16) -> Data {
    data(protocol, &record(number))
}

fn data(protocol: Protocol, record: &FlowRecord) -> Data {
    let mut session = session(&SessionConfig::new(protocol, SYSTEM_START));
    session.push(record, at(0)).unwrap();
    let reads = Collector::all(&drain(&mut session, at(0)));
    reads.iter().flat_map(Read::data).next().unwrap().1.clone()
}

#[test]
fn integers_have_their_high_octet_first() {
    for protocol in BOTH {
        let data = exported(protocol, 0);
        assert_eq!(octets(&data, 2), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(octets(&data, 1), [0, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17]);
        assert_eq!(octets(&data, 10), [1, 2, 3, 4]);
        assert_eq!(octets(&data, 7), [4, 0]);
        assert_eq!(octets(&data, 58), [1, 2]);
        assert_eq!((octets(&data, 4), octets(&data, 5)), (&[6][..], &[0xb8][..]));
    }
}

#[test]
fn addresses_are_four_and_sixteen_octets_as_on_the_wire() {
    for protocol in BOTH {
        let (v4, v6) = (exported(protocol, 0), exported(protocol, 1));
        assert_eq!((octets(&v4, 8), octets(&v4, 12)), (&[192, 0, 2, 1][..], &[198, 51, 100, 2][..]));
        assert_eq!((octets(&v6, 27), octets(&v6, 28)), (&[0x20; 16][..], &[0x3f; 16][..]));
        assert!(v6.iter().all(|(id, _)| ![8, 12].contains(id)));
    }
}

#[test]
fn times_are_milliseconds_since_1970_in_eight_octets() {
    let data = exported(Protocol::Ipfix, 0);
    assert_eq!(octets(&data, 152), (T0 - 1_877).to_be_bytes());
    assert_eq!(octets(&data, 153), (T0 - 1).to_be_bytes());
}

#[test]
fn reduced_lengths_drop_leading_zeros_alone() {
    for protocol in BOTH {
        let data = exported(protocol, 0);
        // Eight octets by their type, and never more than two are needed.
        assert_eq!((octets(&data, 25), octets(&data, 26)), (&[1, 0x28][..], &[5, 0xdc][..]));
    }
    // Two octets by their type, and one is needed unless one of the upper four is set.
    assert_eq!(octets(&exported(Protocol::Ipfix, 0), 6), [0x1b]);
    for (protocol, flags) in [(Protocol::Ipfix, &[1, 0x1b][..]), (Protocol::V9, &[0x1b])] {
        assert_eq!(octets(&data(protocol, &with_upper_flags()), 6), flags);
    }
}

/// The values read of an interface and an exporter with these names.
fn names(protocol: Protocol, name: &str, description: &str) -> Vec<(u16, Vec<u8>)> {
    let interfaces = vec![Interface { index: 1, name: name.to_owned(), description: description.to_owned() }];
    let snapshot = Snapshot { interfaces, name: description.to_owned(), ..snapshot() };
    let mut session = session(&SessionConfig::new(protocol, SYSTEM_START));
    session.offer(&snapshot, at(0), true);
    let reads = Collector::all(&drain(&mut session, at(0)));
    let fields = reads.iter().flat_map(Read::data).flat_map(|(_, data)| data.iter().cloned());
    fields.filter(|(id, _)| [82, 83, 300].contains(id)).collect()
}

#[test]
fn strings_are_utf_8_and_as_long_as_they_are() {
    let read = names(Protocol::Ipfix, "eth0", "Übertragung nach Köln");
    assert_eq!(
        read,
        [(300, "Übertragung nach Köln".into()), (82, b"eth0".to_vec()), (83, "Übertragung nach Köln".into())]
    );
}

#[test]
fn strings_are_never_cut_inside_a_character() {
    for protocol in BOTH {
        // Two, three and four octets a character, so that any limit falls into one.
        for text in ["é".repeat(300), format!("a{}", "€".repeat(200)), format!("ab{}", "🌍".repeat(150))]
        {
            for (id, octets) in names(protocol, &text, &text) {
                let end = octets.iter().rposition(|octet| *octet != 0).map_or(0, |place| place + 1);
                let read = std::str::from_utf8(&octets[..end]).unwrap();
                assert!(!read.is_empty() && text.starts_with(read), "{id}");
            }
        }
    }
}

#[test]
fn variable_lengths_have_one_octet_in_front_that_does_not_count_itself() {
    let config = SessionConfig::new(Protocol::Ipfix, SYSTEM_START);
    for length in [1, 2, 253, 254] {
        let text = "x".repeat(length);
        let mut session = session(&config);
        let interfaces = vec![Interface { index: 1, name: text.clone(), description: text.clone() }];
        session.offer(&Snapshot { interfaces, ..snapshot() }, at(0), true);
        let messages = drain(&mut session, at(0));
        let expected = [&[0, 0, 0, 1, length as u8][..], text.as_bytes()].concat();
        assert!(
            messages
                .iter()
                .any(|message| { message.bytes.windows(expected.len()).any(|octets| octets == expected) })
        );
    }
}

#[test]
fn the_long_form_is_not_needed_as_longer_text_is_cut() {
    let read = names(Protocol::Ipfix, &"x".repeat(255), &"y".repeat(70_000));
    assert!(read.iter().all(|(_, octets)| octets.len() == 254));
}

#[test]
fn templates_say_65535_where_the_length_is_in_the_data_and_nowhere_else() {
    for config in configs().into_iter().filter(|config| config.protocol == Protocol::Ipfix) {
        let reads = Collector::all(&told(&mut session(&config), at(0), 8));
        for field in reads.iter().flat_map(Read::templates).flat_map(|template| &template.fields) {
            assert_eq!(field.length == VARIABLE, [82, 83, 300].contains(&field.id), "{}", field.id);
        }
    }
}
