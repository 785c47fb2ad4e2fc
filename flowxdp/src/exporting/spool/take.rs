//! Take messages out of the spool in order, or give them up for their age.

use std::io;

use flowxdp_common::reason::Undelivered;
use flowxdp_core::clock::Now;
use flowxdp_core::exporting::session::Message;
use flowxdp_core::exporting::spool::Content;

use super::age::is_old;
use super::losses::Tally;
use super::reader::{Next, Reader};
use super::{Place, Spool, Spooled};

/// A message that was read and not taken.
#[derive(Debug)]
pub(super) struct Peeked {
    spooled: Spooled,
    /// Export time, seconds since 1970.
    secs: u32,
}

impl Peeked {
    pub(super) const fn place(&self) -> Place {
        self.spooled.place
    }
}

impl Spool {
    /// Takes the oldest message that was not taken yet; `None` if there is none.
    ///
    /// # Errors
    ///
    /// A file cannot be read now; the next call tries again. A file that is gone or damaged is no error,
    /// but a loss.
    pub fn take(&mut self) -> io::Result<Option<Spooled>> {
        self.peek()?;
        let Some(Peeked { spooled, .. }) = self.peeked.take() else { return Ok(None) };
        self.stock.leave(spooled.place, &Tally::of(spooled.message.total));
        self.stock.taken(spooled.place);
        Ok(Some(spooled))
    }

    /// Gives up messages that were appended longer ago than the settings' age. A step of the time of day makes
    /// no message older or younger.
    pub fn expire(&mut self, now: Now) {
        let steady = self.age.steady(now);
        self.expire_at(steady);
    }

    /// The same at a steady time, seconds since 1970.
    pub(super) fn expire_at(&mut self, now: i64) {
        let most = self.settings.age;
        let is_old = |secs: u32, step: i64| is_old(secs, step, now, most);
        loop {
            // A file without a read message goes as a whole, unread.
            if self.stock.oldest().is_some_and(|it| it.read == 0 && is_old(it.newest, it.step)) {
                match self.remove_oldest() {
                    Ok(Some(segment)) => {
                        self.losses.add(Undelivered::SpoolExpired, segment.inherited, &segment.waiting);
                        continue;
                    }
                    Ok(None) => break,
                    Err(error) => log::warn!("spool {}: a file that is too old stays: {error}", self.folder),
                }
            }
            if let Err(error) = self.peek() {
                log::warn!("spool {}: cannot be read now: {error}", self.folder);
                break;
            }
            let stock = &self.stock;
            match self.peeked.take_if(|it| is_old(it.secs, stock.step(it.place().segment))) {
                Some(Peeked { spooled, .. }) => {
                    let tally = self.stock.leave(spooled.place, &Tally::of(spooled.message.total));
                    self.losses.add(Undelivered::SpoolExpired, spooled.inherited, &tally);
                }
                None => break,
            }
        }
        self.remove_finished();
    }

    /// Reads the next message, if none was read already.
    fn peek(&mut self) -> io::Result<()> {
        while self.peeked.is_none() {
            let Some(segment) = self.stock.unread() else { break };
            let (number, length, inherited) = (segment.number, segment.length, segment.inherited);
            if segment.is_read() {
                // Counted messages are missing in the file; further messages go to another file.
                self.writer.take_if(|writer| writer.number() == number);
                let tally = self.stock.leave_rest(number);
                log::warn!(
                    "spool {}: {} records in {} cannot be read back",
                    self.folder,
                    tally.total.records,
                    self.folder.segment(number).display()
                );
                self.losses.add(Undelivered::SpoolUnreadable, inherited, &tally);
                continue;
            }
            match self.read(number, length) {
                Ok(Some((content, place))) => {
                    self.stock.read(place);
                    self.keep(&content, place, inherited);
                }
                // The rest of the file is missing.
                Ok(None) => self.stock.read(Place { segment: number, end: length }),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) =>
                {
                    self.stock.read(Place { segment: number, end: length });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next message of a segment, and where it ends; `None` if there is none.
    fn read(&mut self, number: u64, length: u64) -> io::Result<Option<(Content, Place)>> {
        let reader = match &mut self.reader {
            Some(reader) if reader.place().segment == number => reader,
            _ => self.reader.insert(Reader::new(self.folder.read(number)?, number)),
        };
        Ok(match reader.next(length)? {
            Next::Message(content) => Some((content, reader.place())),
            Next::End | Next::Torn | Next::Foreign => None,
        })
    }

    /// Keeps a read message for [`Spool::take`], unless it has no records or was delivered before.
    ///
    /// A message with a fault is left out: its records were lost at the opening, or are lost at the file's end.
    fn keep(&mut self, content: &Content, place: Place, inherited: bool) {
        let is_wanted = content.fault.is_none() && content.total.records > 0 && place > self.delivered_before;
        let Some(reader) = self.reader.as_mut().filter(|_| is_wanted) else { return };
        let message = Message {
            bytes: reader.bytes().to_vec(),
            total: content.total,
            templates_only: false,
            domain: content.domain,
            counted: content.counted,
            ..Message::default()
        };
        let perhaps_twice = inherited && place <= self.sent_before;
        let templates = reader.definitions(content.domain);
        let spooled = Spooled { message, place, inherited, perhaps_twice, templates };
        self.peeked = Some(Peeked { spooled, secs: content.export_secs });
    }
}
