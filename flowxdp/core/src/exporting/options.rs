//! Options data: the exporter's records about itself (RFC 7011 section 4, RFC 3954 section 6).
//!
//! The caller gives a [`Snapshot`] now and then; a session adds its own totals and writes the records that
//! [`OPTIONS`](crate::elements::options::OPTIONS) lists.

use serde::Serialize;

use crate::elements::application::{APPLICATIONS, Named};
use crate::elements::options::{Item, Kind, OptionsField, OptionsTemplate, VARIABLE};
use crate::elements::{ELEMENTS, Element};
use crate::exporting::wire::{Protocol, low_16};
use crate::record::RecordTotal;

/// The agent's own data at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Number of the metering and the exporting process: the observation domain that they serve.
    pub process: u32,
    /// Packets that were not metered; `records` is not used.
    pub ignored: Reliability,
    /// Records that were retired and given up: of one collector.
    #[serde(skip)]
    pub not_sent: Reliability,
    /// Every interface that is metered.
    pub interfaces: Vec<Interface>,
    /// Name of this exporter, never empty.
    pub name: String,
    /// System start, milliseconds since 1970.
    pub system_start_ms: u64,
    /// IANA number of the transport protocol to one collector.
    #[serde(skip)]
    pub transport: u8,
    /// Local port towards it, 0 if there is none yet.
    #[serde(skip)]
    pub port: u16,
}

/// Packets or records that were lost, and when the first and the last were: milliseconds since 1970, 0 for
/// never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reliability {
    /// Records, packets and octets.
    pub total: RecordTotal,
    /// When it was first noticed.
    pub first_ms: u64,
    /// When it was noticed last.
    pub last_ms: u64,
}

impl Reliability {
    /// Takes over a newer total, as seen at `wall_ms`.
    pub fn update(&mut self, total: RecordTotal, wall_ms: u64) {
        if total != self.total {
            self.total = total;
            self.last_ms = wall_ms;
            if self.first_ms == 0 {
                self.first_ms = wall_ms;
            }
        }
    }
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// ifIndex.
    pub index: u32,
    /// Its name, never empty.
    pub name: String,
    /// Its alias, or its name where it has none: never empty.
    pub description: String,
}

/// Totals sent to a collector so far: messages, flow records, octets of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Messages.
    pub messages: u64,
    /// Flow records.
    pub records: u64,
    /// Octets of messages.
    pub octets: u64,
}

/// The sources of one record's fields.
pub(crate) struct Source<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) statistics: Statistics,
    pub(crate) protocol: Protocol,
    pub(crate) interface: Option<&'a Interface>,
    /// Template id and its flow key indicator.
    pub(crate) flow_keys: (u16, u64),
    /// The record's place among those of its template.
    pub(crate) number: usize,
}

/// Octets of the longest text of variable length: all that the short form of a length can say.
const LONGEST: usize = 254;

enum Value<'a> {
    Number(u64),
    Text(&'a str),
}

/// Uniform probabilistic sampling: selectorAlgorithm 4 of IANA's registry of packet selectors (RFC 5477
/// section 8.2.1).
const UNIFORM: u64 = 4;
/// Random sampling, in NetFlow v9's samplerMode.
const RANDOM: u64 = 2;
/// One packet out of so many is metered: each counts.
const ONE_OUT_OF: u32 = 1;

/// String in IANA's registry of data types of elements (RFC 5610 section 3.1): all elements of enterprises are texts.
const STRING: u64 = 13;
/// "default" in the registry of semantics (RFC 5610 section 3.2), which texts have.
const DEFAULT_SEMANTICS: u64 = 0;

fn elements_of_enterprises() -> impl Iterator<Item = &'static Element> {
    ELEMENTS.iter().filter(|element| element.enterprise != 0)
}

