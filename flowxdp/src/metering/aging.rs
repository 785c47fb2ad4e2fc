//! Aggressive aging of the flow tables: measured at every sweep, logged when it begins and when it ends.

use std::collections::BTreeMap;

use flowxdp_core::{
    books::AgingTable,
    clock::{MILLISECOND, SECOND},
    metering::aging::{Aging, Change, HIGH, STEP},
    metering::retire::Timeouts,
};

use crate::kernel::load::TableSize;

/// A flow table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The kernel's, of IPv4.
    V4,
    /// The kernel's, of IPv6.
    V6,
    /// The spill table.
    Spill,
}

impl Which {
    /// All tables.
    pub const ALL: [Self; 3] = [Self::V4, Self::V6, Self::Spill];

    /// Name in the books, and in words.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::V4 => ("ipv4", "IPv4"),
            Self::V6 => ("ipv6", "IPv6"),
            Self::Spill => ("own", "spill"),
        }
    }
}

/// Aggressive aging of every table of a live agent; a replay has none.
pub struct Watch {
    tables: [Aging; 3],
    measured: [u64; 3],
    /// Packets of each table's flows that found no slot there since the last sweep.
    spilled: [u64; 3],
    /// The spill table fills.
    filling: bool,
    asked: u64,
    live: bool,
}

impl Watch {
    /// No pressure yet. `spill`: flows that the spill table keeps apart.
    pub fn new(size: &TableSize, spill: usize, timeouts: Timeouts) -> Self {
        let aging = |flows| Aging::new(flows, timeouts.common().idle);
        Self {
            tables: [aging(size.flows_v4), aging(size.flows_v6), aging(spill as u64)],
            measured: [0; 3],
            spilled: [0; 3],
            filling: false,
            asked: timeouts.common().idle,
            live: !size.is_replay(),
        }
    }

    /// A packet of this IP version found no slot.
    pub const fn spill(&mut self, version: u8) {
        self.spilled[if version == 4 { 0 } else { 1 }] += 1;
    }

    /// Notes how full the spill table is: flows in it, how many can be, and whether not even an aggregate could.
    pub const fn spill_table(&mut self, (used, room): (usize, usize), blocked: bool) {
        self.filling = self.live && (blocked || used as u64 * 100 >= room as u64 * HIGH);
    }

    /// When to sweep the tables, if the last sweep was at `last`, nanoseconds.
    pub fn next_sweep(&self, last: u64) -> u64 {
        last.saturating_add(if self.is_aging() { STEP } else { SECOND })
    }

    /// Whether any table is aging aggressively.
    pub fn is_aging(&self) -> bool {
        self.filling || self.tables.iter().any(|table| table.idle().is_some())
    }

    /// Whether a table needs a sweep, even without a due slot, when so many packets were seen.
    pub fn needs_sweep(&self, which: Which, now: u64, seen: u64) -> bool {
        let table = which as usize;
        let soon = self.is_spilling(which) || now >= self.measured[table].saturating_add(SECOND);
        self.live && soon && self.tables[table].needs_sweep(seen)
    }

    fn is_spilling(&self, which: Which) -> bool {
        self.filling && (which == Which::Spill || self.spilled[which as usize] > 0)
    }

    /// Takes a whole sweep's count; gives the idle timeout of aggressive aging.
    pub fn measure(&mut self, which: Which, now: u64, live: Option<u64>, seen: u64) -> Option<u64> {
        let spilling = self.is_spilling(which);
        let table = &mut self.tables[which as usize];
        if let Some(live) = live.filter(|_| self.live) {
            (self.measured[which as usize], self.spilled[which as usize]) = (now, 0);
            let change = table.measure(now, live, seen, spilling);
            say(which, change, table, self.asked);
        }
        self.tables[which as usize].idle()
    }

    /// For the books: the tables under aggressive aging.
    pub fn tables(&self) -> BTreeMap<String, AgingTable> {
        let tables = Which::ALL.into_iter().zip(&self.tables);
        let aging_tables = tables.filter_map(|(which, table)| {
            let aging = AgingTable { percent: table.percent(), idle_timeout_ms: table.idle()? / MILLISECOND };
            Some((which.names().0.to_owned(), aging))
        });
        aging_tables.collect()
    }
}

fn say(which: Which, change: Option<Change>, table: &Aging, asked: u64) {
    let (_, name) = which.names();
    match change {
        Some(Change::Began) => log::warn!(
            "the {name} flow table fills ({} % of its flows): idle flows are retired sooner, with end reason 5, \
             until it is below its mark",
            table.percent()
        ),
        Some(Change::Ended) => log::info!(
            "the {name} flow table has room again ({} % of its flows): the idle timeout is {} s as before",
            table.percent(),
            asked / SECOND
        ),
        None => {}
    }
}
