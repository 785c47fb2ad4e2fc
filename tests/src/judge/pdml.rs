//! tshark's dissection, out of its PDML: for each export message its header and its records, field by field.

use std::collections::BTreeMap;
use std::io::BufRead;

use anyhow::{Context, Result, bail};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Values by field name without `cflow.`: the octets as they were in the message.
pub(super) type Fields = BTreeMap<String, Vec<u8>>;

/// One export message.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// Fields of its header.
    pub(super) header: Fields,
    /// The fields of each of its records, options data among them.
    pub(super) records: Vec<Fields>,
}

/// One frame of the recording.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// Its number in the recording.
    pub(super) number: u64,
    /// The export messages in it.
    pub(super) messages: Vec<Message>,
    /// tshark's complaints.
    pub(super) findings: Vec<String>,
}

/// Marks of tshark that are no expert information.
const MARKS: [&str; 4] = [
    "cflow.unexpected_sequence_number",
    "cflow.no_template_found",
    "cflow.flowset_length.invalid",
    "cflow.flowsets.impossible",
];
/// Values of a message's header.
const HEADER: [&str; 7] =
    ["version", "sysuptime", "unix_secs", "unix_nsecs", "exporttime", "od_id", "source_id"];

/// Reads a whole PDML document.
pub(super) fn read(document: impl BufRead) -> Result<Vec<Frame>> {
    let mut reader = Reader::from_reader(document);
    let (mut buffer, mut walk) = (Vec::new(), Walk::default());
    loop {
        match reader.read_event_into(&mut buffer).context("PDML")? {
            Event::Start(element) => {
                walk.depth += 1;
                walk.element(&element)?;
            }
            Event::Empty(element) => walk.element(&element)?,
            Event::End(_) => {
                walk.depth -= 1;
                if walk.record.is_some_and(|depth| walk.depth < depth) {
                    walk.record = None;
                }
            }
            Event::Eof if walk.depth == 0 => return Ok(walk.frames),
            Event::Eof => bail!("the PDML is cut"),
            _ => {}
        }
        buffer.clear();
    }
}

#[derive(Default)]
struct Walk {
    depth: usize,
    /// Depth of the record that is being read.
    record: Option<usize>,
    frames: Vec<Frame>,
}

impl Walk {
    fn element(&mut self, element: &BytesStart<'_>) -> Result<()> {
        if element.name().as_ref() == "packet" {
            self.frames.push(Frame::default());
            return Ok(());
        }
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        let name = attribute(element, "name")?.unwrap_or_default();
        match (element.name().as_ref(), name.as_str()) {
            ("proto", "cflow") => frame.messages.push(Message::default()),
            ("proto", "_ws.malformed") => frame.findings.push("malformed".to_owned()),
            ("field", "num") if frame.number == 0 => {
                frame.number = attribute(element, "show")?.unwrap_or_default().parse()?;
            }
            ("field", "_ws.expert.message") => {
                // tshark says so of some port numbers of UDP, whatever the datagram holds.
                let message = attribute(element, "show")?.unwrap_or_default();
                frame.findings.extend(Some(message).filter(|text| !text.starts_with("Possible traceroute")));
            }
            ("field", mark) if MARKS.contains(&mark) => {
                frame
                    .findings
                    .push(attribute(element, "showname")?.filter(|t| !t.is_empty()).unwrap_or(name));
            }
            ("field", "") => self.group(element)?,
            ("field", field) => {
                if let Some(field) = field.strip_prefix("cflow.") {
                    self.field(field, element)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A field without a name groups others; the group of a record is shown with its number.
    fn group(&mut self, element: &BytesStart<'_>) -> Result<()> {
        let show = attribute(element, "show")?.unwrap_or_default();
        let Some(message) = self.frames.last_mut().and_then(|frame| frame.messages.last_mut()) else {
            return Ok(());
        };
        // "Flow 3" where templates describe the records, "pdu 3/30" where the layout is fixed.
        let number = show.strip_prefix("Flow ").or_else(|| show.strip_prefix("pdu ")?.split('/').next());
        if number.is_some_and(|number| number.parse::<u32>().is_ok()) {
            message.records.push(Fields::new());
            self.record = Some(self.depth);
        }
        Ok(())
    }

    fn field(&mut self, name: &str, element: &BytesStart<'_>) -> Result<()> {
        let Some(message) = self.frames.last_mut().and_then(|frame| frame.messages.last_mut()) else {
            return Ok(());
        };
        let fields = match (self.record, message.records.last_mut()) {
            (Some(_), Some(record)) => record,
            _ if HEADER.contains(&name) => &mut message.header,
            _ => return Ok(()),
        };
        // A part of a field (one bit of the flags) has its octets in "unmaskedvalue": not a field of its own.
        if attribute(element, "unmaskedvalue")?.is_none()
            && let Some(value) = attribute(element, "value")?
        {
            fields
                .entry(name.to_owned())
                .or_insert(octets(&value).with_context(|| format!("{name} {value}"))?);
        }
        Ok(())
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>> {
    let Some(attribute) = element.try_get_attribute(name)? else { return Ok(None) };
    Ok(Some(quick_xml::escape::unescape(&attribute.value)?.into_owned()))
}

pub(super) fn octets(hex: &str) -> Result<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect()
}
