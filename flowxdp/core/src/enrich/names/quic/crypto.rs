//! CRYPTO frames (RFC 9000 section 19.6) of several packets, in any order: clients shuffle and divide them on purpose.

use super::header::integer;
use crate::enrich::names::{inspector::OCTETS, verdict::Reason};

/// Gaps between pieces that are kept apart: 35 pieces in 6 datagrams were seen.
const APART: usize = 64;

const PADDING: u64 = 0;
const PING: u64 = 1;
const ACK: u64 = 2;
const ACK_ECN: u64 = 3;
const CRYPTO: u64 = 6;
const CLOSE: u64 = 0x1c;

/// Octets of the handshake that came so far.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    octets: Vec<u8>,
    /// Where octets are there: start and end, in order, neither touching nor overlapping.
    ranges: Vec<(usize, usize)>,
}

impl Pieces {
    /// The octets from the start up to the first gap.
    pub(super) fn prefix(&self) -> &[u8] {
        let end = self.ranges.first().filter(|(start, _)| *start == 0).map_or(0, |(_, end)| *end);
        self.octets.get(..end).unwrap_or_default()
    }

    /// Adds a piece.
    ///
    /// # Errors
    ///
    /// Octets beyond those that are held of a flow; too many gaps.
    fn add(&mut self, offset: u64, piece: &[u8]) -> Result<(), Reason> {
        if piece.is_empty() {
            return Ok(());
        }
        let start = usize::try_from(offset).map_err(|_| Reason::TooLong)?;
        let end = start.checked_add(piece.len()).filter(|end| *end <= OCTETS).ok_or(Reason::TooLong)?;
        if self.octets.len() < end {
            self.octets.resize(end, 0);
        }
        if let Some(place) = self.octets.get_mut(start..end) {
            place.copy_from_slice(piece);
        }
        let (mut start, mut end) = (start, end);
        self.ranges.retain(|(from, to)| {
            let touches = *from <= end && start <= *to;
            if touches {
                (start, end) = (start.min(*from), end.max(*to));
            }
            !touches
        });
        let at = self.ranges.iter().position(|(from, _)| *from > start).unwrap_or(self.ranges.len());
        self.ranges.insert(at, (start, end));
        if self.ranges.len() > APART { Err(Reason::TooLong) } else { Ok(()) }
    }
}

/// Adds the CRYPTO frames of a packet to `pieces`.
///
/// # Errors
///
/// A frame that an Initial packet may not have (RFC 9000 table 3), or that is cut.
pub(super) fn frames(mut octets: &[u8], pieces: &mut Pieces) -> Result<(), Reason> {
    while !octets.is_empty() {
        octets = frame(octets, pieces)?;
    }
    Ok(())
}

/// Reads a frame; the rest is behind it.
fn frame<'a>(octets: &'a [u8], pieces: &mut Pieces) -> Result<&'a [u8], Reason> {
    let next = |octets| integer(octets).ok_or(Reason::Malformed);
    let (kind, mut rest) = next(octets)?;
    match kind {
        PADDING | PING => {}
        ACK | ACK_ECN => {
            let (ranges, behind) = next(next(next(rest)?.1)?.1)?;
            // Two numbers for each further range, and three counters of ECN; each has an octet at least.
            let numbers = ranges.saturating_mul(2).saturating_add(if kind == ACK_ECN { 4 } else { 1 });
            rest = behind;
            for _ in 0..numbers {
                rest = next(rest)?.1;
            }
        }
        CRYPTO => {
            let (offset, behind) = next(rest)?;
            let (length, behind) = next(behind)?;
            let length = usize::try_from(length).map_err(|_| Reason::Malformed)?;
            let (piece, behind) = behind.split_at_checked(length).ok_or(Reason::Malformed)?;
            pieces.add(offset, piece)?;
            rest = behind;
        }
        // The connection ends: nothing behind it matters.
        CLOSE => rest = &[],
        _ => return Err(Reason::Malformed),
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_in_any_order_become_one() {
        let mut pieces = Pieces::default();
        for (offset, piece) in [(6, "ghi"), (0, "ab"), (4, "efg"), (2, "c"), (3, "d")] {
            assert!(pieces.prefix().len() < 9);
            pieces.add(offset, piece.as_bytes()).unwrap();
        }
        assert_eq!((pieces.prefix(), pieces.ranges.len()), (b"abcdefghi".as_slice(), 1));
    }

    #[test]
    fn far_octets_and_many_gaps_are_too_long() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.add(u64::MAX, b"a"), Err(Reason::TooLong));
        assert_eq!(pieces.add(OCTETS as u64, b"a"), Err(Reason::TooLong));
        let results: Vec<_> = (0..=APART as u64).map(|at| pieces.add(at * 2, b"a")).collect();
        assert!(results[..APART].iter().all(Result::is_ok) && results[APART].is_err());
    }

    #[test]
    fn frames_of_an_initial_packet_are_read_and_others_refused() {
        let mut pieces = Pieces::default();
        let ack = [2, 5, 0, 1, 3, 0, 1];
        let all = [&[0, 0, 1], ack.as_slice(), &[6, 0, 2, b'h', b'i'], &[0x1c, 9, 9]].concat();
        assert_eq!(frames(&all, &mut pieces), Ok(()));
        assert_eq!(pieces.prefix(), b"hi");
        for bad in [[6, 0, 2, 1].as_slice(), &[8], &[2, 5, 0, 0x3f, 0]] {
            assert_eq!(frames(bad, &mut pieces), Err(Reason::Malformed), "{bad:?}");
        }
    }
}
