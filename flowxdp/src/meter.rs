//! The metering process as the agent sees it: when slots retire, and what the kernel counted.

use std::{collections::BTreeMap, os::fd::OwnedFd};

use anyhow::Context;
use flowxdp_common::reason;
use flowxdp_core::{
    books::{Books, Bracket, Interface},
    clock::WallClock,
    merge::Merge,
    overflow::Overflow,
    record::{EndReason, FlowRecord, Total},
    retire::{self, Retirement, Timeouts},
    slots::Slot,
};
use tokio::io::unix::AsyncFd;

use crate::kernel::{counters, grace::Grace, load::Loaded};

/// Events that one call takes out of the ring buffer: it holds fewer.
const EVENTS: usize = 1 << 20;

/// The flow tables with their retirement.
pub struct Meter {
    /// The program and what it shares.
    pub loaded: Loaded,
    grace: Grace,
    timeouts: Timeouts,
    retired_v4: Retirement,
    retired_v6: Retirement,
    overflow: Overflow,
    /// Packets that the agent's own table had no room for: records of one packet.
    straight: Merge,
    merge: Merge,
    closings: u64,
    /// Names of the interfaces, by row of the counters.
    rows: BTreeMap<u32, String>,
    said_no_partition: bool,
}

impl Meter {
    /// Takes over a loaded program.
    ///
    /// # Errors
    ///
    /// The kernel offers no grace period.
    pub fn new(mut loaded: Loaded, timeouts: Timeouts) -> anyhow::Result<Self> {
        let overflow = Overflow::adopt(&mut loaded.own, loaded.overflow.position());
        Ok(Self {
            loaded,
            grace: Grace::new()?,
            timeouts,
            retired_v4: Retirement::default(),
            retired_v6: Retirement::default(),
            overflow,
            straight: Merge::default(),
            merge: Merge::default(),
            closings: 0,
            rows: BTreeMap::new(),
            said_no_partition: false,
        })
    }

    /// Counts packets of `index` under `name`.
    ///
    /// # Errors
    ///
    /// More interfaces than there are rows.
    pub fn name_interface(&mut self, index: u32, name: &str) -> anyhow::Result<()> {
        let row = u32::try_from(self.rows.len() + 1)?;
        anyhow::ensure!(row < flowxdp_common::counter::ROWS, "too many interfaces: {} at most", row - 1);
        self.loaded.rows.insert(index, row, 0).with_context(|| format!("cannot name interface {name}"))?;
        self.rows.insert(row, name.to_owned());
        Ok(())
    }

    /// A descriptor that becomes readable when a packet found no slot.
    ///
    /// # Errors
    ///
    /// The process has too many descriptors open.
    pub fn ring_readiness(&self) -> std::io::Result<AsyncFd<OwnedFd>> {
        self.loaded.overflow.readiness()
    }

    /// Takes packets that found no slot out of the ring buffer.
    pub fn drain_ring(&mut self) {
        let (overflow, straight, timeouts) = (&mut self.overflow, &mut self.straight, self.timeouts);
        let own = &mut self.loaded.own;
        self.loaded.overflow.drain(EVENTS, |packet, position| {
            if !overflow.push(own, packet, position, timeouts) {
                straight.push(packet.part(), EndReason::LackOfResources, false);
            }
        });
    }

    /// Retires what is due at `now`, at most about `room` flows, and hands the records to `sink`.
    ///
    /// With `forced`, everything is due. Gives the number of records; fewer than `room` means that all
    /// that was due is out.
    ///
    /// # Errors
    ///
    /// The grace period cannot be waited for: nothing was read then.
    pub fn check(
        &mut self,
        now: u64,
        clock: WallClock,
        forced: Option<EndReason>,
        room: usize,
        mut sink: impl FnMut(FlowRecord),
    ) -> anyhow::Result<usize> {
        let closings = counters::closings(&self.loaded.cpus);
        let closing = std::mem::replace(&mut self.closings, closings) != closings;
        let (v4, v6, timeouts) = (&mut self.loaded.flows_v4, &mut self.loaded.flows_v6, self.timeouts);
        let mut marked = 0;
        if forced.is_some() || self.retired_v4.is_due(now, closing) {
            marked += self.retired_v4.mark(v4, now, timeouts, forced, room);
        }
        if forced.is_some() || self.retired_v6.is_due(now, closing) {
            marked += self.retired_v6.mark(v6, now, timeouts, forced, room - marked);
        }
        let merge = &mut self.merge;
        if marked > 0 {
            self.grace.wait()?;
            let (taken, _) = counters::partitions(&self.loaded.cpus);
            let alone = taken <= 1 && self.overflow.is_empty();
            let (mut done_v4, mut done_v6) = (Vec::new(), Vec::new());
            self.retired_v4.collect(v4, |index, part, reason| {
                merge.push(part, reason, alone);
                done_v4.push(index);
            });
            self.retired_v6.collect(v6, |index, part, reason| {
                merge.push(part, reason, alone);
                done_v6.push(index);
            });
            done_v4.into_iter().for_each(|index| retire::free(v4, index));
            done_v6.into_iter().for_each(|index| retire::free(v6, index));
        }
        let own = &mut self.loaded.own;
        if self.overflow.mark(own, now, timeouts, forced, room.saturating_sub(marked)) > 0 {
            let mut done = Vec::new();
            self.overflow.collect(own, |index, part, reason| {
                merge.push(part, reason, false);
                done.push(index);
            });
            done.into_iter().for_each(|index| self.overflow.free(own, index));
        }
        let mut records = 0;
        for record in self.straight.records(clock).chain(merge.records(clock)) {
            records += 1;
            sink(record);
        }
        Ok(records)
    }

