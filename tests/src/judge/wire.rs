//! A strict reader of export messages: the rules of RFC 7011 and RFC 3954 that no collector enforces.
//!
//! The reader knows lengths, counts, sequence numbers, templates and options, and no meaning of any element,
//! and shares no code with the encoder. Over TCP and TLS other rules hold for templates than over UDP: each
//! is sent once and may be withdrawn (RFC 7011 section 8). The reader is as strict as FlowXDP where the RFCs
//! allow more (padding in IPFIX, sequences that do not begin at 0, messages above the smallest common MTU).

mod data;
mod flows;
mod header;
pub mod legacy;
mod octets;
mod template;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use anyhow::{Result, bail, ensure};

use self::header::Header;
use self::octets::Octets;
use self::template::Template;
use super::listed;
use super::sessions::Arrived;
use crate::pcap::Recording;
use crate::stream;

/// The largest message over IPv4 and over IPv6: 1500 without the headers.
const LARGEST: (usize, usize) = (1472, 1452);

/// The two protocols that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// NetFlow version 9.
    V9,
    /// IPFIX.
    Ipfix,
}

/// Counts made on the way, for tests that ask whether enough was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Messages of each protocol: v9, IPFIX.
    pub messages: (u64, u64),
    /// Template records, options templates among them.
    pub templates: u64,
    /// Data records that are described by a template.
    pub data_records: u64,
    /// Data records that are described by an options template.
    pub options_records: u64,
    /// The most messages of a domain from a template to data that it describes.
    pub messages_after_template: u64,
    /// The most seconds from a template to data that it describes.
    pub seconds_after_template: u32,
    /// The length of the longest message.
    pub longest_message: usize,
    /// The elements of each template that is not one of options, by id.
    pub layouts: BTreeMap<u16, Vec<u16>>,
}

/// The state of one session and observation domain.
#[derive(Default)]
struct Domain {
    next_sequence: Option<u32>,
    export_time: u32,
    templates: HashMap<u16, Known>,
    messages: u64,
}

/// A template, and which message of its domain brought it last.
struct Known {
    template: Template,
    message: u64,
    time: u32,
}

/// The reader, with its findings so far.
#[derive(Default)]
pub struct Wire {
    /// The messages are those of one TCP or TLS session.
    stream: bool,
    domains: HashMap<(SocketAddr, SocketAddr, Protocol, u32), Domain>,
    number: u64,
    /// One line for each rule that was broken.
    pub findings: Vec<String>,
    /// The counts so far.
    pub seen: Seen,
    /// The flow records of a stream.
    pub flows: Vec<Arrived>,
}

/// Reads a whole recording. Any finding is an error, and so is a recording without messages.
pub fn judge(recording: &Recording) -> Result<Seen> {
    let mut wire = Wire::default();
    for datagram in &recording.datagrams {
        wire.message(datagram.from, datagram.to, &datagram.payload);
    }
    if recording.fragments > 0 {
        wire.findings.push(format!("{} fragments of IP packets", recording.fragments));
    }
    wire.end()
}

/// Reads the octets of one TCP or TLS session, which are also a file as RFC 5655 has it.
pub fn judge_stream(octets: &[u8]) -> Result<Seen> {
    let mut wire = Wire::of_stream();
    let nowhere = SocketAddr::from(([0; 4], 0));
    for message in stream::messages(octets)? {
        wire.message(nowhere, nowhere, message);
    }
    wire.end()
}

/// The sums of one message.
#[derive(Default)]
struct Counted {
    templates: u64,
    data: u64,
    options: u64,
    /// A set could not be read, so the next sequence number cannot be known.
    unknown: bool,
}

impl Wire {
    /// For the messages of one TCP or TLS session, whose flow records are kept.
    pub fn of_stream() -> Self {
        Self { stream: true, ..Self::default() }
    }

    fn end(self) -> Result<Seen> {
        ensure!(self.number > 0, "there is no message");
        if !self.findings.is_empty() {
            bail!("wire: {}", listed(&self.findings));
        }
        Ok(self.seen)
    }

    /// Reads one message of a session from one address and port to another.
    pub fn message(&mut self, from: SocketAddr, to: SocketAddr, message: &[u8]) {
        self.number += 1;
        self.seen.longest_message = self.seen.longest_message.max(message.len());
        let largest = if to.is_ipv4() { LARGEST.0 } else { LARGEST.1 };
        if !self.stream && message.len() > largest {
            self.find(&format!("{} octets, more than {largest}", message.len()));
        }
        let header = match Header::read(message) {
            Ok(header) => header,
            Err(error) => return self.find(&error.to_string()),
        };
        match header.protocol {
            Protocol::V9 => self.seen.messages.0 += 1,
            Protocol::Ipfix => self.seen.messages.1 += 1,
        }
        if header.protocol == Protocol::Ipfix && usize::from(header.length_or_count) != message.len() {
            let length = header.length_or_count;
            self.find(&format!("the header says {length} octets, the message has {}", message.len()));
        }
        let session = (from, to, header.protocol, header.domain);
        let mut domain = self.domains.remove(&session).unwrap_or_default();
        self.header(&header, &mut domain);
        let counted = self.sets(&header, message, &mut domain);
        self.count(&header, &counted, &mut domain);
        self.domains.insert(session, domain);
    }

