//! The spool of one collector: what TCP or TLS could not carry goes to disk and comes back in order.
//!
//! Files are sequences of IPFIX messages, templates first (RFC 5655), which other tools can read too. They
//! outlive the process, whatever ends it: nothing is held back in memory once [`Spool::append`] returned.
//! They do not outlive a loss of power: no file is synced, as that would cost a disk's write for a message.
//!
//! ```text
//! append ──► 0000000000000001.ipfix, 0000000000000002.ipfix, … ──► take ──► sent ──► delivered
//!            at most `limit` octets: the oldest file gives way     what was not taken is `waiting`
//! ```
//!
//! - `folder`: names, modes and the lock; `position`: how far sending went, for the next run.
//! - `age`: how old a message is, whatever becomes of the time of day.
//! - `writer`: appends to the newest file; `reader`: takes whole messages out of one.
//! - `stock`: which files there are and what waits in them; `losses`: what will not come back.
//! - `open`, `append`, `take`: the three things that need most of these.

mod age;
mod append;
mod folder;
mod losses;
mod open;
mod position;
mod reader;
mod stock;
mod take;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use flowxdp_common::reason::Undelivered;
use flowxdp_core::{record::RecordTotal, session::Message, spool::Definition};

use self::{
    age::Age, folder::Folder, losses::Losses, position::Position, reader::Reader, stock::Stock,
    writer::Writer,
};

/// Where spools are, and how much they hold.
#[derive(Clone, Debug)]
pub struct SpoolSettings {
    /// The folder in which each collector has a folder of its own.
    pub directory: PathBuf,
    /// The most octets of one collector's files.
    pub limit: u64,
    /// Older messages are lost.
    pub age: Duration,
}

/// The place of a message, in the order of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The number of the file.
    segment: u64,
    /// Octets of the file up to the end of the message.
    end: u64,
}

/// A message that was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spooled {
    /// The message, with the sequence and export time that it has in its file.
    pub message: Message,
    /// Where it is.
    pub place: Place,
    /// It was there when the spool was opened: an earlier run wrote it.
    pub inherited: bool,
    /// An earlier run had handed it to a socket already, or it is not known that none had.
    pub perhaps_twice: bool,
    /// The templates of its domain that it was written with, by ascending id.
    pub templates: Arc<[Definition]>,
}

/// Records that will not be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// [`Undelivered::SpoolFull`], [`Undelivered::SpoolExpired`] or [`Undelivered::SpoolUnreadable`].
    pub reason: Undelivered,
    /// They were there when the spool was opened.
    pub inherited: bool,
    /// The records, as far as they can be counted.
    pub total: RecordTotal,
    /// The messages that they were in.
    pub messages: u64,
}

/// The spool of one collector.
///
/// Of what was there when it was opened, `inherited` is always what was taken, what waits and what was
/// lost; of what was appended, the same. Sums stop at the largest number, as files may say anything.
#[derive(Debug)]
pub struct Spool {
    settings: SpoolSettings,
    folder: Folder,
    position: Position,
    /// An earlier run had sent everything up to here.
    sent_before: Place,
    /// Everything up to here is not to be read: an earlier run saw it delivered.
    delivered_before: Place,
    stock: Stock,
    losses: Losses,
    inherited: RecordTotal,
    age: Age,
    /// The number of the next file.
    next: u64,
    writer: Option<Writer>,
    reader: Option<Reader>,
    /// Read and not taken.
    peeked: Option<take::Peeked>,
}

impl Spool {
    /// Everything up to `place` was handed to a socket. This is kept on disk, so that a later run can
    /// name what may go out twice.
    pub fn sent(&mut self, place: Place) {
        self.position.sent(place);
    }

    /// Everything up to `place` left the window of what may have to be sent again: a later run does not
    /// read it. Files of which nothing else is needed are removed.
    pub fn delivered(&mut self, place: Place) {
        self.position.delivered(place);
        self.remove_finished();
    }

    /// What was not taken yet.
    pub const fn waiting(&self) -> RecordTotal {
        self.stock.waiting()
    }

    /// Of [`Spool::waiting`], what was there when the spool was opened.
    pub const fn waiting_inherited(&self) -> RecordTotal {
        self.stock.waiting_inherited()
    }

    /// What was there, and not delivered, when the spool was opened.
    pub const fn inherited(&self) -> RecordTotal {
        self.inherited
    }

    /// Whether the file of a message that was taken is still there: it may have had to make room.
    pub fn holds(&self, place: Place) -> bool {
        self.stock.holds(place.segment)
    }

    /// The folder that it is in.
    pub fn directory(&self) -> &Path {
        self.folder.path()
    }

    /// Octets on disk: never more than the limit.
    pub const fn octets(&self) -> u64 {
        self.stock.octets() + position::SIZE
    }

    /// What was lost since the last call, a row for each reason and origin that there is.
    pub fn take_lost(&mut self) -> Vec<Lost> {
        self.losses.take()
    }

    /// Removes the oldest files as long as nothing in them is needed any more.
    fn remove_finished(&mut self) {
        while let Some(oldest) = self.stock.oldest()
            && oldest.is_finished(self.position.places().delivered)
        {
            if let Err(error) = self.remove_oldest() {
                // It is tried again when the next message was delivered.
                log::warn!("spool {}: a file that is not needed stays: {error}", self.folder);
                break;
            }
        }
    }
}
