//! The spool's files: IPFIX messages one after the other (RFC 5655 section 7), read against any octets.
//!
//! A file has the messages of one transport session over TCP, templates before the data that needs them. Two steps read a file, so that it is never whole in memory:
//!
//! - [`start`] finds a message's length at a place of a file, and [`Messages`] iterates over the messages.
//! - [`Templates::read`] takes one whole message, learns its templates and gives its content ([`Content`]). A
//!   message that cannot be understood is a fault of that message, not of the file.
//!
//! Memory is bounded by [`MOST_TEMPLATES`]; no number in a file sets a size.

mod begin;
mod content;
mod shape;
mod templates;

pub use begin::begin;
pub use content::{Content, Fault};
pub use templates::{MOST_TEMPLATES, Templates};

pub use crate::exporting::session::Definition;

use crate::exporting::wire::{Header, Protocol};

/// Octets of the message header, which every message has at least (RFC 7011 section 3.1).
pub const HEADER: usize = Protocol::Ipfix.header();

/// The version of IPFIX.
const VERSION: u16 = 10;

/// The kind of data that begins at a place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A whole message of so many octets.
    Message(usize),
    /// The beginning of a message whose end is missing: a writer was killed.
    Torn,
    /// No IPFIX: another version, or a length that is shorter than the header.
    Foreign,
    /// Nothing.
    End,
}

/// Judges the data that begin with `octets`, where the file has `left` octets from there on.
///
/// `octets` are the first [`HEADER`] of them, or all if there are fewer; further ones are not read.
pub fn start(octets: &[u8], left: u64) -> Start {
    let expected = VERSION.to_be_bytes();
    let version = octets.get(..2).unwrap_or(octets);
    if octets.is_empty() {
        return Start::End;
    }
    if !expected.starts_with(version) {
        return Start::Foreign;
    }
    let Some(length) = octets.get(2..4).map(be_16) else { return Start::Torn };
    if usize::from(length) < HEADER {
        return Start::Foreign;
    }
    if u64::from(length) > left { Start::Torn } else { Start::Message(length.into()) }
}

/// The whole messages of a file that is in memory, in order; ends before the first that is not whole.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    octets: &'a [u8],
    whole: usize,
}

impl<'a> Messages<'a> {
    /// Of a file, or of its beginning.
    pub const fn new(octets: &'a [u8]) -> Self {
        Self { octets, whole: 0 }
    }

    /// Octets of the messages that were given: once there is no more, all that are whole.
    pub const fn whole(&self) -> usize {
        self.whole
    }

    /// The data behind the messages that were given.
    pub fn rest(&self) -> Start {
        let rest = self.octets.get(self.whole..).unwrap_or_default();
        start(rest, rest.len() as u64)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let Start::Message(length) = self.rest() else { return None };
        let end = self.whole + length;
        let message = self.octets.get(self.whole..end)?;
        self.whole = end;
        Some(message)
    }
}

/// Gives a whole message the place that it has in a file.
///
/// `sequence` is the number of data records before it in its domain, modulo 2^32, and `export_secs` its
/// export time in seconds since 1970 (RFC 7011 section 3.1). The rest stays. Without a whole header,
/// nothing happens.
pub fn stamp(message: &mut [u8], sequence: u32, export_secs: u32) {
    if message.len() >= HEADER {
        let header = Header { export_secs, uptime_ms: 0, sequence, domain: be_32(&message[12..HEADER]) };
        Protocol::Ipfix.stamp(message, &header);
    }
}

/// The export time of a message, seconds since 1970; 0 without a whole header.
pub fn export_secs(message: &[u8]) -> u32 {
    message.get(4..8).map_or(0, be_32)
}

/// The first two octets as a number; 0 if there are fewer.
fn be_16(octets: &[u8]) -> u16 {
    octets.first_chunk().map_or(0, |octets| u16::from_be_bytes(*octets))
}

/// The first four octets as a number; 0 if there are fewer.
fn be_32(octets: &[u8]) -> u32 {
    octets.first_chunk().map_or(0, |octets| u32::from_be_bytes(*octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u16) -> Vec<u8> {
        let mut bytes = vec![0, 10];
        bytes.extend(length.to_be_bytes());
        bytes.resize(length.into(), 7);
        bytes
    }

    #[test]
    fn whole_messages_end_at_the_first_that_is_not() {
        let file = [message(16), message(20), message(18)].concat();
        for end in 0..=file.len() {
            let mut messages = Messages::new(&file[..end]);
            let lengths: Vec<usize> = messages.by_ref().map(<[u8]>::len).collect();
            let whole = [0, 16, 36, 54].into_iter().rfind(|whole| *whole <= end).unwrap();
            assert_eq!((lengths.iter().sum::<usize>(), messages.whole()), (whole, whole));
            assert_eq!(messages.rest(), if whole == end { Start::End } else { Start::Torn });
        }
    }

    #[test]
    fn other_versions_and_too_short_messages_are_foreign() {
        for octets in [&[1][..], &[0, 9], &[0, 0, 0, 0], &[0, 10, 0, 15], b"\x7fELF"] {
            assert_eq!(start(octets, 1000), Start::Foreign, "{octets:?}");
        }
        assert_eq!(start(&[0, 10, 0, 16], 16), Start::Message(16));
        assert_eq!(start(&[0, 10, 0, 16], 15), Start::Torn);
    }

    #[test]
    fn a_stamp_changes_time_and_sequence_alone() {
        let mut bytes = message(20);
        stamp(&mut bytes, 0x0102_0304, 0x0506_0708);
        assert_eq!(bytes[..12], [0, 10, 0, 20, 5, 6, 7, 8, 1, 2, 3, 4]);
        assert_eq!(bytes[12..], [7; 8]);
        assert_eq!(export_secs(&bytes), 0x0506_0708);
        stamp(&mut bytes[..15], 0, 0);
        assert_eq!(bytes[4..12], [5, 6, 7, 8, 1, 2, 3, 4]);
    }
}
