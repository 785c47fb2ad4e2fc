//! The gaps in a stream of numbered messages.

/// Holes that may still be filled by late messages; older ones count as final.
const OPEN_HOLES: usize = 32;

/// Follows the sequence numbers of one stream.
///
/// A message covers `units` numbers from its own on: data records in IPFIX, flows in v5 and v7, one in
/// v9. A message that comes late fills the hole that it left, so reordering is not a gap.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    expected: Option<u32>,
    /// First missing number, and how many.
    holes: Vec<(u32, u32)>,
    final_gaps: u64,
    final_missing: u64,
    /// The number after a message from behind that fills no hole: the next one tells a restart.
    behind: Option<u32>,
}

impl Sequence {
    /// Takes one message. `units` is `None` when it could not be decoded wholly: then nothing can be
    /// said about the next one.
    pub(super) fn observe(&mut self, sequence: u32, units: Option<u32>) {
        let next = units.map(|units| sequence.wrapping_add(units));
        let Some(expected) = self.expected else {
            self.expected = next;
            return;
        };
        let ahead = sequence.wrapping_sub(expected);
        if ahead.cast_signed() < 0 {
            self.late(sequence, units);
            return;
        }
        if ahead > 0 {
            if self.holes.len() == OPEN_HOLES {
                self.final_missing += u64::from(self.holes.remove(0).1);
                self.final_gaps += 1;
            }
            self.holes.push((expected, ahead));
        }
        self.behind = None;
        self.expected = next;
    }

    /// A message from before the expected number: late, twice, or of an exporter that began anew.
    fn late(&mut self, sequence: u32, units: Option<u32>) {
        let Some(units) = units.filter(|units| *units > 0) else { return };
        let within = |&(start, length): &(u32, u32)| {
            let offset = sequence.wrapping_sub(start);
            offset < length && units <= length - offset
        };
        if let Some(index) = self.holes.iter().position(within) {
            let (start, length) = self.holes.remove(index);
            let before = sequence.wrapping_sub(start);
            let after = length - before - units;
            if after > 0 {
                self.holes.insert(index, (sequence.wrapping_add(units), after));
            }
            if before > 0 {
                self.holes.insert(index, (start, before));
            }
            return;
        }
        let next = sequence.wrapping_add(units);
        if self.behind == Some(sequence) {
            self.expected = Some(next);
            self.behind = None;
        } else {
            self.behind = Some(next);
        }
    }

    /// Gaps that were not filled.
    pub(super) fn gaps(&self) -> u64 {
        self.final_gaps + self.holes.len() as u64
    }

    /// Numbers in those gaps: data records, flows or messages, as the version counts.
    pub(super) fn missing(&self) -> u64 {
        self.final_missing + self.holes.iter().map(|(_, length)| u64::from(*length)).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(messages: &[(u32, u32)]) -> (u64, u64) {
        let mut sequence = Sequence::default();
        for (number, units) in messages {
            sequence.observe(*number, Some(*units));
        }
        (sequence.gaps(), sequence.missing())
    }

    #[test]
    fn a_whole_stream_has_no_gap() {
        assert_eq!(after(&[(7, 3), (10, 0), (10, 20), (30, 1)]), (0, 0));
        assert_eq!(after(&[(u32::MAX - 1, 3), (1, 1)]), (0, 0));
    }

    #[test]
    fn a_gap_is_as_large_as_what_is_missing() {
        assert_eq!(after(&[(0, 3), (5, 1), (6, 1)]), (1, 2));
        assert_eq!(after(&[(u32::MAX, 1), (4, 1), (9, 1)]), (2, 8));
    }

    #[test]
    fn late_messages_fill_their_gap() {
        assert_eq!(after(&[(0, 3), (6, 3), (3, 3), (9, 1)]), (0, 0));
        assert_eq!(after(&[(0, 1), (4, 1), (2, 1), (5, 1)]), (2, 2));
        assert_eq!(after(&[(0, 1), (4, 1), (2, 1), (1, 1), (3, 1)]), (0, 0));
    }

    #[test]
    fn a_message_that_comes_twice_changes_nothing() {
        assert_eq!(after(&[(0, 3), (3, 3), (3, 3), (6, 1)]), (0, 0));
    }

    #[test]
    fn an_exporter_that_begins_anew_has_no_gap() {
        assert_eq!(after(&[(500, 3), (503, 3), (0, 3), (3, 1)]), (0, 0));
        assert_eq!(after(&[(500, 3), (503, 3), (1, 1), (2, 1), (3, 1), (5, 1)]), (1, 1));
    }

    #[test]
    fn what_was_not_decoded_counts_for_nothing() {
        let mut sequence = Sequence::default();
        for (number, units) in [(0, Some(2)), (2, None), (40, Some(1)), (41, Some(1))] {
            sequence.observe(number, units);
        }
        assert_eq!((sequence.gaps(), sequence.missing()), (0, 0));
    }

    #[test]
    fn open_holes_are_bounded() {
        let messages: Vec<(u32, u32)> = (0..1000).map(|number| (number * 2, 1)).collect();
        assert_eq!(after(&messages), (999, 999));
    }
}
