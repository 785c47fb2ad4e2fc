//! A table of another size, or with other fields, in a running agent.

use std::rc::Rc;

use anyhow::{Context, ensure};
use flowxdp_core::{
    metering::deliveries::Place,
    metering::merge::Merge,
    metering::retire::{Retirement, Timeouts},
};

use super::{Draining, Meter, partitions::Owners};
use crate::{
    agent::loader::{self, Answer, Request},
    guard,
    kernel::{
        counters,
        load::{Loaded, TableSize},
        pin::{self, Pins},
    },
    metering::aging::Watch,
};

/// There is no loader.
pub const WITHOUT: &str = "the agent gave up the privileges for it, and there is no loader: restart to change it, without --no-loader";

/// A table that can be filled in place of the one of now.
pub struct Next {
    number: u64,
    loaded: Loaded,
    /// The table of now.
    draining: Draining,
}

/// A table that the loader works on.
#[derive(Debug)]
pub struct Asked {
    size: TableSize,
    number: u64,
}

/// Tables that may drain at a time: one whose collector is away keeps its memory.
const DRAINING: usize = 4;

impl Meter {
    /// Asks the loader for the next table.
    ///
    /// # Errors
    ///
    /// There is no loader or no folder, the loader is busy, or too many tables drain. Nothing changed.
    pub fn ask_for_table(&mut self, size: TableSize) -> anyhow::Result<Asked> {
        ensure!(
            self.draining_tables() < DRAINING,
            "{DRAINING} tables of before still drain: wait until collectors have their records"
        );
        let loader = self.loader.as_mut().context(WITHOUT)?;
        let pins = self.loaded.pins.as_ref().context(
            "without CAP_SYS_ADMIN at the start, a table of another size needs a folder for pins: restart with --pin",
        )?;
        let last = pins.generation(self.generation)?;
        let number = pins.free(last.number + 1)?;
        let directory = pins.begin(Some(&last), number, size.groups.with_cold_fields())?;
        let request = Request::Table(loader::Table {
            generation: number,
            last: last.number,
            partitions: size.partitions,
            ring: size.ring,
        });
        let asked = self.loaded.share_chain(&directory).and_then(|()| loader.ask(&request));
        asked.inspect_err(|_| pins.abandon(number))?;
        Ok(Asked { size, number })
    }

    /// Fills the table that was asked for, once the loader has made it: true then, false before. The inner error is
    /// a refusal, after which nothing changed.
    ///
    /// # Errors
    ///
    /// The errors of [`Self::replace_table`].
    pub fn fill_next(&mut self, asked: &Asked) -> anyhow::Result<anyhow::Result<bool>> {
        let Some(loader) = self.loader.as_mut() else { return Ok(Err(anyhow::anyhow!(WITHOUT))) };
        let made = match loader.answer() {
            Ok(None) => return Ok(Ok(false)),
            Ok(Some((Answer::Done, _))) => Ok(()),
            Ok(Some((Answer::Refused(why), _))) => Err(anyhow::anyhow!(why)),
            Ok(Some((answer, _))) => Err(anyhow::anyhow!("the loader answers {answer:?}")),
            Err(error) => Err(error),
        };
        let Some(pins) = self.loaded.pins.clone() else { return Ok(Err(anyhow::anyhow!(WITHOUT))) };
        match made.and_then(|()| self.open_table(&asked.size, asked.number, &pins)) {
            Ok(next) => self.replace_table(next).map(|()| Ok(true)),
            Err(error) => {
                pins.abandon(asked.number);
                Ok(Err(error))
            }
        }
    }

    /// Tables of another size that are empty by now, and are forgotten.
    pub fn emptied(&mut self) -> Vec<pin::Generation> {
        let all = std::mem::take(&mut self.draining);
        let (empty, left): (Vec<Draining>, _) = all.into_iter().partition(Draining::is_empty);
        self.draining = left;
        if let Some(ledger) = &self.ledger {
            let mut ledger = ledger.borrow_mut();
            empty.iter().flat_map(Draining::places).for_each(|place| ledger.tables_mut().remove(place));
        }
        empty.into_iter().map(|draining| draining.generation).collect()
    }

    /// Tables that drain.
    pub const fn draining_tables(&self) -> usize {
        self.draining.len()
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
    pub fn open_table(&mut self, size: &TableSize, number: u64, pins: &Rc<Pins>) -> anyhow::Result<Next> {
        let draining = Draining::open(&pins.generation(self.generation)?, size.groups)?;
        let mut loaded = Loaded::open(size, &pins.directory().join(number.to_string()), pins)?;
        if let Some(ledger) = &self.ledger {
            let (v4, v6, _) = loaded.tables()?;
            let mut ledger = ledger.borrow_mut();
            ledger.tables_mut().add(Place::v4(number), v4);
            ledger.tables_mut().add(Place::v6(number), v6);
        }
        let groups = self.loaded.size.groups;
        let mut others = self.draining.iter_mut();
        if let Err(error) = others.try_for_each(|draining| draining.read_cold(size.groups)) {
            self.draining.iter_mut().try_for_each(|draining| draining.read_cold(groups))?;
            return Err(error);
        }
        Ok(Next { number, loaded, draining })
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
        let Next { number, loaded, draining } = next;
        // Records are in the layout of the new groups from now on, whichever table they come from.
        let groups = loaded.size.groups.with_cold_fields();
        if groups != self.loaded.size.groups.with_cold_fields() {
            let merges = [&mut self.merge, &mut self.replay_only, &mut self.across_cpus];
            merges.into_iter().for_each(|merge| *merge = Merge::new(groups));
        }
        let replaced = self.loaded.replace_table(loaded, &draining.generation);
        // Afterwards no program writes the table of before.
        let waited = self.grace.wait();
        self.draining.push(draining);
        self.generation = number;
        self.begin_table();
        guard::first(waited, replaced)
    }

    /// Flows are due by these timeouts from the next sweep on, which reads all of them.
    pub fn set_timeouts(&mut self, timeouts: Timeouts) {
        if timeouts == self.timeouts {
            return;
        }
        self.timeouts = timeouts;
        self.retired_v4.expect(0);
        self.retired_v6.expect(0);
        self.spill.expect(0);
        self.begin_watch();
    }

    fn begin_watch(&mut self) {
        self.watch = Watch::new(&self.loaded.size, self.spill.flows().1, self.timeouts);
        self.watch.spill_table(self.spill.flows(), self.spill.is_blocked());
    }

    /// The memory of a table's slots and CPUs begins anew.
    fn begin_table(&mut self) {
        self.retired_v4 = Retirement::default();
        self.retired_v6 = Retirement::default();
        self.begin_watch();
        self.owners = Owners::new(self.loaded.size.partitions).after(&self.owners);
        self.closings = counters::closings(&self.loaded.cpus);
        self.done = false;
    }
}
