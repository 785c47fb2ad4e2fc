//! The segments, and the messages that wait in them.

use std::collections::VecDeque;

use flowxdp_core::record::RecordTotal;

use super::Place;
use super::losses::Tally;

/// A file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// Octets of its whole messages: all octets, but for the rest of a failed write.
    pub(super) length: u64,
    /// An earlier run wrote it.
    pub(super) inherited: bool,
    /// Octets that were read.
    pub(super) read: u64,
    /// Octets up to the end of the last message that was taken.
    pub(super) taken: u64,
    /// Messages that were not taken.
    pub(super) waiting: Tally,
    /// The export time of its last message, seconds since 1970.
    pub(super) newest: u32,
    /// The distance of that time of day from the steady one, seconds.
    pub(super) step: i64,
}

impl Segment {
    /// The end of the last message that was taken.
    const fn taken(&self) -> Place {
        Place { segment: self.number, end: self.taken }
    }

    /// Whether none of its messages is needed any more, where messages up to `delivered` are not.
    pub(super) fn is_finished(&self, delivered: Place) -> bool {
        self.is_read() && self.waiting.is_empty() && (self.taken == 0 || self.taken() <= delivered)
    }

    /// Whether all of it was read.
    pub(super) const fn is_read(&self) -> bool {
        self.read >= self.length
    }
}

/// All segments, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Stock {
    segments: VecDeque<Segment>,
    octets: u64,
    waiting: Tally,
    waiting_inherited: Tally,
}

impl Stock {
    pub(super) const fn octets(&self) -> u64 {
        self.octets
    }

    pub(super) const fn waiting(&self) -> RecordTotal {
        self.waiting.total
    }

    pub(super) const fn waiting_inherited(&self) -> RecordTotal {
        self.waiting_inherited.total
    }

    pub(super) fn oldest(&self) -> Option<&Segment> {
        self.segments.front()
    }

    pub(super) fn newest(&self) -> Option<&Segment> {
        self.segments.back()
    }

    /// The distance of the time of day from the steady one in a segment, seconds.
    pub(super) fn step(&self, number: u64) -> i64 {
        self.segments.iter().find(|segment| segment.number == number).map_or(0, |segment| segment.step)
    }

    /// Adds one behind the others.
    pub(super) fn push(&mut self, segment: Segment) {
        self.octets += segment.length;
        self.waiting.add(&segment.waiting);
        if segment.inherited {
            self.waiting_inherited.add(&segment.waiting);
        }
        self.segments.push_back(segment);
    }

    /// Counts a message that was appended to the newest segment, whose number is `number`.
    pub(super) fn grow(&mut self, number: u64, octets: u64, tally: &Tally, secs: u32) {
        let Some(segment) = self.segments.back_mut().filter(|segment| segment.number == number) else {
            return;
        };
        segment.length += octets;
        segment.waiting.add(tally);
        segment.newest = secs;
        self.octets += octets;
        self.waiting.add(tally);
    }

    /// Forgets the oldest segment, and gives it with its waiting messages.
    pub(super) fn pop(&mut self) -> Option<Segment> {
        let segment = self.segments.pop_front()?;
        self.octets -= segment.length;
        self.subtract(segment.inherited, &segment.waiting);
        Some(segment)
    }

    /// The oldest segment with octets to read, or with counted messages that its file does not have.
    pub(super) fn unread(&mut self) -> Option<&mut Segment> {
        self.segments.iter_mut().find(|segment| !segment.is_read() || !segment.waiting.is_empty())
    }

    /// Notes that a segment was read up to a place.
    pub(super) fn read(&mut self, place: Place) {
        if let Some(segment) = self.find(place.segment) {
            segment.read = place.end;
        }
    }

    /// Notes that a message was taken, and must be delivered before its segment is finished.
    pub(super) fn taken(&mut self, place: Place) {
        if let Some(segment) = self.find(place.segment) {
            segment.taken = place.end;
        }
    }

    /// Subtracts a message from the waiting ones, and gives as many of its records as waited.
    pub(super) fn leave(&mut self, place: Place, tally: &Tally) -> Tally {
        let Some(segment) = self.find(place.segment) else { return Tally::default() };
        let (tally, inherited) = (segment.waiting.take(tally), segment.inherited);
        self.subtract(inherited, &tally);
        tally
    }

    /// Subtracts all waiting messages of a segment, and gives them.
    pub(super) fn leave_rest(&mut self, number: u64) -> Tally {
        let Some(segment) = self.find(number) else { return Tally::default() };
        let (tally, inherited) = (std::mem::take(&mut segment.waiting), segment.inherited);
        self.subtract(inherited, &tally);
        tally
    }

    /// Whether there is a segment of this number.
    pub(super) fn holds(&self, number: u64) -> bool {
        self.segments.iter().any(|segment| segment.number == number)
    }

    /// A segment by its number; callers ask for segments among the oldest.
    fn find(&mut self, number: u64) -> Option<&mut Segment> {
        self.segments.iter_mut().find(|segment| segment.number == number)
    }

    fn subtract(&mut self, inherited: bool, tally: &Tally) {
        self.waiting.take(tally);
        if inherited {
            self.waiting_inherited.take(tally);
        }
    }
}
