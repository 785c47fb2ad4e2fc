//! State that outlives the agent: the slots of records on their way, and each collector's page of the
//! journal.
//!
//! With pins, a record's slots stay retired until every collector has the record, and each collector's part
//! of the books is written down before and after each step ([`flowxdp_common::journal`]). An agent that is
//! killed at any instant leaves both to its successor, which resumes: see [`crate::command::run`].
//!
//! - [`page`]: one collector's page, and how a step is taken so that it is done or not done.

#[cfg(test)]
mod kill;
#[cfg(test)]
pub(crate) mod memory;
pub mod page;

use std::{cell::RefCell, rc::Rc};

use anyhow::Context;
use flowxdp_common::{
    journal::{COLLECTORS, Page},
    slot::{self, FREE},
};
use flowxdp_core::{
    metering::deliveries::{Deliveries, Place, SlotRef},
    metering::retire::Table,
    metering::slots::Slot,
    record::{DeliveryId, RecordTotal},
};

use self::page::Pages;
use crate::kernel::map::Mapped;

/// A table, as far as letting go of its slots needs it.
pub trait States {
    /// The state of a slot; `None` if there is none of that index.
    fn state(&self, index: usize) -> Option<u32>;
    /// Packets and octets in it.
    fn counters(&self, index: usize) -> (u64, u64);
    /// Sets its state.
    fn set(&mut self, index: usize, state: u32);
}

impl<T: Table> States for T {
    fn state(&self, index: usize) -> Option<u32> {
        (index < self.len()).then(|| Table::state(self, index))
    }

    fn counters(&self, index: usize) -> (u64, u64) {
        self.copy(index).sums()
    }

    fn set(&mut self, index: usize, state: u32) {
        self.set_state(index, state);
    }
}

/// All tables, to set the state of slots whose record was handed over.
#[derive(Default)]
pub struct Tables {
    tables: Vec<(Place, Box<dyn States>)>,
}

impl Tables {
    /// Adds a table; the one that most records come from first.
    pub fn add(&mut self, place: Place, table: impl States + 'static) {
        self.tables.push((place, Box::new(table)));
    }

    /// Removes an empty table.
    pub fn remove(&mut self, place: Place) {
        self.tables.retain(|(it, _)| *it != place);
    }

    fn find(&mut self, slot: SlotRef) -> Option<(&mut dyn States, usize)> {
        let (place, index) = slot.place();
        let table = self.tables.iter_mut().find(|(it, _)| *it == place)?;
        Some((table.1.as_mut(), index))
    }

    fn state(&mut self, slot: SlotRef) -> Option<u32> {
        self.find(slot).and_then(|(table, index)| table.state(index))
    }

    /// Packets and octets of a slot that is there.
    fn counters(&mut self, slot: SlotRef) -> Option<(u64, u64)> {
        let (table, index) = self.find(slot)?;
        table.state(index).map(|_| table.counters(index))
    }

    /// Only a retired slot is the agent's to change.
    fn set(&mut self, slot: SlotRef, state: u32) {
        if let Some((table, index)) = self.find(slot)
            && table.state(index).is_some_and(slot::is_retired)
        {
            #[cfg(test)]
            kill::store();
            table.set(index, state);
        }
    }
}

/// See the [module](self). One for all collectors and the meter, which take turns.
pub struct Ledger {
    pending: Deliveries,
    tables: Tables,
    pages: Pages,
    /// Slots of the spill table that were freed since the last call.
    freed: Vec<usize>,
}

fn too_many() -> String {
    format!("with pins there are at most {COLLECTORS} collectors: name fewer, or run without --pin")
}

