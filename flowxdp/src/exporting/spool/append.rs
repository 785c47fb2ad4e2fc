//! Append a message: make room, begin a file if none takes the message, write.

use std::io;

use flowxdp_common::reason::Undelivered;
use flowxdp_core::{
    clock::Now,
    exporting::session::Message,
    exporting::spool::{Start, start},
};

use super::age::was_set;
use super::losses::Tally;
use super::stock::Segment;
use super::writer::Writer;
use super::{Spool, position};

/// A file has a sixteenth of the limit, within these octets: a full spool loses one file at a time.
const PARTS: u64 = 16;
const SMALLEST: u64 = 64 << 10;
const LARGEST: u64 = 8 << 20;

impl Spool {
    /// Appends a message with flow records; a message without records is left out. `templates` gives the
    /// messages that a file begins with, which define the templates of the message's domain
    /// ([`begin`](flowxdp_core::exporting::spool::begin)). The message itself has no templates.
    ///
    /// The time of day becomes its export time, from which its age is counted.
    ///
    /// # Errors
    ///
    /// The file system's: then no octet of the message is in the spool, and the next call tries again.
    /// `StorageFull` also for a message longer than the limit, and `InvalidInput` for a message that is not
    /// IPFIX.
    pub fn append(
        &mut self,
        message: &Message,
        templates: impl FnOnce() -> Vec<u8>,
        now: Now,
    ) -> io::Result<()> {
        let length = message.bytes.len();
        if start(&message.bytes, length as u64) != Start::Message(length) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no whole IPFIX message"));
        }
        if message.total.records == 0 {
            return Ok(());
        }
        let (secs, step) = (seconds(now.wall_ms), self.age.step(now));
        // Times of day never go back within a file.
        if self.stock.newest().is_some_and(|newest| was_set(newest.step, step)) {
            self.writer = None;
        }
        let mut templates = Some(templates);
        let mut beginning = None;
        while !self.takes(message) || !self.has_room(length) {
            let beginning: &Vec<u8> = beginning
                .get_or_insert_with(|| templates.take().map_or_else(Vec::new, |templates| templates()));
            let whole = beginning.len() + length;
            if position::SIZE + whole as u64 > self.settings.limit {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if !self.takes(message) && self.has_room(whole) {
                return self.begin(beginning, message, secs, step);
            }
            self.lose_oldest()?;
        }
        let Some(writer) = &mut self.writer else { return Err(io::ErrorKind::NotFound.into()) };
        writer.append(message, secs)?;
        self.stock.grow(writer.number(), length as u64, &Tally::of(message.total), writer.secs());
        Ok(())
    }

    /// Whether the file that is appended to takes the message.
    fn takes(&self, message: &Message) -> bool {
        let most = (self.settings.limit / PARTS).clamp(SMALLEST, LARGEST);
        self.writer.as_ref().is_some_and(|writer| writer.takes(message, most))
    }

    fn has_room(&self, octets: usize) -> bool {
        self.octets() + octets as u64 <= self.settings.limit
    }

    /// Begins a file with a message.
    fn begin(&mut self, beginning: &[u8], message: &Message, secs: u32, step: i64) -> io::Result<()> {
        let number = self.next;
        // A file that could not be made may be left; the next one has another name.
        self.next = self.next.saturating_add(1);
        let writer = Writer::create(&self.folder, number, beginning, message, secs)?;
        self.stock.push(Segment {
            number,
            length: writer.length(),
            inherited: false,
            read: 0,
            taken: 0,
            waiting: Tally::of(message.total),
            newest: secs,
            step,
        });
        self.writer = Some(writer);
        Ok(())
    }

    /// Gives the oldest file up to make room.
    pub(super) fn lose_oldest(&mut self) -> io::Result<()> {
        let segment = self.remove_oldest()?.ok_or(io::ErrorKind::StorageFull)?;
        self.losses.add(Undelivered::SpoolFull, segment.inherited, &segment.waiting);
        Ok(())
    }

    /// Removes the oldest file, and gives its segment.
    ///
    /// # Errors
    ///
    /// The file system's; the file is still there then.
    pub(super) fn remove_oldest(&mut self) -> io::Result<Option<Segment>> {
        let Some(number) = self.stock.oldest().map(|segment| segment.number) else { return Ok(None) };
        self.folder.remove(number)?;
        if self.writer.as_ref().is_some_and(|writer| writer.number() == number) {
            self.writer = None;
        }
        if self.reader.as_ref().is_some_and(|reader| reader.place().segment == number) {
            self.reader = None;
        }
        if self.peeked.as_ref().is_some_and(|peeked| peeked.place().segment == number) {
            self.peeked = None;
        }
        Ok(self.stock.pop())
    }
}

/// An export time: seconds since 1970, which has 32 bits.
pub(super) fn seconds(wall_ms: u64) -> u32 {
    u32::try_from(wall_ms / 1000).unwrap_or(u32::MAX)
}
