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

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use flowxdp_common::reason::Reason;
use flowxdp_core::{record::RecordTotal, session::Message, spool::Definition};

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
    /// An earlier run had handed it to a socket already.
    pub perhaps_twice: bool,
    /// The templates of its domain that it was written with, by ascending id.
    pub templates: Arc<[Definition]>,
}

/// Records that will not be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// [`SPOOL_FULL`], [`SPOOL_EXPIRED`] or [`SPOOL_UNREADABLE`].
    ///
    /// [`SPOOL_FULL`]: flowxdp_common::reason::SPOOL_FULL
    /// [`SPOOL_EXPIRED`]: flowxdp_common::reason::SPOOL_EXPIRED
    /// [`SPOOL_UNREADABLE`]: flowxdp_common::reason::SPOOL_UNREADABLE
    pub reason: Reason,
    /// They were there when the spool was opened.
    pub inherited: bool,
    /// The records, as far as they can be counted.
    pub total: RecordTotal,
    /// The messages that they were in, where these are known one by one; else 0.
    pub messages: u64,
}

/// The spool of one collector.
#[derive(Debug)]
pub struct Spool {
    settings: SpoolSettings,
}

impl Spool {
    /// Opens the spool of `collector`, whose folder is made if there is none, and takes stock of what an
    /// earlier run left in it: whole messages stay, and the torn end of a file is cut off.
    ///
    /// `wall_ms` is the time in milliseconds since 1970, here and in what follows.
    ///
    /// # Errors
    ///
    /// The folder cannot be made, read or written, or another agent has it open.
    pub fn open(settings: SpoolSettings, collector: &str, wall_ms: u64) -> anyhow::Result<Self> {
        let _ = (collector, wall_ms);
        Ok(Self { settings })
    }

    /// Appends a message with flow records; one without is left out. `templates` gives the templates of
    /// its domain, for the beginning of a file.
    ///
    /// # Errors
    ///
    /// The disk is full, or whatever else keeps a file from being written: then nothing of the message is in
    /// the spool. A message that is longer than the limit.
    pub fn append(
        &mut self,
        message: &Message,
        templates: impl FnOnce() -> Vec<Definition>,
        wall_ms: u64,
    ) -> io::Result<()> {
        let _ = (message, templates, wall_ms);
        Ok(())
    }

    /// Takes the oldest message that was not taken yet; `None` if there is none.
    ///
    /// # Errors
    ///
    /// A file cannot be read now; the next call tries again.
    pub fn take(&mut self) -> io::Result<Option<Spooled>> {
        Ok(None)
    }

    /// Everything up to `place` was handed to a socket. This is kept on disk, so that a later run can
    /// name what may go out twice.
    pub fn sent(&mut self, place: Place) {
        let _ = place;
    }

    /// Everything up to `place` left the window of what may have to be sent again: a later run does not
    /// read it. Files that end before it are removed.
    pub fn delivered(&mut self, place: Place) {
        let _ = place;
    }

    /// What was not taken yet.
    pub fn waiting(&self) -> RecordTotal {
        RecordTotal::default()
    }

    /// Of [`Spool::waiting`], what was there when the spool was opened.
    pub fn waiting_inherited(&self) -> RecordTotal {
        RecordTotal::default()
    }

    /// What was there, and not delivered, when the spool was opened.
    pub const fn inherited(&self) -> RecordTotal {
        RecordTotal { records: 0, packets: 0, octets: 0 }
    }

    /// What was lost since the last call.
    pub fn take_lost(&mut self) -> Vec<Lost> {
        Vec::new()
    }

    /// Gives up what was appended longer ago than the settings' age.
    pub fn expire(&mut self, wall_ms: u64) {
        let _ = (wall_ms, &self.settings);
    }
}
