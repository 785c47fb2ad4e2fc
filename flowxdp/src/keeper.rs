//! What outlives the agent: the slots of records on their way, and each collector's page of the journal.
//!
//! With pins, a record's slots stay retired until every collector has the record, and each collector's part
//! of the books is written down before and after each step ([`flowxdp_common::journal`]). An agent that is
//! killed at any instant leaves both to the next one, which goes on: see [`crate::command::run`].
//!
//! - [`page`]: one collector's page, and how a step is taken so that it is done or not done.

pub mod page;

use std::{cell::RefCell, rc::Rc};

use anyhow::Context;
use flowxdp_common::{
    journal::{COLLECTORS, Page},
    slot::{self, SlotV4, SlotV6},
};
use flowxdp_core::{
    hold::{Hold, Place, SlotRef},
    record::Ticket,
    retire::Table,
    slots::Slot,
};

use self::page::Pages;
use crate::kernel::map::Mapped;

/// The tables, to set the state of slots whose record was handed over.
pub struct Tables {
    /// IPv4.
    pub v4: Mapped<SlotV4>,
    /// IPv6.
    pub v6: Mapped<SlotV6>,
}

impl Tables {
    fn state(&self, slot: SlotRef) -> Option<u32> {
        let (place, index) = slot.place();
        match place {
            Place::V4 => (index < Table::len(&self.v4)).then(|| self.v4.state(index)),
            Place::V6 => (index < Table::len(&self.v6)).then(|| self.v6.state(index)),
            Place::Own => None,
        }
    }

    fn counters(&self, slot: SlotRef) -> Option<(u64, u64)> {
        let (place, index) = slot.place();
        match place {
            Place::V4 => (index < Table::len(&self.v4)).then(|| self.v4.copy(index).counters()),
            Place::V6 => (index < Table::len(&self.v6)).then(|| self.v6.copy(index).counters()),
            Place::Own => None,
        }
    }

    /// Only a retired slot is the agent's to change.
    fn set(&mut self, slot: SlotRef, state: u32) {
        if !self.state(slot).is_some_and(slot::is_retired) {
            return;
        }
        let (place, index) = slot.place();
        match place {
            Place::V4 => self.v4.set_state(index, state),
            Place::V6 => self.v6.set_state(index, state),
            Place::Own => {}
        }
    }
}

/// See the [module](self). One for all collectors and the meter, which take turns.
pub struct Keeper {
    hold: Hold,
    tables: Option<Tables>,
    pages: Pages,
}

/// The keeper, in several hands of one thread.
pub type Keeping = Rc<RefCell<Keeper>>;

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

impl Keeper {
    /// Goes on with what is in the journal.
    pub fn new(pages: Mapped<Page>) -> Self {
        Self { hold: Hold::default(), tables: None, pages: Pages::new(pages) }
    }

    /// The tables whose slots are let go of from now on.
    pub fn set_tables(&mut self, tables: Tables) {
        self.tables = Some(tables);
    }

    /// The page of a collector, a free one if it has none.
    ///
    /// # Errors
    ///
    /// There are more collectors than pages.
    pub fn page(&mut self, url: &str) -> anyhow::Result<usize> {
        self.pages.find(page::name(url)).with_context(|| {
            format!("with pins there are at most {COLLECTORS} collectors: name fewer, or run without --pin")
        })
    }

    /// Collectors that had a page and are not asked for any more: their pages are free from now on.
    pub fn forget_all_but(&mut self, used: &[usize]) {
        self.pages.forget_all_but(used);
    }

    /// Keeps the slots of a record, of which these collectors were given word already.
    pub fn keep(&mut self, slots: &[SlotRef], has: u32) -> Ticket {
        self.hold.keep(slots, has)
    }

    /// The collectors that have a record already, a bit each.
    pub fn has(&mut self, ticket: Ticket) -> u32 {
        self.hold.has(ticket)
    }

    /// These collectors wait for the record.
    pub fn expect(&mut self, ticket: Ticket, collectors: u32) {
        self.hold.expect(ticket, collectors);
    }

    /// Records that somebody waits for.
    pub fn waiting(&self) -> usize {
        self.hold.len()
    }
}
