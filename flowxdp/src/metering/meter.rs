//! The agent's side of the metering process: when slots retire, and the kernel's counters.

mod collect;
mod draining;
mod interfaces;
mod partitions;
mod replace;
mod rows;
mod unmetered;

use std::os::fd::OwnedFd;

use flowxdp_common::reason::{self, NotReplayed};
use flowxdp_core::{
    books::{Books, Bracket, Interface},
    clock::WallClock,
    metering::deliveries::{Place, SlotRef},
    metering::merge::{self, Merge},
    metering::retire::{self, Retirement, Table, Timeouts},
    metering::slots::{Slot, SlotFlow},
    metering::spill::Spill,
    record::{EndReason, FlowRecord, Total},
};
use tokio::io::unix::AsyncFd;

use self::{collect::Out, partitions::Owners, rows::Rows, unmetered::Unmetered};
pub use self::{
    draining::Draining,
    replace::{Asked, Next, WITHOUT},
};
use crate::{
    agent::loader::Loader,
    exporting::deliveries::SharedLedger,
    kernel::{counters, grace::Grace, load::Loaded},
    metering::aging::{Watch, Which},
};

/// Events that one call takes out of the ring buffer, more than the buffer holds.
const EVENTS: usize = 1 << 18;

/// Events between two turns of the loop: the time of some messages.
const SOME: usize = 1 << 12;

/// The flow tables with their retirement.
pub struct Meter {
    /// The program and its shared maps.
    pub loaded: Loaded,
    /// Who makes the next table, if one is to be.
    pub loader: Option<Loader>,
    grace: Grace,
    timeouts: Timeouts,
    retired_v4: Retirement,
    retired_v6: Retirement,
    spill: Spill,
    merge: Merge,
    /// In a replay, packets that the spill table had no room for: records of one packet.
    replay_only: Merge,
    /// Slots of one table that are near each other in their partitions.
    across_cpus: Merge,
    watch: Watch,
    /// Which table has the first turn where there is room for some records only.
    turn: usize,
    /// The last look saw all that was due.
    done: bool,
    closings: u64,
    /// The CPU of a replay.
    followed: Option<usize>,
    /// FIN and RST at the last packet that was told of.
    noted: u64,
    rows: Rows,
    owners: Owners,
    /// Packets of a capture that the program was not given.
    unmetered: Unmetered,
    /// Who keeps slots until their record was handed over, if somebody does.
    ledger: Option<SharedLedger>,
    /// The number of the table's generation.
    generation: u64,
    draining: Vec<Draining>,
}

impl Meter {
    /// Takes over a loaded program.
    ///
    /// # Errors
    ///
    /// The kernel offers no grace period.
    pub fn new(mut loaded: Loaded, timeouts: Timeouts) -> anyhow::Result<Self> {
        let rows = interfaces::counted_before(&loaded);
        let mut spill = Spill::recover(&mut loaded.spill, loaded.overflow.position());
        if loaded.size.is_replay() {
            spill.without_aggregates();
        }
        let watch = Watch::new(&loaded.size, spill.flows().1, timeouts);
        let owners = Owners::new(loaded.size.partitions);
        let groups = loaded.size.groups.with_cold_fields();
        let grace = if loaded.size.is_replay() { Grace::in_test_runs() } else { Grace::new()? };
        Ok(Self {
            loaded,
            loader: None,
            grace,
            timeouts,
            retired_v4: Retirement::default(),
            retired_v6: Retirement::default(),
            spill,
            merge: Merge::new(groups),
            replay_only: Merge::new(groups),
            across_cpus: Merge::new(groups),
            watch,
            turn: 0,
            done: true,
            closings: 0,
            followed: None,
            noted: 0,
            rows,
            owners,
            unmetered: Unmetered::default(),
            ledger: None,
            generation: 1,
            draining: Vec::new(),
        })
    }

    /// The table is that of a pinned generation, and `old` ones drain. With a `ledger` slots stay retired until
    /// it releases them.
    pub fn keep(&mut self, ledger: Option<SharedLedger>, generation: u64, draining: Vec<Draining>) {
        self.ledger = ledger;
        self.generation = generation;
        self.draining = draining;
    }

