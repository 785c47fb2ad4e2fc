//! Messages to the octet, beside the names of their fields.

use std::fmt::Write as _;

use flowxdp_core::exporting::session::{Protocol, SessionConfig};

use crate::collector::Collector;
use crate::samples::{SYSTEM_START, at, drain, ipv4, ipv6};
use crate::{compare_with_file, samples};

/// Octets in hexadecimal on the left, their name on the right, indented by depth; a record starts at `*`.
fn dump(messages: &[Vec<u8>]) -> String {
    let mut text = String::new();
    let mut collector = Collector::default();
    for (number, message) in messages.iter().enumerate() {
        let read = collector.read(message);
        writeln!(text, "# message {}, {} octets", number + 1, message.len()).unwrap();
        for (depth, octets, name) in &read.parts {
            let hex: Vec<_> = octets.chunks(2).map(|pair| format!("{:0>2x}", Hex(pair))).collect();
            let indent = "  ".repeat(*depth);
            writeln!(text, "{indent}{:<48}{name}", hex.join(" ")).unwrap();
        }
    }
    text
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::LowerHex for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// The octets of a dump, to be sure that nothing is missing in it.
fn octets(dump: &str) -> Vec<u8> {
    let lines = dump.lines().filter(|line| !line.starts_with('#'));
    let hex: String =
        lines.flat_map(|line| line.split_whitespace().take_while(|word| is_octets(word))).collect();
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn is_octets(word: &str) -> bool {
    matches!(word.len(), 2 | 4) && word.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

/// Templates, then data of all kinds, then templates again with an odd number of records.
fn messages(protocol: Protocol) -> Vec<Vec<u8>> {
    let mut config = SessionConfig::new(protocol, SYSTEM_START);
    config.template_messages = 2;
    let mut session = flowxdp_core::exporting::session::Session::new(config).unwrap();
    for record in [ipv4(6, 443), ipv6(17, 53), ipv4(1, 8 << 8), ipv6(58, 128 << 8 | 1), ipv4(132, 36412)] {
        session.push(&record, at(0)).unwrap();
    }
    let mut messages = drain(&mut session, at(1250), true);
    session.push(&ipv4(47, 0), at(1251)).unwrap();
    messages.extend(drain(&mut session, at(2251), false));
    assert_eq!(messages.len(), 3);
    messages.into_iter().map(|message| message.bytes).collect()
}

#[test]
fn messages_are_those_of_the_golden_files() {
    for (protocol, file) in [(Protocol::Ipfix, "golden/ipfix.hex"), (Protocol::V9, "golden/v9.hex")] {
        let messages = messages(protocol);
        let dump = dump(&messages);
        assert_eq!(octets(&dump), messages.concat(), "{file}");
        compare_with_file(file, &dump);
    }
}

#[test]
fn a_recycled_buffer_gives_the_same_octets() {
    for protocol in samples::BOTH {
        let mut sessions = [samples::session(protocol), samples::session(protocol)];
        let mut all = [Vec::new(), Vec::new()];
        for round in 0..50 {
            for (reuse, session) in sessions.iter_mut().enumerate() {
                session.push(&ipv4(6, round), at(u64::from(round))).unwrap();
                session.push(&ipv6(6, round), at(u64::from(round))).unwrap();
                for message in drain(session, at(u64::from(round)), round % 3 == 0) {
                    all[reuse].push(message.bytes.clone());
                    if reuse == 1 {
                        session.recycle(message);
                    }
                }
            }
        }
        assert_eq!(all[0], all[1]);
        assert!(all[0].len() > 10);
    }
}
