//! Who exports: a parser, a sequence and totals for each transport session and domain, within bounds.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::decode::{self, Decoder, Message};
use super::header::Header;
use super::sequence::Sequence;
use super::totals::{self, Summary, Totals};

/// Streams that are followed at one time.
const MOST_STREAMS: usize = 512;

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
}

impl Streams {
    /// Decodes and counts one message; `None` when it has no header that can be read.
    pub(super) fn take(
        &mut self,
        exporter: SocketAddr,
        octets: &[u8],
    ) -> anyhow::Result<Option<(Header, Message)>> {
        let Some(header) = Header::read(octets) else {
            self.others.messages += 1;
            self.others.malformed += 1;
            if self.others.malformed == 1 {
                log::warn!("{exporter} sent {} octets that are no NetFlow or IPFIX message", octets.len());
            }
            return Ok(None);
        };
        self.tick += 1;
        let key = Key { exporter, domain: header.domain, version: header.version };
        if !self.streams.contains_key(&key) {
            self.make_room();
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
        let message = decode::decode(&mut stream.decoder, &header, octets);
        stream.sequence.observe(header.sequence, totals::units(&header, &message));
        stream.totals.count(&message);
        if let (1, Some(fault)) = (stream.totals.malformed, &message.fault) {
            log::warn!("{exporter} domain {} sent a malformed message: {fault}", header.domain);
        }
        Ok(Some((header, message)))
    }

    /// Forgets one stream when there are too many: one that gave no record if there is such, so that
    /// noise does not push the real ones out, and among those the one not heard for longest.
    fn make_room(&mut self) {
        if self.streams.len() < MOST_STREAMS {
            return;
        }
        let value = |stream: &Stream| {
            (stream.totals.data_records + stream.totals.options_records > 0, stream.last_used)
        };
        let least = self.streams.iter().min_by_key(|(_, stream)| value(stream)).map(|(key, _)| *key);
        if let Some(stream) = least.and_then(|key| self.streams.remove(&key)) {
            self.others += stream.totals.with(&stream.sequence);
        }
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
            streams.take(([127, 0, 0, 1], 9).into(), &empty(domain)).unwrap();
        }
        let summary = streams.summary();
        assert_eq!(summary.streams.len(), MOST_STREAMS);
        assert_eq!(summary.total().messages, 2000);
    }

    #[test]
    fn noise_makes_no_stream() {
        let mut streams = Streams::default();
        for length in 0..64 {
            assert!(streams.take(([127, 0, 0, 1], 9).into(), &vec![0xff; length]).unwrap().is_none());
        }
        let summary = streams.summary();
        assert_eq!((summary.streams.len(), summary.total().malformed), (0, 64));
    }
}
