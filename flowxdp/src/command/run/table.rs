//! The flow table of a run: a new one, or the one that an earlier agent left pinned.

use std::rc::Rc;

use crate::{
    keeper::{self, Keeper, Keeping, Tables},
    kernel::{
        load::{Loaded, Pinned, Shape, load, load_at},
        map::Mapped,
        pin::{Generation, Pins, open_map},
    },
    meter::Old,
};

use flowxdp_common::names;

/// A loaded table, and who goes on with it.
pub(super) struct Table {
    /// The program and what it shares.
    pub(super) loaded: Loaded,
    /// The number of its generation.
    pub(super) generation: u64,
    /// Generations before it, which are to be emptied.
    pub(super) old: Vec<Generation>,
    /// An earlier agent made it.
    pub(super) adopted: bool,
}

impl Table {
    /// Goes on with the pinned table if it is of this size and layout; else makes a new one, behind it.
    ///
    /// `shape` tells the partitions afterwards: a table with more of them will do.
    ///
    /// # Errors
    ///
    /// The kernel refuses a map or a pin.
    pub(super) fn open(shape: &mut Shape, pins: Option<&Rc<Pins>>) -> anyhow::Result<Self> {
        let Some(pins) = pins else {
            return Ok(Self { loaded: load(shape)?, generation: 1, old: Vec::new(), adopted: false });
        };
        let mut old = pins.generations()?;
        if let Some(last) = old.last().filter(|last| does(last, shape)).cloned() {
            old.pop();
            shape.partitions = u32::try_from(last.shape.partitions)?;
            let pinned =
                Pinned { pins: Rc::clone(pins), directory: last.directory, seed: Some(last.shape.seed) };
            let loaded = load_at(shape, Some(&pinned))?;
            return Ok(Self { loaded, generation: last.number, old, adopted: true });
        }
        let generation = old.last().map_or(1, |last| last.number + 1);
        let directory = pins.begin(old.last().filter(|last| last.is_known()), generation)?;
        let loaded = load_at(shape, Some(&Pinned { pins: Rc::clone(pins), directory, seed: None }))?;
        Ok(Self { loaded, generation, old, adopted: false })
    }

    /// Who keeps its slots, and those of the tables before it.
    ///
    /// # Errors
    ///
    /// A table cannot be mapped.
    pub(super) fn keeper(&self) -> anyhow::Result<Keeping> {
        let mut keeper = Keeper::new(self.loaded.journal()?);
        let mut generations = Vec::new();
        for old in self.known() {
            generations.push(keeper::Generation {
                number: old.number,
                v4: open_map(old, names::FLOWS_V4)?,
                v6: open_map(old, names::FLOWS_V6)?,
            });
        }
        let (v4, v6, own): (Mapped<_>, Mapped<_>, Mapped<_>) = self.loaded.tables()?;
        generations.push(keeper::Generation { number: self.generation, v4, v6 });
        keeper.set_tables(Tables { generations, own });
        Ok(Rc::new(keeper.into()))
    }

    /// The tables before it that this agent can read.
    fn known(&self) -> impl Iterator<Item = &Generation> {
        self.old.iter().filter(|old| old.is_known())
    }

    /// Those tables, to be emptied.
    ///
    /// # Errors
    ///
    /// A table cannot be mapped.
    pub(super) fn old(&self) -> anyhow::Result<Vec<Old>> {
        self.known().map(Old::open).collect()
    }
}

/// Whether a pinned table is what is asked for.
fn does(last: &Generation, shape: &Shape) -> bool {
    let pinned = &last.shape;
    last.is_known()
        && pinned.flows_v4 == shape.flows_v4
        && pinned.flows_v6 == shape.flows_v6
        && pinned.partitions >= u64::from(shape.partitions)
}
