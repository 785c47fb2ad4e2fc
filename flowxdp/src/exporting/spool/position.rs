//! The last places sent and delivered, in a file, for the next run.
//!
//! One write has all of its octets, with a checksum: a killed run leaves the old octets or the new ones, and the
//! checksum detects a torn file after a loss of power.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::Place;

/// Octets of the file.
pub(super) const SIZE: u64 = OCTETS as u64;
const OCTETS: usize = 48;
/// Octets in front of the checksum.
const CHECKED: usize = OCTETS - 8;
/// The first octets of the file.
const MAGIC: u64 = u64::from_be_bytes(*b"flowxdp\x01");

/// The last places sent and delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Messages up to here need no reading any more.
    pub(super) delivered: Place,
    /// Messages up to here were handed to a socket; never before `delivered`.
    pub(super) sent: Place,
}

impl Places {
    /// Six numbers in network byte order: [`MAGIC`], file and octets of `delivered`, those of `sent`, and
    /// the checksum of all before.
    fn encode(&self) -> [u8; OCTETS] {
        let Self { delivered, sent } = self;
        let numbers = [MAGIC, delivered.segment, delivered.end, sent.segment, sent.end];
        let mut octets = [0; OCTETS];
        for (place, number) in octets.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        let sum = checksum(&octets[..CHECKED]);
        octets[CHECKED..].copy_from_slice(&sum.to_be_bytes());
        octets
    }

    fn decode(octets: &[u8; OCTETS]) -> Option<Self> {
        let mut numbers = [0; OCTETS / 8];
        for (number, place) in numbers.iter_mut().zip(octets.chunks_exact(8)) {
            *number = u64::from_be_bytes(*place.first_chunk()?);
        }
        let [magic, delivered_segment, delivered_end, sent_segment, sent_end, sum] = numbers;
        let places = Self {
            delivered: Place { segment: delivered_segment, end: delivered_end },
            sent: Place { segment: sent_segment, end: sent_end },
        };
        (magic == MAGIC && sum == checksum(&octets[..CHECKED])).then_some(places)
    }
}

/// FNV-1a of 64 bits: enough to tell a torn write.
fn checksum(octets: &[u8]) -> u64 {
    octets
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3))
}

/// The position and its file.
#[derive(Debug)]
pub(super) struct Position {
    file: File,
    places: Places,
    /// The last write failed, and the log says so.
    failing: bool,
}

impl Position {
    /// Reads the file; `None` if its checksum or its length is wrong.
    pub(super) fn read(file: &File) -> io::Result<Option<Places>> {
        let mut octets = [0; OCTETS];
        match file.read_exact_at(&mut octets, 0) {
            Ok(()) => Ok(Places::decode(&octets)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Continues from `places`, which the file has from now on.
    pub(super) fn start(file: File, places: Places) -> io::Result<Self> {
        file.set_len(SIZE)?;
        file.write_all_at(&places.encode(), 0)?;
        Ok(Self { file, places, failing: false })
    }

    pub(super) const fn places(&self) -> Places {
        self.places
    }

    pub(super) fn sent(&mut self, place: Place) {
        if place > self.places.sent {
            self.places.sent = place;
            self.write();
        }
    }

    pub(super) fn delivered(&mut self, place: Place) {
        if place > self.places.delivered {
            self.places.delivered = place;
            self.places.sent = self.places.sent.max(place);
            self.write();
        }
    }

    /// The next write makes up for one that fails: the file has its size, so that only a broken disk fails.
    fn write(&mut self) {
        let result = self.file.write_all_at(&self.places.encode(), 0);
        if let Err(error) = &result
            && !self.failing
        {
            log::warn!("the position of a spool cannot be written, so a later run may send again: {error}");
        }
        self.failing = result.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::{OCTETS, Places};
    use crate::exporting::spool::Place;

    #[test]
    fn what_is_written_is_read_and_any_other_bit_is_noticed() {
        let places =
            Places { delivered: Place { segment: 3, end: 700 }, sent: Place { segment: 4, end: u64::MAX } };
        let octets = places.encode();
        assert_eq!(Places::decode(&octets), Some(places));
        for bit in 0..OCTETS * 8 {
            let mut octets = octets;
            octets[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Places::decode(&octets), None, "{bit}");
        }
        assert_eq!(Places::decode(&[0; OCTETS]), None);
    }
}
