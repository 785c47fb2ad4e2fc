//! The file that is appended to.

use std::{fs::File, io, os::unix::fs::FileExt};

use flowxdp_core::{exporting::session::Message, exporting::spool::stamp};

use super::folder::Folder;

/// The newest file of this run.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    number: u64,
    /// Octets of its whole messages.
    length: u64,
    /// A failed write may have left octets behind them.
    torn: bool,
    /// The observation domain whose templates it begins with.
    domain: u32,
    /// Data records in it, modulo 2^32 (RFC 7011 section 3.1).
    sequence: u32,
    /// Export time of its last message, seconds since 1970; it never goes back.
    secs: u32,
    /// A message with its place in this file.
    stamped: Vec<u8>,
}

impl Writer {
    /// Makes a file of `beginning`, which defines the templates of a domain, and the first message.
    ///
    /// # Errors
    ///
    /// The file system's; then there is no file, or an empty one.
    pub(super) fn create(
        folder: &Folder,
        number: u64,
        beginning: &[u8],
        message: &Message,
        secs: u32,
    ) -> io::Result<Self> {
        let file = folder.create(number)?;
        let mut writer = Self {
            file,
            number,
            length: 0,
            torn: false,
            domain: message.domain,
            sequence: 0,
            secs,
            stamped: Vec::new(),
        };
        match writer.write(beginning, message) {
            Ok(()) => Ok(writer),
            Err(error) => {
                if let Err(more) = folder.remove(number) {
                    log::warn!("spool {folder}: an empty file stays: {more}");
                }
                Err(error)
            }
        }
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) const fn secs(&self) -> u32 {
        self.secs
    }

    /// Whether the message belongs into this file, which shall have at most `most` octets.
    pub(super) const fn takes(&self, message: &Message, most: u64) -> bool {
        self.domain == message.domain && self.length + message.bytes.len() as u64 <= most
    }

    /// Appends a message, exported at `secs`.
    ///
    /// # Errors
    ///
    /// The file system's; then the file ends where it did before.
    pub(super) fn append(&mut self, message: &Message, secs: u32) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        self.secs = self.secs.max(secs);
        self.write(&[], message)
    }

    /// One write, so that a run that is killed leaves both or a torn end.
    fn write(&mut self, beginning: &[u8], message: &Message) -> io::Result<()> {
        self.stamped.clear();
        self.stamped.extend_from_slice(beginning);
        self.stamped.extend_from_slice(&message.bytes);
        stamp(&mut self.stamped[beginning.len()..], self.sequence, self.secs);
        if let Err(error) = self.file.write_all_at(&self.stamped, self.length) {
            self.torn = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.length += self.stamped.len() as u64;
        self.sequence = self.sequence.wrapping_add(message.counted);
        Ok(())
    }
}
