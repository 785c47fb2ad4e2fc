//! The part of a connection's queue that is on disk, and what memory holds when the disk does not take it.

use std::{collections::VecDeque, sync::Arc};

use flowxdp_core::{
    clock::Now,
    record::RecordTotal,
    session::{Definition, Message},
    spool::begin,
};

use super::Outgoing;
use crate::spool::{Place, Spool};

/// Records that a session may hold beside a collector that is connected and slow, before they go to disk.
const IN_MEMORY: u64 = 1 << 16;

/// A message that waited here.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) message: Message,
    /// Where it is on disk, if it is there.
    pub(super) place: Option<Place>,
    /// The templates that it was written with, where they may not be ours.
    pub(super) templates: Option<Arc<[Definition]>>,
    pub(super) inherited: bool,
    pub(super) perhaps_twice: bool,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    spool: Option<Spool>,
    /// Made for the disk, which did not take them: first to go.
    held: VecDeque<Message>,
    /// Taken from disk and not delivered when the run ended.
    staying: RecordTotal,
    failing: bool,
}

impl Store {
    pub(super) fn new(spool: Option<Spool>) -> Self {
        Self { spool, ..Self::default() }
    }

    /// What waits here, without what an earlier run left.
    pub(super) fn waiting(&self) -> RecordTotal {
        let mut waiting = self.staying;
        if let Some(spool) = &self.spool {
            waiting += spool.waiting();
            waiting -= spool.waiting_inherited();
        }
        for message in &self.held {
            waiting += message.total;
        }
        waiting
    }

    /// Whether nothing is to be read back.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.spool.as_ref().is_none_or(|spool| spool.waiting().records == 0)
    }

    /// Whether the disk takes what memory has no room for.
    pub(super) const fn is_usable(&self) -> bool {
        self.spool.is_some() && !self.failing
    }

    /// Gives up what is too old, and brings what the spool lost into the books.
    pub(super) fn account(&mut self, out: &mut Outgoing, now: Now) {
        let Some(spool) = &mut self.spool else { return };
        spool.expire(now.wall_ms);
        for lost in spool.take_lost() {
            log::warn!(
                "collector {}: {} records in its spool are lost: {}",
                out.url,
                lost.total.records,
                lost.reason.sentence
            );
            out.account.lost(&lost.reason, lost.total, lost.inherited);
        }
    }

    /// While the collector is away: what is ready goes to disk.
    pub(super) fn keep(&mut self, out: &mut Outgoing, now: Now, flush: bool) {
        if self.spool.is_none() {
            return;
        }
        // What the disk refused before is tried again, before anything newer.
        while let Some(message) = self.held.pop_front() {
            if !self.append(out, &message, now) {
                self.held.push_front(message);
                return;
            }
        }
        while let Some(message) = out.session.poll_stored(now, flush) {
            if !self.append(out, &message, now) {
                self.held.push_back(message);
                return;
            }
            out.session.recycle(message);
        }
    }

    /// While the collector is slow: what memory has no room for goes to disk.
    pub(super) fn keep_up(&mut self, out: &mut Outgoing, now: Now) {
        if self.is_usable() && out.session.queued().records > IN_MEMORY {
            self.keep(out, now, false);
        }
    }

    /// At the end: everything that there is; gives what the disk did not take.
    pub(super) fn keep_all(&mut self, out: &mut Outgoing, now: Now) -> RecordTotal {
        self.keep(out, now, true);
        let mut left = RecordTotal::default();
        for message in self.held.drain(..) {
            left += message.total;
        }
        left
    }

    /// Puts a message on disk; false if it is not there.
    pub(super) fn append(&mut self, out: &mut Outgoing, message: &Message, now: Now) -> bool {
        if message.total.records == 0 {
            return true;
        }
        let Some(spool) = &mut self.spool else { return false };
        let session = &out.session;
        let seconds = u32::try_from(now.wall_ms / 1000).unwrap_or(u32::MAX);
        let templates = || begin(message.domain, &session.templates(), seconds);
        match spool.append(message, templates, now.wall_ms) {
            Ok(()) => {
                if self.failing {
                    log::info!("collector {}: its spool takes records again", out.url);
                }
                self.failing = false;
                true
            }
            Err(error) => {
                if !self.failing {
                    log::error!(
                        "collector {}: its spool cannot be written: {error}; records stay in memory while there is room",
                        out.url
                    );
                }
                self.failing = true;
                false
            }
        }
    }

    /// The oldest message.
    pub(super) fn take(&mut self, out: &mut Outgoing) -> Option<Stored> {
        let spooled = match self.spool.as_mut()?.take() {
            Ok(spooled) => spooled,
            Err(error) => {
                out.say(&format!("its spool cannot be read: {error}"));
                None
            }
        };
        if let Some(spooled) = spooled {
            return Some(Stored {
                message: spooled.message,
                place: Some(spooled.place),
                templates: Some(spooled.templates),
                inherited: spooled.inherited,
                perhaps_twice: spooled.perhaps_twice,
            });
        }
        let message = self.held.pop_front()?;
        Some(Stored { message, place: None, templates: None, inherited: false, perhaps_twice: false })
    }

    pub(super) fn sent(&mut self, place: Place) {
        if let Some(spool) = &mut self.spool {
            spool.sent(place);
        }
    }

    pub(super) fn delivered(&mut self, place: Place) {
        if let Some(spool) = &mut self.spool {
            spool.delivered(place);
        }
    }

    /// A message was taken from disk, and stays there for another run.
    pub(super) fn stays(&mut self, total: RecordTotal, inherited: bool) {
        if !inherited {
            self.staying += total;
        }
    }

    /// Where records wait for another run, and how many.
    pub(super) fn describe(&self) -> Option<(String, RecordTotal)> {
        let spool = self.spool.as_ref()?;
        let mut waiting = spool.waiting();
        waiting += self.staying;
        (waiting.records > 0).then(|| (spool.directory().display().to_string(), waiting))
    }
}
