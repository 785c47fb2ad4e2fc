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
    slot::{self, FREE, SlotOwn, SlotV4, SlotV6},
};
use flowxdp_core::{
    hold::{Hold, Place, SlotRef},
    record::Ticket,
    retire::Table,
    slots::Slot,
};

use self::page::Pages;
use crate::kernel::map::Mapped;

/// The kernel's two tables of one generation.
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// IPv4.
    pub v4: Mapped<SlotV4>,
    /// IPv6.
    pub v6: Mapped<SlotV6>,
}

/// The tables, to set the state of slots whose record was handed over.
pub struct Tables {
    /// The one that packets go to, and before it those that are being emptied.
    pub generations: Vec<Generation>,
    /// The agent's own.
    pub own: Mapped<SlotOwn>,
}

/// Does something with the table of a slot, if it is there and has the slot.
macro_rules! with {
    ($tables:expr, $slot:expr, $table:ident, $index:ident => $does:expr) => {{
        let (place, $index) = $slot.place();
        let mut result = None;
        if place == Place::OWN {
            let $table = &mut $tables.own;
            if $index < Table::len($table) {
                result = Some($does);
            }
        }
        for generation in $tables.generations.iter_mut().rev() {
            if place == Place::v4(generation.number) {
                let $table = &mut generation.v4;
                if $index < Table::len($table) {
                    result = Some($does);
                }
                break;
            }
            if place == Place::v6(generation.number) {
                let $table = &mut generation.v6;
                if $index < Table::len($table) {
                    result = Some($does);
                }
                break;
            }
        }
        result
    }};
}

impl Tables {
    fn state(&mut self, slot: SlotRef) -> Option<u32> {
        with!(self, slot, table, index => table.state(index))
    }

    fn counters(&mut self, slot: SlotRef) -> Option<(u64, u64)> {
        with!(self, slot, table, index => table.copy(index).counters())
    }

    /// Only a retired slot is the agent's to change.
    fn set(&mut self, slot: SlotRef, state: u32) {
        with!(self, slot, table, index => {
            if slot::is_retired(table.state(index)) {
                table.set_state(index, state);
            }
        });
    }
}

/// See the [module](self). One for all collectors and the meter, which take turns.
pub struct Keeper {
    hold: Hold,
    tables: Option<Tables>,
    pages: Pages,
    /// Slots of the agent's own table that were freed since somebody asked.
    freed: Vec<usize>,
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
        Self { hold: Hold::default(), tables: None, pages: Pages::new(pages), freed: Vec::new() }
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

    /// A record that nobody waits for.
    pub fn drop(&mut self, ticket: Ticket) {
        self.settle_ticket(ticket, 0);
    }

    /// Slots of the agent's own table that were freed since the last call.
    pub fn freed(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.freed)
    }

    fn settle_ticket(&mut self, ticket: Ticket, collector: u32) {
        let Self { hold, tables, freed, .. } = self;
        hold.settle(ticket, collector, |slot, state| {
            if let Some(tables) = tables.as_mut() {
                tables.set(slot, state);
            }
            if let (Place::OWN, index) = slot.place()
                && state == FREE
            {
                freed.push(index);
            }
        });
    }

    /// Records that somebody waits for.
    pub fn waiting(&self) -> usize {
        self.hold.len()
    }
}
