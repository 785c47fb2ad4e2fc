//! The part of a connection's queue that is on disk, and the messages in memory that the disk does not take.
//!
//! [`upkeep`] opens the spool, and enters its losses into the books.

mod upkeep;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use flowxdp_core::{
    clock::{AgentTime, Now, SECOND},
    exporting::session::{Definition, Message},
    exporting::spool::begin,
    record::RecordTotal,
};

use flowxdp_common::reason::Undelivered;

use super::{Outgoing, books::less};
use crate::exporting::spool::{Place, Spool, SpoolSettings};

/// Records that a session may hold beside a collector that is connected and slow, before they go to disk.
const IN_MEMORY: u64 = 1 << 16;

/// A disk that did not take a message is tried again after so long, nanoseconds.
const AGAIN: u64 = SECOND;

/// A message that waited here.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) message: Message,
    /// Where it is on disk, if it is there.
    pub(super) place: Option<Place>,
    /// The templates that it was written with, where they may not be ours.
    pub(super) templates: Templates,
    pub(super) inherited: bool,
    pub(super) perhaps_twice: bool,
}

/// The templates that a message was made with, where they may not be the session's.
pub(super) type Templates = Option<Arc<[Definition]>>;

#[derive(Debug, Default)]
pub(super) struct Store {
    /// Where it shall be, as long as it could not be opened.
    closed: Option<SpoolSettings>,
    spool: Option<Spool>,
    /// Made for the disk, which did not take them: first to go.
    held: VecDeque<(Message, Templates)>,
    /// The templates that the file begins with which is appended to.
    file: Templates,
    /// Taken from disk and not delivered when the run ended.
    staying: RecordTotal,
    failing: bool,
    /// The part of the spool that no counter of this table has seen.
    foreign: RecordTotal,
    /// Records that were lost and not spoken of, by reason; nothing is said before `say_at`.
    unsaid: BTreeMap<&'static str, u64>,
    say_at: AgentTime,
    /// The disk is left alone until then.
    again_at: AgentTime,
}

impl Store {
    /// Messages that wait here, without those of an earlier run.
    pub(super) fn waiting(&self) -> RecordTotal {
        let mut waiting = self.staying;
        if let Some(spool) = &self.spool {
            waiting += spool.waiting();
            waiting -= self.foreign;
        }
        for (message, _) in &self.held {
            waiting += message.total;
        }
        waiting
    }

    /// Whether nothing is to be read back.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.spool.as_ref().is_none_or(|spool| spool.waiting().records == 0)
    }

    /// Whether the disk takes messages that memory has no room for.
    pub(super) const fn is_usable(&self) -> bool {
        self.spool.is_some() && !self.failing
    }

    /// While the collector is away: ready messages go to disk.
    pub(super) fn keep(&mut self, out: &mut Outgoing, real: AgentTime, now: Now, flush: bool) {
        if self.spool.is_none() || real < self.again_at {
            return;
        }
        // Messages that the disk refused before are tried again, before newer ones.
        while let Some((mut message, templates)) = self.held.pop_front() {
            if !self.append(out, &mut message, &templates, false, real, now) {
                self.held.push_front((message, templates));
                return;
            }
        }
        while let Some(mut message) = out.session.poll_stored(now, flush) {
            if !self.append(out, &mut message, &None, false, real, now) {
                self.held.push_back((message, None));
                return;
            }
            out.session.recycle(message);
        }
    }

    /// While the collector is slow: messages that memory has no room for go to disk.
    pub(super) fn keep_up(&mut self, out: &mut Outgoing, real: AgentTime, now: Now) {
        if self.is_usable() && out.session.queued().records > IN_MEMORY {
            self.keep(out, real, now, false);
        }
    }

    /// At the end: all messages go to disk; messages that the disk does not take are lost for `reason`.
    pub(super) fn keep_all(&mut self, out: &mut Outgoing, reason: Undelivered, real: AgentTime, now: Now) {
        // The last try, however short ago the one before was.
        self.again_at = AgentTime::START;
        self.keep(out, real, now, true);
        for (message, _) in self.held.drain(..) {
            out.books.lost_message(reason, message);
        }
    }

    /// The session takes another configuration: messages of before keep these templates.
    pub(super) fn stamp(&mut self, templates: &Arc<[Definition]>) {
        let unstamped = self.held.iter_mut().map(|(_, own)| own).chain([&mut self.file]);
        unstamped.filter(|own| own.is_none()).for_each(|own| *own = Some(Arc::clone(templates)));
    }

    /// Puts a message on disk, which is named as perhaps twice if it may have left before; false if it is
    /// not there.
    pub(super) fn append(
        &mut self,
        out: &mut Outgoing,
        message: &mut Message,
        own: &Templates,
        again: bool,
        real: AgentTime,
        now: Now,
    ) -> bool {
        if message.total.records == 0 {
            return true;
        }
        let Some(spool) = &mut self.spool else { return false };
        // A file begins with every template.
        message.without_templates();
        out.books.storing(message, again);
        let session = &out.session;
        let seconds = u32::try_from(now.wall_ms / 1000).unwrap_or(u32::MAX);
        if own.as_ref().map(Arc::as_ptr) != self.file.as_ref().map(Arc::as_ptr) {
            spool.begin_anew();
            self.file.clone_from(own);
        }
        let templates = || match own {
            Some(own) => begin(message.domain, own, seconds),
            None => begin(message.domain, &session.templates(), seconds),
        };
        let appended = spool.append(message, templates, now);
        self.enter_lost(out);
        match appended {
            Ok(()) => {
                if self.failing {
                    log::info!("collector {}: its spool takes records again", out.url);
                }
                self.failing = false;
                out.books.stored(message, again);
                true
            }
            Err(error) => {
                out.books.commit();
                if !self.failing {
                    log::error!(
                        "collector {}: its spool cannot be written: {error}; records stay in memory while there is room",
                        out.url
                    );
                }
                self.failing = true;
                self.again_at = real + AGAIN;
                false
            }
        }
    }

    /// The oldest message.
    pub(super) fn take(&mut self, out: &mut Outgoing) -> Option<Stored> {
        let taken = self.spool.as_mut()?.take();
        self.enter_lost(out);
        let spooled = match taken {
            Ok(spooled) => spooled,
            Err(error) => {
                out.say(&format!("its spool cannot be read: {error}"));
                None
            }
        };
        if let Some(spooled) = spooled {
            let inherited = self.foreign.records > 0;
            if inherited {
                self.foreign = less(self.foreign, spooled.message.total);
            }
            return Some(Stored {
                message: spooled.message,
                place: Some(spooled.place),
                templates: Some(spooled.templates),
                inherited,
                perhaps_twice: spooled.perhaps_twice,
            });
        }
        let (message, templates) = self.held.pop_front()?;
        Some(Stored { message, place: None, templates, inherited: false, perhaps_twice: false })
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

    /// Whether a message that was taken is still on disk: its file may have had to make room.
    pub(super) fn holds(&self, place: Place) -> bool {
        self.spool.as_ref().is_some_and(|spool| spool.holds(place))
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
