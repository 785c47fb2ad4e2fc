//! A table of another size, or with other fields, in a running agent.

use std::rc::Rc;

use flowxdp_core::{hold::Place, retire::Retirement};

use super::{Meter, Old, partitions::Owners};
use crate::{
    guard,
    kernel::{
        counters,
        load::{Loaded, Shape},
        pin::Pins,
    },
    pressure::Watch,
};

/// A table that can be filled in place of the one of now.
pub struct Next {
    number: u64,
    loaded: Loaded,
    /// The table of now.
    old: Old,
}

impl Meter {
    /// Tables that drain.
    pub const fn draining(&self) -> usize {
        self.old.len()
    }

    /// The number of the table's generation.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Opens the table of another generation, which the loader made, and the one of now as one that drains.
    ///
    /// # Errors
    ///
    /// A pin is missing, or the kernel does not map a table. Nothing changed.
    pub fn open_table(&mut self, shape: &Shape, number: u64, pins: &Rc<Pins>) -> anyhow::Result<Next> {
        let old = Old::open(&pins.generation(self.generation)?, self.loaded.shape.groups)?;
        let mut loaded = Loaded::open(shape, &pins.directory().join(number.to_string()), pins)?;
        if let Some(keeper) = &self.keeper {
            let (v4, v6, _) = loaded.tables()?;
            let mut keeper = keeper.borrow_mut();
            keeper.tables_mut().add(Place::v4(number), v4);
            keeper.tables_mut().add(Place::v6(number), v6);
        }
        Ok(Next { number, loaded, old })
    }

    /// Meters into another table from now on, and has the one of before drain. Between two sweeps: no slot is
    /// marked and not collected.
    ///
    /// The books balance at every moment: both tables share the counters, and a packet is in one of them. An
    /// agent that is killed leaves both to the next one, where they are pinned.
    ///
    /// # Errors
    ///
    /// The grace period cannot be waited for, or the pin of an interface that is gone not be removed.
    pub fn replace_table(&mut self, next: Next) -> anyhow::Result<()> {
        let Next { number, loaded, old } = next;
        let replaced = self.loaded.replace_table(loaded);
        // Afterwards no program writes the table of before.
        let waited = self.grace.wait();
        self.old.push(old);
        self.generation = number;
        self.begin_table();
        guard::first(waited, replaced)
    }

    /// What is remembered of a table's slots and CPUs begins anew.
    fn begin_table(&mut self) {
        self.retired_v4 = Retirement::default();
        self.retired_v6 = Retirement::default();
        self.watch = Watch::new(&self.loaded.shape, self.overflow.flows().1, self.timeouts);
        self.watch.own(self.overflow.flows(), self.overflow.is_blocked());
        self.owners = Owners::new(self.loaded.shape.partitions).after(&self.owners);
        self.closings = counters::closings(&self.loaded.cpus);
        self.done = false;
    }
}