/// The ledger, shared within one thread.
pub type SharedLedger = Rc<RefCell<Ledger>>;

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Resumes with the journal's pages.
    pub fn new(pages: Mapped<Page>) -> Self {
        Self {
            pending: Deliveries::default(),
            tables: Tables::default(),
            pages: Pages::new(pages),
            freed: Vec::new(),
        }
    }

    /// Sets the tables whose slots are released from now on.
    pub fn set_tables(&mut self, tables: Tables) {
        self.tables = tables;
    }

    /// The same tables, to be changed: one more, or one less.
    pub const fn tables_mut(&mut self) -> &mut Tables {
        &mut self.tables
    }

    /// The page of a collector, a free one if it has none.
    ///
    /// # Errors
    ///
    /// There are more collectors than pages.
    pub fn page(&mut self, url: &str) -> anyhow::Result<usize> {
        self.pages.find(page::name(url)).with_context(too_many)
    }

    /// Pages that collectors have, those of an earlier agent too.
    pub fn named_pages(&self) -> Vec<usize> {
        self.pages.named()
    }

    /// The sums of retired slots that the collector of a page has, and others have not.
    pub fn delivered(&mut self, at: usize) -> RecordTotal {
        let mut delivered = RecordTotal::default();
        for (_, table) in &self.tables.tables {
            let states = (0..).map_while(|index| Some((index, table.state(index)?)));
            for (index, _) in states.filter(|(_, it)| slot::is_retired(*it) && slot::has(*it) >> at & 1 != 0)
            {
                let (packets, octets) = table.counters(index);
                delivered += RecordTotal { records: 1, packets, octets };
            }
        }
        delivered
    }

    /// A page that no collector has.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn free_page(&self) -> anyhow::Result<usize> {
        self.pages.free().with_context(too_many)
    }

    /// The number of such pages.
    pub fn free_pages(&self) -> usize {
        self.pages.count_free()
    }

    /// Gives a page to the collector of another URL, or to none that a configuration can name.
    pub fn rename(&mut self, at: usize, url: Option<&str>) {
        self.pages.rename(at, url.map_or(page::NAMELESS, page::name));
    }

    /// A collector is gone: its page is free from now on.
    pub fn forget(&mut self, at: usize) {
        self.pages.forget(at);
    }

    /// A collector that comes now is owed none of the records that wait for others.
    pub fn excuse(&mut self, at: usize) {
        let Self { pending, tables, .. } = self;
        pending.excuse(1 << at, |slot, state| tables.set(slot, state));
    }

    /// Collectors that had a page and are not asked for any more: their pages are free from now on.
    pub fn forget_all_but(&mut self, used: &[usize]) {
        self.pages.forget_all_but(used);
    }

    /// Keeps the slots of a record that these collectors have already.
    pub fn keep(&mut self, slots: &[SlotRef], has: u32) -> DeliveryId {
        self.pending.keep(slots, has)
    }

    /// The collectors that have a record already, a bit each.
    pub fn has(&mut self, delivery: DeliveryId) -> u32 {
        self.pending.has(delivery)
    }

    /// These collectors wait for the record.
    pub fn expect(&mut self, delivery: DeliveryId, collectors: u32) {
        self.pending.expect(delivery, collectors);
    }

    /// A record that no collector waits for.
    pub fn drop(&mut self, delivery: DeliveryId) {
        self.release_one(delivery, 0);
    }

    /// Slots of the spill table that were freed since the last call.
    pub fn freed(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.freed)
    }

    /// The records of these deliveries cannot be refused any more: their slots are released.
    pub fn confirm(&mut self, at: usize, deliveries: &[DeliveryId]) {
        for delivery in deliveries {
            self.release_one(*delivery, 1 << at);
        }
    }

    fn release_one(&mut self, delivery: DeliveryId, collector: u32) {
        let Self { pending, tables, freed, .. } = self;
        pending.release(delivery, collector, |slot, state| {
            tables.set(slot, state);
            if let (Place::SPILL, index) = slot.place()
                && state == FREE
            {
                freed.push(index);
            }
        });
    }

    /// Records that some collector waits for.
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }
}