impl Source<'_> {
    fn value(&self, item: Item) -> Value<'_> {
        let of = self.snapshot;
        let text = |of: fn(&Interface) -> &String| Value::Text(self.interface.map_or("", |it| of(it)));
        Value::Number(match item {
            Item::Process => of.process.into(),
            Item::ExportedMessages => self.statistics.messages,
            Item::ExportedFlowRecords => self.statistics.records,
            Item::ExportedOctets => self.statistics.octets,
            Item::IgnoredPackets => of.ignored.total.packets,
            Item::IgnoredOctets => of.ignored.total.octets,
            Item::FirstIgnored => of.ignored.first_ms,
            Item::LastIgnored => of.ignored.last_ms,
            Item::NotSentFlows => of.not_sent.total.records,
            Item::NotSentPackets => of.not_sent.total.packets,
            Item::NotSentOctets => of.not_sent.total.octets,
            Item::FirstNotSent => of.not_sent.first_ms,
            Item::LastNotSent => of.not_sent.last_ms,
            Item::TemplateId => self.flow_keys.0.into(),
            Item::FlowKeyIndicator => self.flow_keys.1,
            Item::InterfaceIndex => self.interface.map_or(0, |interface| interface.index.into()),
            Item::InterfaceName => return text(|interface| &interface.name),
            Item::InterfaceDescription => return text(|interface| &interface.description),
            Item::ExporterName => return Value::Text(&of.name),
            Item::SystemInitTime => of.system_start_ms,
            Item::ProtocolVersion => self.protocol.version().into(),
            Item::TransportProtocol => of.transport.into(),
            Item::ExporterPort => of.port.into(),
            // Records name no sampler, and collectors that look it up take that for 0.
            Item::System | Item::SelectorId => 0,
            Item::SelectorAlgorithm => UNIFORM,
            Item::SamplerMode => RANDOM,
            // A float64 is its octets (RFC 7011 section 6.1.4).
            Item::SamplingProbability => f64::from(ONE_OUT_OF).recip().to_bits(),
            Item::SamplingInterval => ONE_OUT_OF.into(),
            Item::SampledPackets => 1,
            Item::SamplingSpace => u64::from(ONE_OUT_OF) - 1,
            Item::ApplicationId => self.application().map_or(0, |it| it.application.number().into()),
            Item::ApplicationName => return Value::Text(self.application().map_or("", |it| it.name)),
            Item::Enterprise => self.element().map_or(0, |it| it.enterprise.into()),
            Item::ElementId => self.element().map_or(0, |it| it.id.into()),
            Item::ElementDataType => STRING,
            Item::ElementSemantics => DEFAULT_SEMANTICS,
            Item::ElementName => return Value::Text(self.element().map_or("", |it| it.name)),
        })
    }

    fn application(&self) -> Option<&'static Named> {
        APPLICATIONS.get(self.number)
    }

    fn element(&self) -> Option<&'static Element> {
        elements_of_enterprises().nth(self.number)
    }

    /// Writes one data record of `template` with at most `room` octets; texts are cut, so that it has no more.
    pub(crate) fn encode(&self, template: &OptionsTemplate, room: usize, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        self.encode_with(template, LONGEST, bytes);
        if bytes.len() - start > room {
            bytes.truncate(start);
            // Each text has its length in front of it, and an even share of the room that numbers leave.
            let (mut texts, mut numbers) = (0, 0);
            for (_, length) in template.fields(self.protocol) {
                (texts, numbers) = match length {
                    VARIABLE => (texts + 1, numbers + 1),
                    length => (texts, numbers + usize::from(length)),
                };
            }
            self.encode_with(template, room.saturating_sub(numbers) / texts.max(1), bytes);
        }
    }

    /// As [`Source::encode`], with so many octets at most in a text of variable length.
    fn encode_with(&self, template: &OptionsTemplate, longest: usize, bytes: &mut Vec<u8>) {
        for (field, length) in template.fields(self.protocol) {
            match self.value(field.item) {
                Value::Number(number) => {
                    let octets = number.to_be_bytes();
                    bytes.extend_from_slice(&octets[octets.len() - usize::from(length)..]);
                }
                Value::Text(text) => encode_text(text, length, longest, bytes),
            }
        }
    }
}

/// Text of a fixed length is cut between two characters and filled up with zeros; of a variable one it has
/// its length in front of it (RFC 7011 section 7).
fn encode_text(text: &str, length: u16, longest: usize, bytes: &mut Vec<u8>) {
    let most = if length == VARIABLE { longest } else { usize::from(length) };
    let cut = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= most).last();
    let text = &text.as_bytes()[..cut.unwrap_or(0)];
    if length == VARIABLE {
        // At most 254 octets: the short form always does.
        bytes.extend(low_16(text.len()).to_be_bytes().last());
        bytes.extend_from_slice(text);
    } else {
        bytes.extend_from_slice(text);
        bytes.resize(bytes.len() + most - text.len(), 0);
    }
}

/// Writes the options template record.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |         Template ID           |  IPFIX: fields; v9: octets of |
/// |                               |  the scope specifiers         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | IPFIX: scope fields; v9:      |  Field specifiers,            |
/// | octets of the other specifiers|  scopes first ...             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// RFC 7011 section 3.4.2.2, RFC 3954 section 6.1.
pub(crate) fn describe(template: &OptionsTemplate, protocol: Protocol, bytes: &mut Vec<u8>) {
    let fields = template.fields(protocol);
    let is_scope = |(field, _): &(&OptionsField, u16)| field.is_scope(protocol);
    let (all, scopes) = (fields.clone().count(), fields.clone().filter(is_scope).count());
    bytes.extend(template.id.to_be_bytes());
    let (first, second) = match protocol {
        Protocol::Ipfix => (all, scopes),
        Protocol::V9 => (4 * scopes, 4 * (all - scopes)),
    };
    bytes.extend(low_16(first).to_be_bytes());
    bytes.extend(low_16(second).to_be_bytes());
    for (field, length) in fields {
        bytes.extend(field.id.to_be_bytes());
        bytes.extend(length.to_be_bytes());
    }
}

/// How many records of a kind a snapshot makes: one, or one for each interface, application or element.
pub(crate) fn records(kind: Kind, snapshot: &Snapshot) -> usize {
    match kind {
        Kind::Interface => snapshot.interfaces.len(),
        Kind::Applications => APPLICATIONS.len(),
        Kind::Types => elements_of_enterprises().count(),
        Kind::FlowKeys => 0,
        _ => 1,
    }
}
