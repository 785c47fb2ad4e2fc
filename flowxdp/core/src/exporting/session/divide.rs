//! A message that is too large for the path becomes several (RFC 7011 section 10.3.3: no message is to exceed
//! the path MTU).

use super::Message;
use super::modulo_32;
use super::templated::Templated;
use crate::exporting::template::Template;
use crate::exporting::wire::{Protocol, SET_HEADER, Writer};
use crate::record::{DeliveryId, RecordTotal};

/// The sets of a message, from behind its header on: id and records.
fn sets(mut octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [id, another, high, low, ..] = *octets else { return None };
        let (set, behind) = octets.split_at_checked(u16::from_be_bytes([high, low]).into())?;
        octets = behind;
        Some((u16::from_be_bytes([id, another]), set.get(SET_HEADER..)?))
    })
}

/// How many records that `octets` begin with have at most `room` octets together; and their octets.
fn fitting(template: &Template, octets: &[u8], room: usize) -> (usize, usize) {
    let (mut count, mut length) = (0, 0);
    while let Some((record, _)) = octets.get(length..).and_then(|rest| template.split(rest))
        && length + record.len() <= room
    {
        (count, length) = (count + 1, length + record.len());
    }
    (count, length)
}

/// A message in the making.
struct Part {
    writer: Writer,
    total: RecordTotal,
    deliveries: Vec<DeliveryId>,
}

impl Templated {
    /// The flow records of a message that is above the largest size, in messages that are not, without a place
    /// in the sequence yet; any other message as it is.
    ///
    /// Templates in it are left out: they go out before.
    pub(super) fn divide(&self, message: Message) -> Vec<Message> {
        if message.bytes.len() <= self.config.max_message {
            return vec![message];
        }
        match self.parts(&message) {
            Some(parts) => parts.into_iter().map(|part| self.complete(part, message.domain)).collect(),
            None => vec![message],
        }
    }

    /// `None` if a record does not fit, or if there are sets whose template is not known.
    fn parts(&self, message: &Message) -> Option<Vec<Part>> {
        let (mut parts, mut part, mut nth) = (Vec::new(), self.part(), 0);
        for (id, octets) in sets(message.bytes.get(self.protocol.header()..).unwrap_or_default()) {
            let mut templates = self.groups.iter().flat_map(|group| group.layout.templates());
            let Some(template) = templates.find(|template| template.id() == id) else { continue };
            let mut left = octets;
            // Padding is shorter than a record.
            while left.len() >= template.record_length() {
                let room = self.config.max_message.saturating_sub(part.writer.len());
                let (count, length) = fitting(template, left, self.protocol.set_room(room).unwrap_or(0));
                if count == 0 {
                    if part.total.records == 0 {
                        return None;
                    }
                    parts.push(std::mem::replace(&mut part, self.part()));
                    continue;
                }
                let (mut records, behind) = left.split_at(length);
                left = behind;
                part.writer.records(id, count, length, |octets| octets.copy_from_slice(records));
                while let Some((record, others)) = template.split(records) {
                    records = others;
                    let delivery = message.deliveries.get(nth).copied().unwrap_or_default();
                    DeliveryId::keep(&mut part.deliveries, part.total.records, delivery);
                    let [packets, octets] = template.counters(record);
                    part.total += RecordTotal { records: 1, packets, octets };
                    nth += 1;
                }
            }
        }
        parts.push(part);
        let records: u64 = parts.iter().map(|part| part.total.records).sum();
        (records == message.total.records).then_some(parts)
    }

    fn part(&self) -> Part {
        let writer = Writer::new(self.protocol, Vec::with_capacity(self.config.max_message));
        Part { writer, total: RecordTotal::default(), deliveries: Vec::new() }
    }

