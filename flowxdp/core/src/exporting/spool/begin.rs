//! The beginning of a file.

use crate::exporting::session::Definition;
use crate::exporting::wire::{Header, Protocol, Writer};

/// The most octets of template records in one message, so that its length fits into 16 bits.
const MOST_OCTETS: usize = 60_000;

/// The messages that a file begins with: all these templates of one observation domain, before any data
/// (RFC 5655 section 7). `export_secs` is their export time in seconds since 1970; their sequence is 0.
///
/// A template record that is too long for a message is left out; none that we make is.
pub fn begin(domain: u32, definitions: &[Definition], export_secs: u32) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = definitions;
    while let Some(first) = rest.first() {
        // A set has templates of one kind.
        let mut length = 0;
        let fitting = rest.iter().take_while(|it| {
            length += it.octets.len();
            it.is_options == first.is_options && length <= MOST_OCTETS
        });
        let (now, later) = rest.split_at(fitting.count());
        rest = if now.is_empty() { &later[1..] } else { later };
        if !now.is_empty() {
            octets.extend(message(domain, first.is_options, now, export_secs));
        }
    }
    octets
}

/// One message with one set of template records.
fn message(domain: u32, is_options: bool, definitions: &[Definition], export_secs: u32) -> Vec<u8> {
    let protocol = Protocol::Ipfix;
    let set = if is_options { protocol.options_template_set() } else { protocol.template_set() };
    let mut writer = Writer::new(protocol, Vec::new());
    writer.set(set, |records| {
        for definition in definitions {
            records.next().extend_from_slice(&definition.octets);
        }
    });
    writer.finish(&Header { export_secs, uptime_ms: 0, sequence: 0, domain })
}

#[cfg(test)]
mod tests {
    use super::begin;
    use crate::exporting::session::{Definition, Session, SessionConfig};
    use crate::exporting::spool::{Messages, Start, Templates};

    #[test]
    fn what_a_file_begins_with_defines_all_its_templates() {
        let mut definitions = Session::new(SessionConfig::reliable(0)).unwrap().templates();
        definitions.push(Definition {
            id: 999,
            is_options: true,
            octets: [999_u16, 1, 1, 10, 4].iter().flat_map(|word| word.to_be_bytes()).collect(),
        });
        // Too much for one message.
        let many: Vec<u8> = [[0, 8, 0, 4]; 10_000].concat();
        definitions.extend((1000..1003).map(|id: u16| Definition {
            id,
            is_options: false,
            octets: [&id.to_be_bytes()[..], &10_000_u16.to_be_bytes(), &many].concat(),
        }));
        let octets = begin(7, &definitions, 1_000);
        let mut templates = Templates::default();
        let mut messages = Messages::new(&octets);
        for message in messages.by_ref() {
            let content = templates.read(message);
            assert_eq!((content.domain, content.export_secs, content.sequence), (7, 1_000, 0));
            assert_eq!((content.counted, content.fault, content.has_templates), (0, None, true));
        }
        assert_eq!(messages.rest(), Start::End);
        assert_eq!(templates.definitions(7), definitions);
        assert_eq!(templates.definitions(6), []);
    }
}
