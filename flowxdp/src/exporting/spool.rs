//! The spool of one collector: messages that TCP or TLS could not carry go to disk and come back in order.
//!
//! Files are sequences of IPFIX messages, templates first (RFC 5655), which other tools can read too. Files outlive
//! the process, also a killed one: no octet stays in memory once [`Spool::append`] returned. A loss of power may take
//! the last seconds: no file is synced, since a sync would cost a write of the disk for each message.
//!
//! ```text
//! append ──► 0000000000000001.ipfix, 0000000000000002.ipfix, … ──► take ──► sent ──► delivered
//!            at most `limit` octets: the oldest file gives way     messages not taken are `waiting`
//! ```
//!
//! - `folder`: names, modes and the lock; `position`: the last places sent and delivered, for the next run.
//! - `age`: the age of a message, whatever becomes of the time of day.
//! - `writer`: appends to the newest file; `reader`: takes whole messages out of one.
//! - `stock`: the files and the messages that wait in them; `losses`: records that will not come back.
//! - `open`, `append`, `take`: the three operations, which use most of the files above.

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
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use flowxdp_common::reason::Undelivered;
use flowxdp_core::{exporting::session::Message, exporting::spool::Definition, record::RecordTotal};

use self::{
    age::Age, folder::Folder, losses::Losses, position::Position, reader::Reader, stock::Stock,
    writer::Writer,
};

/// Folder, size and age of spools.
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
    /// Its place in the spool.
    pub place: Place,
    /// An earlier run wrote the message, before this one opened the spool.
    pub inherited: bool,
    /// An earlier run handed the message to a socket already, or may have done so.
    pub perhaps_twice: bool,
    /// The templates of its domain in front of the message, by ascending id.
    pub templates: Arc<[Definition]>,
}

/// Records that will not be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// [`Undelivered::SpoolFull`], [`Undelivered::SpoolExpired`] or [`Undelivered::SpoolUnreadable`].
    pub reason: Undelivered,
    /// An earlier run wrote the records.
    pub inherited: bool,
    /// The records, as far as they can be counted.
    pub total: RecordTotal,
    /// The messages that held the records.
    pub messages: u64,
}

/// The spool of one collector.
///
/// Of records of earlier runs, `inherited` is always the sum of taken, waiting and lost ones; the same holds for
/// records of this run. Sums saturate, since a damaged file may claim any number.
#[derive(Debug)]
pub struct Spool {
    settings: SpoolSettings,
    folder: Folder,
    position: Position,
    /// An earlier run sent all messages up to here.
    sent_before: Place,
    /// Messages up to here are not read: an earlier run saw them delivered.
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
    /// All messages up to `place` were handed to a socket. The place is kept on disk, so that a later run can
    /// name the records that may go out twice.
    pub fn sent(&mut self, place: Place) {
        self.position.sent(place);
    }

    /// All messages up to `place` left the resend window: a later run does not read them. Files with no other
    /// message are removed.
    pub fn delivered(&mut self, place: Place) {
        self.position.delivered(place);
        self.remove_finished();
    }

    /// The next message begins a file, with templates of its own.
    pub fn begin_anew(&mut self) {
        self.writer = None;
    }

    /// Other limits from now on; a smaller size makes room at the next message.
    pub const fn set_limits(&mut self, limit: u64, age: Duration) {
        (self.settings.limit, self.settings.age) = (limit, age);
    }

    /// The spool is another collector's from now on: its folder takes that name.
    ///
    /// # Errors
    ///
    /// The file system's, also where that collector has a spool already; the folder keeps its name then.
    pub fn rename(&mut self, collector: &str) -> io::Result<()> {
        self.folder.rename(&self.settings.directory, collector)
    }

    /// Removes all files, and the folder where nothing else is in it.
    ///
    /// # Errors
    ///
    /// The file system's: the rest is left.
    pub fn remove(mut self) -> io::Result<()> {
        while self.remove_oldest()?.is_some() {}
        self.folder.remove_itself()
    }

    /// Records that were not taken yet.
    pub const fn waiting(&self) -> RecordTotal {
        self.stock.waiting()
    }

    /// Of [`Spool::waiting`], the records of earlier runs.
    pub const fn waiting_inherited(&self) -> RecordTotal {
        self.stock.waiting_inherited()
    }

    /// Records of earlier runs that were not delivered when the spool was opened.
    pub const fn inherited(&self) -> RecordTotal {
        self.inherited
    }

    /// Whether the file of a taken message still exists: the limit may have removed it.
    pub fn holds(&self, place: Place) -> bool {
        self.stock.holds(place.segment)
    }

    /// The spool's folder.
    pub fn directory(&self) -> &Path {
        self.folder.path()
    }

    /// Octets on disk: never more than the limit.
    pub const fn octets(&self) -> u64 {
        self.stock.octets() + position::SIZE
    }

    /// Records lost since the last call, a row for each reason and origin.
    pub fn take_lost(&mut self) -> Vec<Lost> {
        self.losses.take()
    }

    /// Removes the oldest files as long as all of their messages are delivered or lost.
    fn remove_finished(&mut self) {
        while let Some(oldest) = self.stock.oldest()
            && oldest.is_finished(self.position.places().delivered)
        {
            if let Err(error) = self.remove_oldest() {
                // The next delivery tries again.
                log::warn!("spool {}: a file that is not needed stays: {error}", self.folder);
                break;
            }
        }
    }
}
