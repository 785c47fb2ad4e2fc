//! The beginning of a TCP stream: segments in the order of their sequence numbers, few and short.

use std::borrow::Cow;

use super::inspector::{OCTETS, SEGMENTS};

/// A sequence number this far from the others belongs to another connection of the same ports.
const FAR: u32 = 1 << 16;

/// Segments of a stream that are held.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// By distance from the first one, in the order of their sequence numbers.
    segments: Vec<Segment>,
}

#[derive(Debug)]
struct Segment {
    sequence: u32,
    octets: Vec<u8>,
}

/// Distance of a sequence number behind another one; negative in front of it (RFC 9293 section 3.4).
const fn behind(sequence: u32, other: u32) -> i32 {
    sequence.wrapping_sub(other).cast_signed()
}

impl Stream {
    /// Whether a further segment can be held.
    pub(super) const fn is_full(&self) -> bool {
        self.segments.len() >= SEGMENTS
    }

    /// Holds a segment, cut where the stream would grow beyond its octets. A segment that was held already and came
    /// again with more octets replaces the shorter one.
    pub(super) fn add(&mut self, sequence: u32, payload: &[u8]) {
        if self.segments.iter().any(|held| behind(sequence, held.sequence).unsigned_abs() > FAR) {
            self.segments.clear();
        }
        let payload = payload.get(..OCTETS / SEGMENTS).unwrap_or(payload);
        let is_full = self.is_full();
        match self.segments.iter_mut().find(|held| held.sequence == sequence) {
            Some(held) if held.octets.len() >= payload.len() => {}
            Some(held) => held.octets = payload.to_vec(),
            None if is_full => {}
            None => {
                let at = self.segments.iter().position(|held| behind(held.sequence, sequence) > 0);
                let segment = Segment { sequence, octets: payload.to_vec() };
                self.segments.insert(at.unwrap_or(self.segments.len()), segment);
            }
        }
    }

    /// The octets from the first held segment up to the first gap. Where segments overlap, the earlier one stands.
    pub(super) fn prefix(&self) -> Cow<'_, [u8]> {
        let Some((first, rest)) = self.segments.split_first() else { return Cow::Borrowed(&[]) };
        let mut prefix = Cow::Borrowed(first.octets.as_slice());
        for segment in rest {
            let Ok(at) = usize::try_from(behind(segment.sequence, first.sequence)) else { break };
            let Some(known) = prefix.len().checked_sub(at) else { break };
            if let Some(more) = segment.octets.get(known..) {
                prefix.to_mut().extend_from_slice(more);
            }
        }
        prefix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(segments: &[(u32, &[u8])]) -> Vec<u8> {
        let mut stream = Stream::default();
        segments.iter().for_each(|(sequence, octets)| stream.add(*sequence, octets));
        stream.prefix().into_owned()
    }

    #[test]
    fn segments_are_put_in_order_across_the_wrap_of_the_sequence() {
        let (a, b, c) = (u32::MAX - 1, 1, 4);
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
            let segments = [(a, b"abc".as_slice()), (b, b"def"), (c, b"gh")];
            assert_eq!(prefix(&order.map(|it| segments[it])), b"abcdefgh", "{order:?}");
        }
    }

    #[test]
    fn a_gap_ends_the_prefix_and_an_overlap_keeps_the_earlier_octets() {
        assert_eq!(prefix(&[(0, b"abc"), (4, b"xy")]), b"abc");
        assert_eq!(prefix(&[(0, b"abc"), (2, b"XYZ"), (1, b"Q")]), b"abcYZ");
        assert_eq!(prefix(&[(0, b"ab"), (0, b"abcd"), (0, b"z")]), b"abcd");
    }

    #[test]
    fn a_far_sequence_number_begins_a_new_stream_and_a_fourth_segment_is_not_held() {
        assert_eq!(prefix(&[(7, b"old"), (7 + FAR + 1, b"new")]), b"new");
        assert_eq!(prefix(&[(0, b"a"), (1, b"b"), (2, b"c"), (3, b"d")]), b"abc");
        assert_eq!(prefix(&[(0, &[1; OCTETS]), (1, &[2; 3])]).len(), OCTETS / SEGMENTS);
    }
}