    /// Passes on slots that an earlier agent had retired. `known` are the collectors whose bits count.
    ///
    /// # Errors
    ///
    /// The wait for the grace period failed: no slot was read.
    pub fn recover(
        &mut self,
        now: u64,
        clock: WallClock,
        known: u32,
        mut sink: impl FnMut(FlowRecord, &[u8]),
    ) -> anyhow::Result<()> {
        let Some(ledger) = self.ledger.clone() else { return Ok(()) };
        self.grace.wait()?;
        self.take_over();
        let mut keep = |place: Place, index: usize, has: u32, flow: SlotFlow<'_>, reason: EndReason| {
            let delivery = ledger.borrow_mut().keep(&[SlotRef::new(place, index)], has);
            sink(merge::record(&flow, reason, clock, delivery), flow.cold);
        };
        let (timeouts, number) = (self.timeouts, self.generation);
        for draining in &mut self.draining {
            draining.recover(known, now, timeouts, &mut keep);
        }
        let Loaded { flows_v4, flows_v6, spill, .. } = &mut self.loaded;
        let (v4, v6) = (Place::v4(number), Place::v6(number));
        retire::recover(flows_v4, known, now, timeouts, |index, has, flow, end| {
            keep(v4, index, has, flow, end)
        });
        retire::recover(flows_v6, known, now, timeouts, |index, has, part, end| {
            keep(v6, index, has, part, end)
        });
        retire::recover(spill, known, now, timeouts, |index, has, part, end| {
            keep(Place::SPILL, index, has, part, end)
        });
        Ok(())
    }

    /// Enters the flows in a table of another layout into the books, once.
    fn take_over(&mut self) {
        let Self { draining, loaded, spill, timeouts, .. } = self;
        for draining in draining.iter_mut().filter(|draining| !draining.generation.is_known()) {
            let mut descriptor = loaded.says.read(0);
            if descriptor.taken_from == draining.generation.number {
                continue;
            }
            let (mut taken, mut lost) = (draining.take_over(), 0_u64);
            draining.drain_ring(|packet| {
                // No position of our ring: there is nothing to be undone.
                if spill.push(&mut loaded.spill, packet, &[], u64::MAX, *timeouts) {
                    taken += Total { packets: packet.packets, octets: packet.octets };
                } else {
                    lost += 1;
                }
            });
            descriptor.taken_packets += taken.packets;
            descriptor.taken_octets += taken.octets;
            descriptor.taken_from = draining.generation.number;
            loaded.says.write(0, &descriptor);
            if lost > 0 {
                log::error!(
                    "{lost} packets in the ring buffer of another version are lost: there is no room"
                );
            }
            log::info!(
                "a table of another version is emptied: {} packets, which this one counts as seen",
                taken.packets
            );
        }
    }

    /// A descriptor that becomes readable when a packet found no slot.
    ///
    /// # Errors
    ///
    /// The process has too many descriptors open.
    pub fn ring_readiness(&self) -> std::io::Result<AsyncFd<OwnedFd>> {
        self.loaded.overflow.readiness()
    }

    /// Takes packets that found no slot out of the ring buffer, all that are there now.
    pub fn drain_ring(&mut self) {
        self.drain(EVENTS);
    }

    /// Takes some of them; whether more are there.
    pub fn drain_some(&mut self) -> bool {
        self.drain(SOME) == SOME
    }

    /// When to look at the tables, if the last look was at `last`, nanoseconds.
    pub fn next_sweep(&self, last: u64) -> u64 {
        self.watch.next_sweep(last)
    }

    fn drain(&mut self, most: usize) -> usize {
        self.free_spilled();
        let (spill, watch, timeouts) = (&mut self.spill, &mut self.watch, self.timeouts);
        let slots = &mut self.loaded.spill;
        let (replay_only, replay) = (&mut self.replay_only, self.loaded.size.is_replay());
        let taken = self.loaded.overflow.drain(most, |packet, cold, position| {
            watch.spill(packet.key.version);
            let placed = spill.push(slots, packet, cold, position, timeouts);
            if !placed && replay {
                // A replay's records are exact with any table size, and its memory is bounded by the file.
                let flow = SlotFlow { counters: &packet.counters(), cold };
                replay_only.push(flow, EndReason::LackOfResources, None);
            }
            placed || replay
        });
        watch.spill_table(spill.flows(), spill.is_blocked());
        self.owners.spilled |= taken > 0;
        taken
    }

    /// Slots of the spill table that no collector needs any more become free.
    fn free_spilled(&mut self) {
        let Some(ledger) = &self.ledger else { return };
        for index in ledger.borrow_mut().freed() {
            self.spill.free(&mut self.loaded.spill, index);
        }
    }

    /// Retires flows that are due at `now`, at most about `room`, and passes the records to `sink`.
    ///
    /// With `forced`, every flow is due. Gives the number of records; fewer than `room` means that all due
    /// flows are out.
    ///
    /// # Errors
    ///
    /// The wait for the grace period failed: no slot was read.
    pub fn check(
        &mut self,
        now: u64,
        clock: WallClock,
        forced: Option<EndReason>,
        room: usize,
        mut sink: impl FnMut(FlowRecord, &[u8]),
    ) -> anyhow::Result<usize> {
        let closings = counters::closings(&self.loaded.cpus);
        let closing = std::mem::replace(&mut self.closings, closings) != closings;
        let sweep = Sweep { now, closing, seen: self.seen().packets, forced, timeouts: self.timeouts };
        let marked = self.mark(&sweep, room);
        let mut out = Out::new(self.ledger.clone(), clock, &mut sink);
        if marked > 0 {
            self.grace.wait()?;
            self.collect(now, &mut out);
        }
        self.replay_only.drain(|flow, reason, slots| out.record(&flow, reason, slots));
        self.watch.spill_table(self.spill.flows(), self.spill.is_blocked());
        self.done = marked < room;
        Ok(out.records())
    }

    /// Step 1 in every table: under pressure each has the first turn in turn, as room is short then.
    fn mark(&mut self, sweep: &Sweep, room: usize) -> usize {
        self.turn = if self.watch.is_aging() { (self.turn + 1) % Which::ALL.len() } else { 0 };
        let mut marked = 0;
        for draining in &mut self.draining {
            marked += draining.mark(sweep.now, sweep.timeouts, room - marked);
        }
        for which in Which::ALL.into_iter().cycle().skip(self.turn).take(Which::ALL.len()) {
            let (loaded, watch, room) = (&mut self.loaded, &mut self.watch, room.saturating_sub(marked));
            marked += match which {
                Which::V4 => sweep.mark(which, &mut self.retired_v4, &mut loaded.flows_v4, watch, room),
                Which::V6 => sweep.mark(which, &mut self.retired_v6, &mut loaded.flows_v6, watch, room),
                Which::Spill => {
                    let live = self.spill.flows().0 as u64;
                    self.spill.shorten_idle(watch.measure(which, sweep.now, Some(live), sweep.seen));
                    self.spill.mark(&mut loaded.spill, sweep.now, sweep.timeouts, sweep.forced, room)
                }
            };
        }
        marked
    }

    /// Whether the last look saw all that was due.
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// When a flow that is known of is due at the earliest, on the table's clock; 0: at the next sweep.
    pub fn next_due(&self) -> u64 {
        if counters::closings(&self.loaded.cpus) != self.closings {
            return 0;
        }
        self.retired_v4.next_due().min(self.retired_v6.next_due()).min(self.spill.next_due())
    }

    /// Whether a look at `now` would find anything; where packets are told of, more exactly than
    /// [`Meter::next_due`].
    pub fn finds(&mut self, now: u64) -> bool {
        let timeouts = self.timeouts;
        counters::closings(&self.loaded.cpus) != self.closings
            || self.spill.next_due() <= now
            || self.retired_v4.finds(&self.loaded.flows_v4, now, timeouts)
            || self.retired_v6.finds(&self.loaded.flows_v6, now, timeouts)
    }

    /// From now on every packet runs on this CPU and is told of by [`Meter::note`], so that a look sees those
    /// slots alone that may be due. The tables are empty.
    pub fn follow(&mut self, cpu: usize) {
        self.followed = Some(cpu);
        self.retired_v4.with_calendar(Table::len(&self.loaded.flows_v4));
        self.retired_v6.with_calendar(Table::len(&self.loaded.flows_v6));
    }

    /// A packet of this time ran through the program just now.
    pub fn note(&mut self, time: u64) {
        let Some(state) = self.followed.map(|cpu| self.loaded.cpus.read(cpu)) else { return };
        let closing = std::mem::replace(&mut self.noted, state.closings) != state.closings;
        let due = time.saturating_add(self.timeouts.shortest());
        // A packet without a slot leaves that of an earlier one, which is looked at once more.
        match state.slot {
            [4, index] => self.retired_v4.note(index as usize, due, closing),
            [6, index] => self.retired_v6.note(index as usize, due, closing),
            _ => {}
        }
    }

    /// Lets go of every interface, and waits until no packet is being metered any more.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let detached = self.loaded.detach();
        self.grace.wait()?;
        self.loaded.chain = None;
        detached
    }

    /// Grace periods that were waited for.
    pub fn waits(&self) -> u64 {
        self.grace.waits()
    }

    /// Counts a packet of a capture that the program is not given, `octets` long on the wire.
    pub fn ignore(&mut self, reason: NotReplayed, interface: &str, octets: u32) {
        self.unmetered.add(reason, interface, octets);
    }

    fn in_table(&self) -> Total {
        // Slots that wait for a collector are in the terms of its queue.
        let live = self.ledger.is_some();
        let mut total = in_slots(&self.loaded.flows_v4, live);
        total += in_slots(&self.loaded.flows_v6, live);
        total += in_slots(&self.loaded.spill, live);
        self.draining.iter().for_each(|draining| total += draining.in_slots(live));
        total
    }

    /// Packets that were not metered so far, by whatever reason.
    pub fn ignored(&self) -> Total {
        let mut ignored = self.unmetered.total();
        for row in self.rows.numbers() {
            for total in counters::row(&self.loaded.counters, row).ignored {
                ignored += total;
            }
        }
        ignored
    }

    /// Packets from a table of another layout, whose counters saw them.
    fn taken_over(&self) -> Total {
        let descriptor = self.loaded.says.read(0);
        Total { packets: descriptor.taken_packets, octets: descriptor.taken_octets }
    }

    fn seen(&self) -> Total {
        let mut seen = self.taken_over();
        seen += self.unmetered.total();
        for row in self.rows.numbers() {
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
        books.in_table += self.replay_only.total();
        books.loader = self.loader.as_ref().map(Loader::shown);
        books.aging = self.watch.tables();
        books.partitions = (!self.loaded.size.is_replay()).then(|| self.told_partitions());
        for reason in reason::IGNORED {
            books.ignored.insert(reason.name.to_owned(), Total::default());
        }
        if self.loaded.size.is_replay() {
            self.unmetered.enter(&mut books);
        }
        for reason in reason::LOST {
            books.lost.insert(reason.name.to_owned(), Total::default());
        }
        let taken = self.taken_over();
        if taken.packets > 0 {
            let part = Interface { seen: taken, ..Interface::default() };
            books.interfaces.insert("taken over from another version".to_owned(), part);
        }
        let (unnamed, named) = self.rows.by_name(|row| counters::row(&self.loaded.counters, row));
        let unnamed = Some(("other", unnamed)).filter(|(_, row)| row.seen.packets > 0);
        for (name, counted) in unnamed.into_iter().chain(named) {
            interface(&mut books, name, &counted);
        }
        self.grace.wait()?;
        Ok((books, Bracket { before, after: self.seen() }))
    }
}

