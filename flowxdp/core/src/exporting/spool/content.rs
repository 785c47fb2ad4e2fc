//! The content of one message.

use super::templates::Templates;
use super::{HEADER, Start, be_16, be_32, export_secs, start};
use crate::exporting::wire::Protocol;
use crate::record::RecordTotal;

/// Octets of a set's header: set id and length (RFC 7011 section 3.3.2).
const SET_HEADER: usize = 4;
/// The smallest id of a set of data: that of its template.
const SMALLEST_DATA: u16 = 256;

/// Why not all of a message could be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The octets are not one whole message.
    #[error("no whole IPFIX message")]
    Message,
    /// The length of a set is not inside the message.
    #[error("a set is longer than its message, or shorter than its header")]
    Set,
    /// A template record contradicts itself or its set.
    #[error("a template record is cut or contradicts itself")]
    Template,
    /// The file has more templates than are kept.
    #[error("the templates of the file are too many")]
    TooManyTemplates,
    /// Data came without a template that tells how to read it.
    #[error("there is no template {0}")]
    UnknownTemplate(u16),
    /// A template describes records of no octets.
    #[error("a template describes records of no octets")]
    NoOctets,
    /// A data record is longer than its set.
    #[error("a data record is cut")]
    Record,
    /// The set ids 4 to 255 are reserved, and 0 and 1 are not used.
    #[error("the set id {0} is reserved")]
    Reserved(u16),
}

/// The content of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The observation domain.
    pub domain: u32,
    /// Export time, seconds since 1970.
    pub export_secs: u32,
    /// Data records before this message in its domain, as it says itself.
    pub sequence: u32,
    /// Flow records, with the packets (packetDeltaCount) and octets (octetDeltaCount) in them; sums stop
    /// at the largest number.
    pub total: RecordTotal,
    /// Its increment of the sequence: flow records and records of options.
    pub counted: u32,
    /// The message defines or withdraws templates.
    pub has_templates: bool,
    /// The first fault in the message; the other values cover the parts without fault.
    pub fault: Option<Fault>,
}

impl Templates {
    /// Reads one whole message, and learns the templates in it for those that follow.
    pub fn read(&mut self, message: &[u8]) -> Content {
        if start(message, message.len() as u64) != Start::Message(message.len()) {
            return Content { fault: Some(Fault::Message), ..Content::default() };
        }
        let mut content = Content {
            domain: be_32(&message[12..HEADER]),
            export_secs: export_secs(message),
            sequence: be_32(&message[8..12]),
            ..Content::default()
        };
        let mut sets = &message[HEADER..];
        while !sets.is_empty() {
            let Some((id, body, rest)) = set(sets) else {
                content.fault = content.fault.or(Some(Fault::Set));
                break;
            };
            // Where one set cannot be understood, the others are still where they are.
            if let Err(fault) = self.read_set(id, body, &mut content) {
                content.fault = content.fault.or(Some(fault));
            }
            sets = rest;
        }
        content
    }

    fn read_set(&mut self, id: u16, body: &[u8], content: &mut Content) -> Result<(), Fault> {
        let is_options = id == Protocol::Ipfix.options_template_set();
        if is_options || id == Protocol::Ipfix.template_set() {
            content.has_templates = true;
            return self.learn(content.domain, is_options, body);
        }
        if id < SMALLEST_DATA {
            return Err(Fault::Reserved(id));
        }
        let (is_options, shape) = self.get(content.domain, id).ok_or(Fault::UnknownTemplate(id))?;
        let mut total = RecordTotal::default();
        let result = shape.count(body, &mut total);
        // A message has at most 65,535 records.
        content.counted += u32::try_from(total.records).unwrap_or(u32::MAX);
        if !is_options {
            content.total.records += total.records;
            content.total.packets = content.total.packets.saturating_add(total.packets);
            content.total.octets = content.total.octets.saturating_add(total.octets);
        }
        result
    }
}

/// The set that `octets` begin with: its id, its records, and the octets behind it.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |          Set ID               |          Length               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// RFC 7011 section 3.3.2.
fn set(octets: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let header = octets.get(..SET_HEADER)?;
    let (set, rest) = octets.split_at_checked(be_16(&header[2..]).into())?;
    Some((be_16(&header[..2]), set.get(SET_HEADER..)?, rest))
}
