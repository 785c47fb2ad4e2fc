//! Interfaces get their rows of the counters, and give them back.

use anyhow::Context;
use flowxdp_common::{
    counter::ROWS,
    table::{Name, Owner},
};
use flowxdp_core::clock::SECOND;

use super::{Meter, rows::Rows};
use crate::{
    clock,
    kernel::{
        counters::{self, Row},
        load::Loaded,
    },
};

/// The rows that an earlier agent assigned; no interface has them now.
pub(super) fn counted_before(loaded: &Loaded) -> Rows {
    let owners = (1..ROWS as usize).map(|row| {
        let read = loaded.names.read(row);
        let Owner { name, before } = read.owner();
        let name: Vec<u8> = name.iter().copied().take_while(|octet| *octet != 0).collect();
        (String::from_utf8_lossy(&name).into_owned(), Row::from(*before))
    });
    Rows::recover(owners.collect(), clock::monotonic())
}

impl Meter {
    /// Counts packets of `index` under `name` from now on; false if no row is left for it, and its packets
    /// are those of no name.
    ///
    /// Before it is attached: see [`Meter::names_are_set`].
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn name_interface(&mut self, index: u32, name: &str, now: u64) -> anyhow::Result<bool> {
        let (counters, rest) = (&self.loaded.counters, self.rest());
        let counted = |row| counters::row(counters, row);
        let given = self.loaded.rows.get(&index, 0).ok();
        let Some(row) = self.rows.take(index, name, given, now, rest, counted) else {
            self.loaded.take_row_back(index)?;
            return Ok(false);
        };
        // First, so that new packets are never counted under the name before.
        self.store_owner(row);
        if !self.loaded.give_row(index, row).with_context(|| format!("cannot name interface {name}"))? {
            self.rows.leave(index, now);
            return Ok(false);
        }
        Ok(true)
    }

    /// For an agent that goes on with the counters: see [`Name`].
    fn store_owner(&mut self, row: u32) {
        let Some((name, before)) = self.rows.owner(row) else { return };
        let mut next = Owner { before: before.into(), ..Owner::default() };
        for (place, octet) in next.name.iter_mut().zip(name.bytes().take(15)) {
            *place = octet;
        }
        let (row, stored) = (row as usize, self.loaded.names.read(row as usize));
        if *stored.owner() == next {
            return;
        }
        let prepared: Name = stored.prepared(next);
        self.loaded.names.write(row, &prepared);
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
        self.loaded.names.write(row, &prepared.switched());
    }

    /// Waits until no CPU remembers the names that these ifIndexes had before.
    ///
    /// # Errors
    ///
    /// The wait for the grace period failed.
    pub fn names_are_set(&mut self) -> anyhow::Result<()> {
        self.grace.wait()?;
        self.loaded.cpus.look_up_rows();
        Ok(())
    }

    /// An interface was renamed: its counters, past and future, belong to the new name.
    pub fn rename_interface(&mut self, index: u32, name: &str) {
        if let Some(row) = self.rows.rename(index, name) {
            self.store_owner(row);
        }
    }

    /// An interface is gone: its row is released, and its counts stay under its name.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn interface_is_gone(&mut self, index: u32, now: u64) -> anyhow::Result<()> {
        self.loaded.detach_from(index)?;
        self.rows.leave(index, now);
        self.loaded.take_row_back(index)
    }

    /// Takes back the rows of all interfaces but those for which `keep` holds, by ifIndex. Their counts stay
    /// under the names.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn take_rows_back(&mut self, keep: impl Fn(u32) -> bool) -> anyhow::Result<()> {
        for (index, _) in self.loaded.rows_given().into_iter().filter(|(index, _)| !keep(*index)) {
            self.loaded.take_row_back(index)?;
        }
        Ok(())
    }

    /// Takes back the rows of interfaces that an earlier agent metered, and this one does not.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn forget_interfaces(&mut self) -> anyhow::Result<()> {
        for (index, _) in self.loaded.rows_given() {
            if self.loaded.attached(index).is_none() {
                self.loaded.take_row_back(index)?;
            }
        }
        Ok(())
    }

    /// How long after its last packet records of a flow may come, nanoseconds.
    pub fn rest(&self) -> u64 {
        self.timeouts.longest().saturating_add(10 * SECOND)
    }
}
