//! The flow table of a run: a new one, or the one that an earlier agent left pinned.

use std::rc::Rc;

use crate::{
    exporting::deliveries::{Ledger, SharedLedger, Tables},
    kernel::{
        load::{Loaded, Pinned, TableSize, load, load_at},
        other_layout::OtherLayout,
        pin::{Generation, Pins},
    },
    metering::meter::Draining,
};

use flowxdp_common::names;
use flowxdp_core::metering::deliveries::Place;

/// A loaded table, and the tables before it.
pub(super) struct Table {
    /// The program and the maps that it shares.
    pub(super) loaded: Loaded,
    /// The number of its generation.
    pub(super) generation: u64,
    /// Generations before it, which drain.
    pub(super) old: Vec<Generation>,
    /// An earlier agent made it.
    pub(super) recovered: bool,
}

impl Table {
    /// Recovers the pinned table if it is of this size and layout; else makes a new one, behind it.
    ///
    /// `shape` has the table's partitions afterwards: a table with more of them is kept.
    ///
    /// # Errors
    ///
    /// The kernel refuses a map or a pin.
    pub(super) fn open(size: &mut TableSize, pins: Option<&Rc<Pins>>) -> anyhow::Result<Self> {
        let Some(pins) = pins else {
            return Ok(Self { loaded: load(size)?, generation: 1, old: Vec::new(), recovered: false });
        };
        let mut old = pins.generations()?;
        if let Some(last) = old.last().filter(|last| does(last, size)).cloned() {
            old.pop();
            size.partitions = u32::try_from(last.descriptor.partitions)?;
            let pinned = Pinned {
                pins: Some(Rc::clone(pins)),
                directory: last.directory,
                seed: Some(last.descriptor.seed),
                before: last.descriptor,
                last: None,
                shares_chain: false,
            };
            let loaded = load_at(size, Some(&pinned))?;
            return Ok(Self { loaded, generation: last.number, old, recovered: true });
        }
        let generation = pins.free(old.last().map_or(1, |last| last.number + 1))?;
        let last = old.last().filter(|last| last.is_known());
        let directory = pins.begin(last, generation, size.groups.with_cold_fields())?;
        let before = last.map(|last| last.descriptor).unwrap_or_default();
        let (pins, last) = (Some(Rc::clone(pins)), last.cloned());
        let pinned = Pinned { pins, directory, seed: None, before, last, shares_chain: false };
        let loaded = load_at(size, Some(&pinned))?;
        Ok(Self { loaded, generation, old, recovered: false })
    }

    /// The ledger of its slots, and of the slots of earlier tables.
    ///
    /// # Errors
    ///
    /// A table cannot be mapped.
    pub(super) fn ledger(&mut self) -> anyhow::Result<SharedLedger> {
        let mut ledger = Ledger::new(self.loaded.journal()?);
        let mut tables = Tables::default();
        let (v4, v6, spill) = self.loaded.tables()?;
        tables.add(Place::v4(self.generation), v4);
        tables.add(Place::v6(self.generation), v6);
        tables.add(Place::SPILL, spill);
        for old in &self.old {
            let number = old.number;
            tables
                .add(Place::v4(number), OtherLayout::open(old, names::FLOWS_V4, &old.descriptor.fields[0])?);
            tables
                .add(Place::v6(number), OtherLayout::open(old, names::FLOWS_V6, &old.descriptor.fields[1])?);
            if !old.is_known() {
                tables.add(
                    Place::spill_of(number),
                    OtherLayout::open(old, names::SPILL, &old.descriptor.fields[2])?,
                );
            }
        }
        ledger.set_tables(tables);
        Ok(Rc::new(ledger.into()))
    }

    /// The tables before it, which drain.
    ///
    /// # Errors
    ///
    /// A table cannot be mapped.
    pub(super) fn draining(&self) -> anyhow::Result<Vec<Draining>> {
        self.old.iter().map(|old| Draining::open(old, self.loaded.size.groups)).collect()
    }
}

/// Whether a pinned table has the size and layout that are asked for.
fn does(last: &Generation, size: &TableSize) -> bool {
    let pinned = &last.descriptor;
    last.is_known()
        && pinned.groups == u64::from(size.groups.with_cold_fields().bits())
        && pinned.flows_v4 == size.flows_v4
        && pinned.flows_v6 == size.flows_v6
        && pinned.partitions >= u64::from(size.partitions)
}