/// Packets and octets in the live slots of a table, or in all that are not free.
fn in_slots<T: Table>(table: &T, live: bool) -> Total {
    if live { retire::in_live(table) } else { retire::in_table(table) }
}

/// A look at the tables.
struct Sweep {
    now: u64,
    /// A FIN or RST was metered since the last one.
    closing: bool,
    /// Packets seen so far.
    seen: u64,
    forced: Option<EndReason>,
    timeouts: Timeouts,
}

impl Sweep {
    /// Step 1 in one of the kernel's tables, where a look can find anything or measures pressure.
    fn mark<T: Table>(
        &self,
        which: Which,
        retirement: &mut Retirement,
        table: &mut T,
        watch: &mut Watch,
        room: usize,
    ) -> usize {
        let due = self.forced.is_some() || retirement.is_due(self.now, self.closing);
        if !due && !watch.needs_sweep(which, self.now, self.seen) {
            return 0;
        }
        let marked = retirement.mark(table, self.now, self.timeouts, self.forced, room);
        retirement.shorten_idle(watch.measure(which, self.now, retirement.live(), self.seen));
        marked
    }
}

/// One interface's part, added to the totals as well.
fn interface(books: &mut Books, name: &str, counted: &counters::Row) {
    let part = books.interfaces.entry(name.to_owned()).or_default();
    part.seen += counted.seen;
    part.unwrapped += counted.unwrapped;
    part.forgotten_fragments += counted.forgotten;
    for (reason, total) in reason::IGNORED.iter().zip(counted.ignored) {
        part.ignored += total;
        *part.ignored_by_reason.entry(reason.name.to_owned()).or_default() += total;
        *books.ignored.entry(reason.name.to_owned()).or_default() += total;
    }
    for (reason, total) in reason::LOST.iter().zip(counted.lost) {
        part.lost += total;
        *books.lost.entry(reason.name.to_owned()).or_default() += total;
    }
}

#[cfg(test)]
mod tests;
