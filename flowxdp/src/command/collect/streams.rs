//! Who exports: a parser, a sequence and totals for each transport session and domain, within bounds.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::complaints::Complaints;
use super::decode::{self, Decoder, Message};
use super::header::Header;
use super::sequence::Sequence;
use super::totals::{self, Summary, Totals};

/// Streams that are followed at one time.
const MOST_STREAMS: usize = 512;
/// Octets of memory that the templates of one stream, and of all, may take.
const STREAM_OCTETS: usize = 2 << 20;
const ALL_OCTETS: usize = 32 << 20;

/// Templates are valid within a transport session and a domain (RFC 7011 section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    exporter: SocketAddr,
    domain: u32,
    version: u16,
}

#[derive(Debug)]
struct Stream {
    decoder: Decoder,
    sequence: Sequence,
    totals: Totals,
    last_used: u64,
}

/// All streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: HashMap<Key, Stream>,
    /// Counts up with every message: the clock of who was heard least recently.
    tick: u64,
    others: Totals,
    /// Octets of memory that all templates take.
    octets: usize,
    complaints: Complaints,
}

impl Streams {
    /// Decodes and counts one message; `None` when it has no header that can be read. `now` is monotonic, in
    /// nanoseconds.
    pub(super) fn take(
        &mut self,
        exporter: SocketAddr,
        octets: &[u8],
        now: u64,
    ) -> anyhow::Result<Option<(Header, Message)>> {
        let Some(header) = Header::read(octets) else {
            self.others.messages += 1;
            self.others.malformed += 1;
            let length = octets.len();
            self.complaints.warn(now, || {
                format!("{exporter} sent {length} octets that are no NetFlow or IPFIX message")
            });
            return Ok(None);
        };
        self.tick += 1;
        let key = Key { exporter, domain: header.domain, version: header.version };
        if !self.streams.contains_key(&key) && self.streams.len() >= MOST_STREAMS {
            self.forget_one(None);
        }
        let stream = match self.streams.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(Stream {
                decoder: Decoder::new()?,
                sequence: Sequence::default(),
                totals: Totals::default(),
                last_used: 0,
            }),
        };
        stream.last_used = self.tick;
        let before = stream.decoder.octets();
        let message = decode::decode(&mut stream.decoder, &header, octets);
        if stream.decoder.octets() > STREAM_OCTETS {
            stream.decoder = Decoder::new()?;
            self.complaints.warn(now, || {
                format!(
                    "{exporter} domain {} sent too many templates: all of them are forgotten",
                    header.domain
                )
            });
        }
        self.octets = self.octets.saturating_sub(before) + stream.decoder.octets();
        stream.sequence.observe(header.sequence, totals::units(&header, &message));
        stream.totals.count(&message);
        if let (1, Some(fault)) = (stream.totals.malformed, &message.fault) {
            let domain = header.domain;
            self.complaints
                .warn(now, || format!("{exporter} domain {domain} sent a malformed message: {fault}"));
        }
        while self.octets > ALL_OCTETS && self.forget_one(Some(key)) {}
        Ok(Some((header, message)))
    }

    /// Forgets one stream, not `kept`: one that gave no record if there is such, so that noise does not push the
    /// real ones out, and among those the one not heard for longest. Says whether there was one.
    fn forget_one(&mut self, kept: Option<Key>) -> bool {
        let value = |stream: &Stream| {
            (stream.totals.data_records + stream.totals.options_records > 0, stream.last_used)
        };
        let others = self.streams.iter().filter(|(key, _)| Some(**key) != kept);
        let least = others.min_by_key(|(_, stream)| value(stream)).map(|(key, _)| *key);
        let Some(stream) = least.and_then(|key| self.streams.remove(&key)) else { return false };
        self.octets = self.octets.saturating_sub(stream.decoder.octets());
        self.others += stream.totals.with(&stream.sequence);
        true
    }

    /// The totals so far, by exporter.
    pub(super) fn summary(&self) -> Summary {
        let mut keys: Vec<_> = self.streams.iter().collect();
        keys.sort_unstable_by_key(|(key, _)| **key);
        let line = |(key, stream): (&Key, &Stream)| {
            (key.exporter.to_string(), key.domain, key.version, stream.totals.with(&stream.sequence))
        };
        Summary { streams: keys.into_iter().map(line).collect(), others: self.others, dropped: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPFIX message without sets.
    fn empty(domain: u32) -> Vec<u8> {
        let mut message = vec![0, 10, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0];
        message.extend(domain.to_be_bytes());
        message
    }

    #[test]
    fn streams_are_bounded_and_nothing_is_forgotten_in_the_totals() {
        let mut streams = Streams::default();
        for domain in 0..2000 {
            streams.take(([127, 0, 0, 1], 9).into(), &empty(domain), 0).unwrap();
        }
        let summary = streams.summary();
        assert_eq!(summary.streams.len(), MOST_STREAMS);
        assert_eq!(summary.total().messages, 2000);
    }

    /// An IPFIX message with one template of `fields` fields.
    fn template(domain: u32, id: u16, fields: u16) -> Vec<u8> {
        let set = 8 + 4 * fields;
        let mut message: Vec<u8> = [10, 16 + set].into_iter().flat_map(u16::to_be_bytes).collect();
        message.extend([1, 0, domain].into_iter().flat_map(u32::to_be_bytes));
        message.extend([2, set, id, fields].into_iter().flat_map(u16::to_be_bytes));
        (0..fields).for_each(|_| message.extend([0, 1, 0, 1]));
        message
    }

    #[test]
    fn templates_of_all_streams_are_bounded() {
        let mut streams = Streams::default();
        for domain in 0..200 {
            for id in 256..376 {
                streams.take(([127, 0, 0, 1], 9).into(), &template(domain, id, 500), 0).unwrap();
            }
        }
        let counted: usize = streams.streams.values().map(|stream| stream.decoder.octets()).sum();
        assert_eq!(counted, streams.octets);
        assert!((ALL_OCTETS / 2..=ALL_OCTETS).contains(&counted), "{counted}");
        assert_eq!(streams.summary().total().messages, 200 * 120);
    }

    #[test]
    fn one_stream_does_not_take_all_templates() {
        let mut streams = Streams::default();
        for id in 0..4 {
            streams.take(([127, 0, 0, 1], 9).into(), &template(1, 300 + id, 3), 0).unwrap();
        }
        for _ in 0..200 {
            // The message is faulty behind a template: the parser may have kept that template.
            let mut message = template(2, 256, 500);
            message.extend([0; 5]);
            let length = u16::try_from(message.len()).unwrap().to_be_bytes();
            message[2..4].copy_from_slice(&length);
            streams.take(([127, 0, 0, 1], 9).into(), &message, 0).unwrap();
            assert!(streams.octets <= 2 * STREAM_OCTETS);
        }
        assert_eq!(streams.summary().streams.len(), 2);
    }

    #[test]
    fn noise_makes_no_stream() {
        let mut streams = Streams::default();
        for length in 0..64 {
            assert!(streams.take(([127, 0, 0, 1], 9).into(), &vec![0xff; length], 0).unwrap().is_none());
        }
        let summary = streams.summary();
        assert_eq!((summary.streams.len(), summary.total().malformed), (0, 64));
    }
}
