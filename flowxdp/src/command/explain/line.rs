//! One line for each packet, as text or as a JSON object.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flowxdp_common::observation::{METERED, Observation, Step, has_ports};
use serde_json::{Map, Value, json};

use super::{
    cause::cause,
    filter::reasons,
    names, naming,
    observed::{self, Link},
};
use crate::{
    names::{Said, addresses},
    text,
};

/// Where a packet comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// The key of the source in JSON: `file` or `interface`.
    pub(super) key: &'static str,
    /// Its name, where the line is to have one.
    pub(super) name: Option<&'a str>,
    /// The packet's number there, from 1.
    pub(super) packet: u64,
    /// Nanoseconds since 1970; none out of range.
    pub(super) time: Option<u64>,
}

impl Source<'_> {
    fn clock(&self) -> Option<String> {
        let time: SystemTime = UNIX_EPOCH + Duration::from_nanos(self.time?);
        Some(humantime::format_rfc3339_nanos(time).to_string())
    }

    /// The start of a line of text, up to the packet's number.
    fn text(&self) -> String {
        let mut line = String::new();
        for part in [self.clock().as_deref(), self.name].into_iter().flatten() {
            line.push_str(&text::printable(part));
            line.push(' ');
        }
        line + &format!("packet {}: ", self.packet)
    }

    fn json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("packet".to_owned(), json!(self.packet));
        object.insert(self.key.to_owned(), json!(self.name));
        object.insert("time".to_owned(), json!(self.clock()));
        object
    }
}

/// The name of the reason that a verdict stands for.
fn reason(verdict: u8) -> &'static str {
    reasons().nth(usize::from(verdict).wrapping_sub(1)).unwrap_or("unknown")
}

/// A packet's verdict in words: `metered, 60 octets`, or the reason for ignoring it.
fn outcome(observation: &Observation) -> String {
    match observation.verdict {
        METERED => format!("metered, {} octets", observation.octets),
        verdict => reason(verdict).to_owned(),
    }
}

/// The headers that the parser passed, and the one at which it stopped, if it did.
fn parted(observation: &Observation) -> (&[Step], Option<&Step>) {
    match observation.steps().split_last() {
        Some((last, passed)) if observation.verdict != METERED => (passed, Some(last)),
        _ => (observation.steps(), None),
    }
}

/// The packet in words, without its source.
pub(super) fn words(observation: &Observation, link: Link) -> String {
    let (passed, stopped) = parted(observation);
    let mut parts: Vec<String> =
        passed.iter().filter_map(|step| observed::read(observation, step, link)).collect();
    let Some(step) = stopped else {
        return format!("{}: {}", parts.join(", "), outcome(observation));
    };
    // A link header or a tag is worth saying even where the parser stopped at it.
    let header = match observed::read(observation, step, link) {
        Some(read) if step.was_read != 0 && !has_fault(step) => read,
        _ => observed::header(step, link),
    };
    parts.push(format!("{header} at octet {}", link.octet(step.at)));
    format!("{}: {}: {}", parts.join(", "), cause(observation, step, link), outcome(observation))
}

/// Whether the header at which the parser stopped breaks a rule by itself, so that its fields mean little.
fn has_fault(step: &Step) -> bool {
    use flowxdp_ebpf::layer::Layer;
    matches!(Layer::of(step.layer), Some(Layer::Ipv4 | Layer::Ipv6 | Layer::Extension | Layer::Pppoe))
}

/// The line of a packet that the parser was given.
///
/// # Errors
///
/// None occurs: strings alone are keys.
pub(super) fn parsed(
    source: Source<'_>,
    observation: &Observation,
    link: Link,
    said: Option<&Said>,
    json: bool,
) -> std::io::Result<String> {
    let words = words(observation, link) + &said.map(naming::words).unwrap_or_default();
    if !json {
        return Ok(source.text() + &words);
    }
    let (passed, stopped) = parted(observation);
    let mut object = source.json();
    let headers = passed.iter().chain(stopped).map(|step| {
        let text = observed::read(observation, step, link).filter(|_| stopped.is_none_or(|it| it != step));
        json!({"header": observed::kind(step), "octet": link.octet(step.at), "text": text})
    });
    object.insert("captured".to_owned(), json!(observation.captured));
    object.insert("wire".to_owned(), json!(observation.wire));
    object.insert("headers".to_owned(), headers.collect());
    object.extend(fields(observation));
    verdict(&mut object, observation.verdict);
    if let Some(step) = stopped {
        object.insert("octet".to_owned(), json!(link.octet(step.at)));
        object.insert("cause".to_owned(), json!(cause(observation, step, link)));
    } else {
        object.insert("ip_octets".to_owned(), json!(observation.octets));
    }
    object.extend(said.map(naming::fields).into_iter().flatten());
    object.insert("text".to_owned(), json!(words));
    text::json::text(&object)
}

/// The fields of the headers that were read.
fn fields(observation: &Observation) -> Vec<(String, Value)> {
    let mut fields = Vec::new();
    let mut field = |name: &str, value: Value| fields.push((name.to_owned(), value));
    if observation.tags > 0 {
        field("vlan", json!(observation.vlan));
        field("vlan_beside", json!(observation.tag_beside != 0));
    }
    if let Some((source, destination)) = addresses(observation) {
        field("source", json!(source));
        field("destination", json!(destination));
        field("protocol", json!(observation.protocol));
        field("protocol_name", json!(names::protocol(observation.protocol)));
    }
    let [a, b, c, d] = observation.ports;
    if observation.verdict == METERED && has_ports(observation.protocol) {
        field("source_port", json!(u16::from_be_bytes([a, b])));
        field("destination_port", json!(u16::from_be_bytes([c, d])));
    }
    fields
}

fn verdict(object: &mut Map<String, Value>, verdict: u8) {
    let name = if verdict == METERED { "metered" } else { "ignored" };
    object.insert("verdict".to_owned(), json!(name));
    if verdict != METERED {
        object.insert("reason".to_owned(), json!(reason(verdict)));
    }
}

/// The line of a packet that the parser was not given: its cause in words, and its verdict.
///
/// # Errors
///
/// None occurs: strings alone are keys.
pub(super) fn unparsed(
    source: Source<'_>,
    cause: &str,
    its: u8,
    wire: u32,
    json: bool,
) -> std::io::Result<String> {
    let words = format!("{cause}: {}", reason(its));
    if !json {
        return Ok(source.text() + &words);
    }
    let mut object = source.json();
    object.insert("wire".to_owned(), json!(wire));
    verdict(&mut object, its);
    object.insert("cause".to_owned(), json!(cause));
    object.insert("text".to_owned(), json!(words));
    text::json::text(&object)
}