    fn complete(&self, part: Part, domain: u32) -> Message {
        let counted = match self.protocol {
            Protocol::Ipfix => modulo_32(part.total.records),
            Protocol::V9 => 1,
        };
        let bytes = part.writer.finish(&self.header(domain));
        let (total, deliveries) = (part.total, part.deliveries);
        Message { bytes, templates: 0, total, templates_only: false, domain, counted, next: 0, deliveries }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::super::samples::record;
    use super::super::{Message, Session, SessionConfig};
    use crate::clock::Now;
    use crate::elements::Choice;
    use crate::exporting::protocol::Protocol;
    use crate::exporting::template::{Kind, RecordFormat, Template};
    use crate::exporting::wire;
    use crate::record::DeliveryId;

    fn word(message: &Message, at: usize) -> u32 {
        u32::from_be_bytes(message.bytes[at..at + 4].try_into().unwrap())
    }

    fn poll_all(session: &mut Session, now: Now) -> VecDeque<Message> {
        std::iter::from_fn(|| session.poll_message(now, true)).collect()
    }

    /// Forty records, and a session's messages of them after the largest size fell.
    fn divided(protocol: Protocol) -> (VecDeque<Message>, VecDeque<Message>) {
        let mut session = Session::new(SessionConfig::new(protocol, 0)).unwrap();
        let now = Now::new(0, 1_000_000);
        for port in 0..40 {
            let mut record = record(port).with(|flow| {
                (flow.packets, flow.octets) = (u64::from(port) + 1, 1_000);
                // ICMP is a set of its own in the same message.
                flow.key.protocol = if port % 9 == 0 { 1 } else { 17 };
            });
            record.delivery = if port % 2 == 0 { DeliveryId(u32::from(port) + 1) } else { DeliveryId::NONE };
            session.push(&record, now).unwrap();
        }
        let large = poll_all(&mut session, now);
        session.set_max_message(600).unwrap();
        let small = session.resume(large.clone(), now);
        (large, small)
    }

    #[test]
    fn the_parts_hold_the_same_records_and_none_is_above_the_size() {
        for protocol in [Protocol::Ipfix, Protocol::V9, Protocol::V7, Protocol::V5, Protocol::V1] {
            let (large, small) = divided(protocol);
            assert!(large.iter().any(|message| message.bytes.len() > 600), "{protocol}");
            assert!(small.iter().all(|message| message.bytes.len() <= 600), "{protocol}");
            let sum = |messages: &VecDeque<Message>| {
                let totals = messages.iter().map(|it| (it.total.records, it.total.packets, it.total.octets));
                totals.reduce(|one, other| (one.0 + other.0, one.1 + other.1, one.2 + other.2)).unwrap()
            };
            assert_eq!(sum(&small), (40, 820, 40_000), "{protocol}");
            assert_eq!(sum(&small), sum(&large), "{protocol}");
            let deliveries = |messages: &VecDeque<Message>| {
                let all = messages.iter().flat_map(|message| message.deliveries.clone());
                let mut some: Vec<_> = all.filter(|delivery| *delivery != DeliveryId::NONE).collect();
                some.sort();
                some
            };
            assert_eq!(deliveries(&small), deliveries(&large), "{protocol}");
            assert_eq!(deliveries(&small).len(), 20, "{protocol}");
        }
    }

    #[test]
    fn the_parts_are_numbered_as_if_they_were_the_first() {
        // Records in IPFIX and v5, messages in v9.
        for (protocol, at, records) in
            [(Protocol::Ipfix, 8, true), (Protocol::V5, 16, true), (Protocol::V9, 12, false)]
        {
            let (_, small) = divided(protocol);
            let mut next = 0;
            for message in &small {
                assert_eq!(u64::from(word(message, at)), next, "{protocol}");
                next += if records { message.total.records } else { 1 };
            }
        }
    }

    #[test]
    fn a_record_takes_its_delivery_along() {
        let (large, small) = divided(Protocol::Ipfix);
        let ports = |messages: &VecDeque<Message>| {
            let mut pairs = Vec::new();
            for message in messages {
                // Source ports of IPv4 records are behind the addresses; ICMP has a record two octets longer.
                let (mut at, mut nth) = (16, 0);
                while at < message.bytes.len() {
                    let id = u16::from_be_bytes([message.bytes[at], message.bytes[at + 1]]);
                    let end =
                        at + usize::from(u16::from_be_bytes([message.bytes[at + 2], message.bytes[at + 3]]));
                    let kind = if id == 288 { Kind::Ipv4 } else { Kind::IcmpIpv4 };
                    let template =
                        Template::new(wire::Protocol::Ipfix, RecordFormat::USUAL, kind, &Choice::default());
                    let length = template.record_length();
                    let set = if id == 288 || id == 290 { &message.bytes[at + 4..end] } else { &[][..] };
                    for record in set.chunks_exact(length) {
                        let delivery = message.deliveries.get(nth).copied().unwrap_or_default();
                        pairs.push((record[..12].to_vec(), record[18..30].to_vec(), delivery));
                        nth += 1;
                    }
                    at = end;
                }
            }
            pairs.sort();
            pairs
        };
        assert_eq!(ports(&small), ports(&large));
    }
}