    fn find(&mut self, what: &str) {
        self.findings.push(format!("message {}: {what}", self.number));
    }

    fn header(&mut self, header: &Header, domain: &mut Domain) {
        match domain.next_sequence {
            Some(next) if header.sequence != next => {
                self.find(&format!(
                    "domain {}: sequence {}, expected {next}",
                    header.domain, header.sequence
                ));
            }
            None if header.sequence != 0 && domain.export_time == 0 => {
                self.find(&format!("domain {}: the first sequence is {}", header.domain, header.sequence));
            }
            _ => {}
        }
        if header.export_time < domain.export_time {
            self.find(&format!("export time goes back {} s", domain.export_time - header.export_time));
        }
        domain.export_time = header.export_time;
        domain.messages += 1;
    }

    fn sets(&mut self, header: &Header, message: &[u8], domain: &mut Domain) -> Counted {
        let mut counted = Counted::default();
        let mut rest = Octets::new(message.get(header.length..).unwrap_or_default());
        if rest.is_empty() {
            self.find("no set at all");
        }
        while !rest.is_empty() {
            let (Some(id), Some(length)) = (rest.short(), rest.short()) else {
                self.find("stray octets after the last set");
                break;
            };
            let Some(body) = usize::from(length).checked_sub(4).and_then(|length| rest.take(length)) else {
                self.find(&format!("set {id}: length {length} is below 4 or passes the end of the message"));
                counted.unknown = true;
                break;
            };
            if header.protocol == Protocol::V9 && length % 4 != 0 {
                self.find(&format!("set {id}: length {length} is not a multiple of 4"));
            }
            if let Err(error) = self.set(header.protocol, id, body, domain, &mut counted) {
                self.find(&format!("set {id}: {error:#}"));
            }
        }
        counted
    }

    fn set(
        &mut self,
        protocol: Protocol,
        id: u16,
        body: &[u8],
        domain: &mut Domain,
        counted: &mut Counted,
    ) -> Result<()> {
        if let Some(options) = protocol.template_set(id) {
            for (template_id, template) in template::read(protocol, options, body)? {
                counted.templates += 1;
                self.template(template_id, template, options, domain)?;
            }
            return Ok(());
        }
        ensure!(id >= 256, "the set id is reserved");
        let Some(Known { template, message, time }) = domain.templates.get(&id) else {
            counted.unknown = true;
            bail!("data before its template");
        };
        let seen = &mut self.seen;
        seen.messages_after_template = seen.messages_after_template.max(domain.messages - message);
        let seconds = domain.export_time.saturating_sub(*time);
        seen.seconds_after_template = seen.seconds_after_template.max(seconds);
        let records = data::read(protocol, template, body)?;
        if self.stream && !template.options {
            self.flows.extend(flows::read(template, body));
        }
        *(if template.options { &mut counted.options } else { &mut counted.data }) += records;
        Ok(())
    }

    /// A template is announced, again or anew, or withdrawn.
    fn template(
        &mut self,
        id: u16,
        template: Option<Template>,
        options: bool,
        domain: &mut Domain,
    ) -> Result<()> {
        let Some(template) = template else {
            ensure!(self.stream, "template {id}: a withdrawal over UDP");
            let known = domain.templates.remove(&id).filter(|known| known.template.options == options);
            ensure!(known.is_some(), "template {id} is withdrawn, but there is none");
            return Ok(());
        };
        if !options {
            let elements = template.fields.iter().map(|(_, element, _)| *element);
            self.seen.layouts.insert(id, elements.collect());
        }
        let (message, time) = (domain.messages, domain.export_time);
        let old = domain.templates.insert(id, Known { template: template.clone(), message, time });
        let again = old.is_some();
        ensure!(old.is_none_or(|old| old.template == template), "template {id} changed in place");
        ensure!(!self.stream || !again, "template {id} is told again in one session");
        Ok(())
    }

    fn count(&mut self, header: &Header, counted: &Counted, domain: &mut Domain) {
        let Counted { templates, data, options, unknown } = *counted;
        self.seen.templates += templates;
        self.seen.data_records += data;
        self.seen.options_records += options;
        let records = templates + data + options;
        if header.protocol == Protocol::V9 && !unknown && u64::from(header.length_or_count) != records {
            self.find(&format!(
                "the header counts {} records, the message has {records}",
                header.length_or_count
            ));
        }
        let step = match header.protocol {
            Protocol::V9 => Some(1),
            Protocol::Ipfix if unknown => None,
            // A message has far fewer records than a u32 holds.
            Protocol::Ipfix => u32::try_from(data + options).ok(),
        };
        domain.next_sequence = step.map(|step| header.sequence.wrapping_add(step));
    }
}

impl Protocol {
    /// Whether a set id stands for a template set, and if so, whether for one of options templates.
    const fn template_set(self, id: u16) -> Option<bool> {
        match (self, id) {
            (Self::V9, 0) | (Self::Ipfix, 2) => Some(false),
            (Self::V9, 1) | (Self::Ipfix, 3) => Some(true),
            _ => None,
        }
    }
}
