//! Open a spool, and count the messages that an earlier run left.

use std::io;

use anyhow::Context;
use flowxdp_common::reason::Undelivered;
use flowxdp_core::record::RecordTotal;

use super::age::Age;
use super::append::seconds;
use super::folder::Folder;
use super::losses::{Losses, Tally, add};
use super::position::{Places, Position};
use super::reader::{Next, Reader};
use super::stock::{Segment, Stock};
use super::{Place, Spool, SpoolSettings};

impl Spool {
    /// Opens the spool of `collector`, whose folder is made if there is none, and counts the messages that an
    /// earlier run left: whole messages stay, and the torn end of a file is cut off. Messages that are too old
    /// or beyond the limit are lost at once.
    ///
    /// All files are read once, so that the waiting records are known. `wall_ms` is the time in milliseconds
    /// since 1970.
    ///
    /// # Errors
    ///
    /// The folder cannot be made, read or written, or another agent has it open.
    pub fn open(settings: SpoolSettings, collector: &str, wall_ms: u64) -> anyhow::Result<Self> {
        let folder = Folder::open(&settings.directory, collector)?;
        let what = || format!("the spool in {folder}");
        let position = folder.position().context("position").with_context(what)?;
        let numbers = folder.segments().with_context(what)?;
        let before = Position::read(&position).with_context(what)?;
        let last = numbers.last().copied().unwrap_or(0);
        let places = before.unwrap_or_else(|| unknown(&folder, last));
        let mut found = Found { delivered: places.delivered, ..Found::default() };
        for number in numbers {
            found.segment(&folder, number).with_context(|| folder.segment(number).display().to_string())?;
        }
        let mut spool = Self {
            position: Position::start(position, places).with_context(what)?,
            sent_before: places.sent,
            delivered_before: places.delivered,
            stock: found.stock,
            losses: found.losses,
            inherited: found.inherited,
            age: Age::default(),
            next: last.max(places.sent.segment).saturating_add(1),
            writer: None,
            reader: None,
            peeked: None,
            settings,
            folder,
        };
        spool.remove_finished();
        spool.expire_at(seconds(wall_ms).into());
        while spool.octets() > spool.settings.limit {
            spool.lose_oldest().with_context(|| format!("the spool in {}", spool.folder))?;
        }
        Ok(spool)
    }
}

/// The places without a readable position: no message was delivered, and each may have been sent.
///
/// The resend window may be longer than the oldest file, so all files count.
fn unknown(folder: &Folder, last: u64) -> Places {
    if last == 0 {
        return Places::default();
    }
    log::warn!("spool {folder}: its position cannot be read, so all that is in it may be sent twice");
    Places { delivered: Place::default(), sent: Place { segment: last, end: u64::MAX } }
}

/// The records found in a file.
#[derive(Debug, Default)]
struct Found {
    delivered: Place,
    stock: Stock,
    losses: Losses,
    /// Not delivered, whether it can be read back or not.
    inherited: RecordTotal,
}

impl Found {
    /// Adds a file to the stock, or names it and leaves it alone if it is none of ours.
    fn segment(&mut self, folder: &Folder, number: u64) -> io::Result<()> {
        let alone = |why: &str| {
            log::warn!("spool {folder}: {} is left alone: {why}", folder.segment(number).display());
            Ok(())
        };
        let file = match folder.read(number) {
            Ok(file) => file,
            Err(error) if is_foreign(&error) => return alone(&error.to_string()),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        let mut reader = Reader::new(file, number);
        let (mut waiting, mut unreadable, mut newest) = (Tally::default(), Tally::default(), 0);
        let end = loop {
            match reader.next(length)? {
                Next::Message(content) => {
                    newest = content.export_secs.max(newest);
                    if reader.place() <= self.delivered {
                        continue;
                    }
                    if let Some(fault) = content.fault {
                        let end = reader.place().end;
                        log::warn!("spool {folder}: file {number}, message up to octet {end}: {fault}");
                        unreadable.add(&Tally::of(content.total));
                    } else if content.total.records > 0 {
                        waiting.add(&Tally::of(content.total));
                    }
                }
                end => break end,
            }
        };
        let whole = reader.place().end;
        match end {
            Next::Foreign if whole == 0 => return alone("it does not begin with an IPFIX message"),
            // A run was killed before its first message was whole.
            _ if whole == 0 => return folder.remove(number),
            Next::Foreign => {
                log::warn!("spool {folder}: file {number} ends at octet {whole} of {length}: no IPFIX there");
                unreadable.add(&Tally::of(RecordTotal::default()));
            }
            _ => {}
        }
        if whole < length {
            folder.cut(number, whole)?;
        }
        add(&mut self.inherited, &waiting.total);
        add(&mut self.inherited, &unreadable.total);
        self.losses.add(Undelivered::SpoolUnreadable, true, &unreadable);
        // A file without waiting messages counts as read.
        let read = if waiting.is_empty() { whole } else { 0 };
        self.stock.push(Segment {
            number,
            length: whole,
            inherited: true,
            read,
            taken: 0,
            waiting,
            newest,
            step: 0,
        });
        Ok(())
    }
}

/// Whether a name in the folder is that of a file that no spool makes.
fn is_foreign(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound
    )
}