    /// When a flow that is known of is due at the earliest, on the table's clock; 0: at the next look.
    pub fn next_due(&self) -> u64 {
        if counters::closings(&self.loaded.cpus) != self.closings {
            return 0;
        }
        self.retired_v4.next_due().min(self.retired_v6.next_due()).min(self.overflow.next_due())
    }

    /// Tells of a packet of this time, for [`Meter::next_due`].
    pub fn expect(&mut self, time: u64) {
        let due = time.saturating_add(self.timeouts.idle.min(self.timeouts.active));
        self.retired_v4.expect(due);
        self.retired_v6.expect(due);
    }

    /// Lets go of every interface, and waits until no packet is being metered any more.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.loaded.detach()?;
        self.grace.wait()
    }

    /// Tells once that a CPU came too late for a partition.
    pub fn warn_of_cpus(&mut self) {
        let (taken, without) = counters::partitions(&self.loaded.cpus);
        if without > 0 && !self.said_no_partition {
            self.said_no_partition = true;
            log::warn!(
                "{without} CPUs receive packets beyond the {taken} that the flow table has partitions for: \
                 their packets go the slower way over the ring buffer"
            );
        }
    }

    fn in_table(&self) -> Total {
        let mut total = retire::in_table(&self.loaded.flows_v4);
        total += retire::in_table(&self.loaded.flows_v6);
        total += retire::in_table(&self.loaded.own);
        total
    }

    /// Packets that were not metered so far, by whatever reason.
    pub fn ignored(&self) -> Total {
        let mut ignored = Total::default();
        for row in std::iter::once(&0).chain(self.rows.keys()) {
            for total in counters::row(&self.loaded.counters, *row).ignored {
                ignored += total;
            }
        }
        ignored
    }

    fn seen(&self) -> Total {
        let mut seen = counters::row(&self.loaded.counters, 0).seen;
        for &row in self.rows.keys() {
            seen += counters::row(&self.loaded.counters, row).seen;
        }
        seen
    }

    /// The kernel's side of the books, bracketed; the caller adds the collectors and closes them.
    ///
    /// # Errors
    ///
    /// The grace period cannot be waited for.
    pub fn books(&mut self) -> anyhow::Result<(Books, Bracket)> {
        let before = self.seen();
        self.grace.wait()?;
        self.drain_ring();
        let mut books = Books { in_table: self.in_table(), ..Books::default() };
        books.in_table += self.straight.total();
        for reason in reason::IGNORED {
            books.ignored.insert(reason.name.to_owned(), Total::default());
        }
        for reason in reason::LOST {
            books.lost.insert(reason.name.to_owned(), Total::default());
        }
        let unnamed = (0, "other".to_owned());
        for (row, name) in std::iter::once((&unnamed.0, &unnamed.1)).chain(&self.rows) {
            let counted = counters::row(&self.loaded.counters, *row);
            if *row == 0 && counted.seen.packets == 0 {
                continue;
            }
            let part = interface(&mut books, &counted);
            books.interfaces.insert(name.clone(), part);
        }
        self.grace.wait()?;
        Ok((books, Bracket { before, after: self.seen() }))
    }
}

/// One interface's part, added to the totals as well.
fn interface(books: &mut Books, counted: &counters::Row) -> Interface {
    let mut part = Interface { seen: counted.seen, ..Interface::default() };
    for (reason, total) in reason::IGNORED.iter().zip(counted.ignored) {
        part.ignored += total;
        part.ignored_by_reason.insert(reason.name.to_owned(), total);
        *books.ignored.entry(reason.name.to_owned()).or_default() += total;
    }
    for (reason, total) in reason::LOST.iter().zip(counted.lost) {
        part.lost += total;
        *books.lost.entry(reason.name.to_owned()).or_default() += total;
    }
    part
}
