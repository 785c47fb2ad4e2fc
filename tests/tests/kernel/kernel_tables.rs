//! A running agent's table is replaced by one of another size under traffic, and no packet is missed.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use flowxdp::kernel::attach::{Attached, Mode, attach};
use flowxdp::kernel::link;
use flowxdp::kernel::load::{Pinned, TableSize, load_at, make};
use flowxdp::kernel::pin::{Pins, mount};
use flowxdp::metering::meter::Meter;
use flowxdp_common::field::Groups;
use flowxdp_core::clock::WallClock;
use flowxdp_core::metering::retire::Timeouts;
use flowxdp_core::record::EndReason;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::traffic::{Generator, Tcpreplay, Traffic, UDP, generator};

const SENDER: &str = "gen0";
const METERED: &str = "met0";
const NEVER: Timeouts = Timeouts::new(u64::MAX, u64::MAX);
/// Slots that a sweep may retire: fewer than a table has flows, so that several drain at a time.
const ROOM: usize = 500;
/// Flows of the tables, one after the other. Each partition has room for all flows of the traffic: a packet without
/// a slot could be lost while no sweep runs.
const FLOWS: [u64; 4] = [16_384, 100_000, 16_385, 16_384];

fn size(flows: u64) -> TableSize {
    TableSize { flows_v4: flows, flows_v6: flows, partitions: 2, ring: 1 << 24, ..TableSize::default() }
}

/// A meter whose tables are pinned in a file system that is mounted nowhere.
struct Metered {
    pins: Rc<Pins>,
    meter: Meter,
    generation: u64,
    packets: u64,
}

impl Metered {
    fn new(mode: Mode) -> Result<Self> {
        let pins = Rc::new(Pins::private(mount()?)?);
        let directory = pins.begin(None, 1, Groups::BASE)?;
        let size = size(FLOWS[0]);
        let before = Default::default();
        let own = Some(Rc::clone(&pins));
        let loaded = load_at(
            &size,
            Some(&Pinned { pins: own, directory, seed: None, before, last: None, shares_chain: false }),
        )?;
        let mut meter = Meter::new(loaded, NEVER)?;
        meter.keep(None, 1, Vec::new());
        let all = link::all()?;
        let link = all.iter().find(|link| link.name == METERED).context("no interface")?;
        ensure!(meter.name_interface(link.index, METERED, 0)?, "no row");
        meter.names_are_set()?;
        let attached = attach(&mut meter.loaded, link, mode)?;
        ensure!((attached == Attached::Generic) == (mode == Mode::Generic), "{attached:?}");
        Ok(Self { pins, meter, generation: 1, packets: 0 })
    }

    /// As the loader makes it.
    fn replace(&mut self, flows: u64) -> Result<()> {
        let (pins, number) = (&self.pins, self.generation + 1);
        let last = pins.generation(self.generation)?;
        let (directory, before) = (pins.begin(Some(&last), number, Groups::BASE)?, last.descriptor);
        make(
            &size(flows),
            &Pinned { pins: None, directory, seed: None, before, last: None, shares_chain: false },
        )?;
        let next = self.meter.open_table(&size(flows), number, pins)?;
        self.meter.replace_table(next)?;
        self.generation = number;
        Ok(())
    }

    fn sweep(&mut self, forced: Option<EndReason>, room: usize) -> Result<()> {
        self.meter.drain_ring();
        let packets = &mut self.packets;
        self.meter.check(1, WallClock::default(), forced, room, |record, _| *packets += record.packets())?;
        for generation in self.meter.emptied() {
            self.pins.remove(&generation)?;
        }
        self.balance()
    }

    /// Every packet is in a record or in a table.
    fn balance(&mut self) -> Result<()> {
        let (books, bracket) = self.meter.books()?;
        let lost: u64 = books.lost.values().map(|total| total.packets).sum();
        let ignored: u64 = books.ignored.values().map(|total| total.packets).sum();
        let found = self.packets + books.in_table.packets + lost + ignored;
        let seen = bracket.before.packets..=bracket.after.packets;
        ensure!(seen.contains(&found), "{found} packets of {seen:?}: {} in records, {books:?}", self.packets);
        Ok(())
    }
}

/// Replaces the table many times while packets come; gives the number of tables.
fn replaced(mode: Mode, begun: &AtomicBool, sends: impl Fn() -> bool) -> Result<(u64, Metered)> {
    let mut metered = Metered::new(mode)?;
    begun.store(true, Ordering::Release);
    let mut tables = 0;
    for flows in FLOWS.into_iter().skip(1) {
        let before = metered.meter.books()?.1.after.packets;
        metered.replace(flows)?;
        tables += 1;
        ensure!(metered.meter.draining_tables() > 0, "no table drains");
        // Packets come into each of them.
        while metered.meter.books()?.1.after.packets < before + 1000 {
            ensure!(sends(), "the generator ended");
            metered.sweep(None, ROOM)?;
        }
    }
    Ok((tables, metered))
}

fn under_traffic(mode: Mode, generator: &(dyn Generator + Sync)) -> Result<()> {
    let netns = Netns::new("tables")?;
    netns.veth(SENDER, METERED)?;
    let traffic = Traffic { flows: 3000, packets: 30_000, ipv6: false, protocol: UDP, length: 100 };
    let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut sent = 0;
            while !begun.load(Ordering::Acquire) && !done.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            while !done.load(Ordering::Acquire) {
                generator.send(&traffic, &netns, SENDER)?;
                sent += traffic.packets;
            }
            anyhow::Ok(sent)
        });
        netns.inside(|| {
            let result = replaced(mode, &begun, || !sending.is_finished());
            done.store(true, Ordering::Release);
            let sent = sending.join().map_err(|_| anyhow::anyhow!("the generator panicked"))??;
            let (tables, mut metered) = result?;
            metered.sweep(Some(EndReason::Forced), usize::MAX)?;
            metered.sweep(Some(EndReason::Forced), usize::MAX)?;
            let books = metered.meter.books()?.0;
            ensure!(books.in_table.packets == 0, "{:?} are left", books.in_table);
            ensure!(
                metered.packets == sent,
                "{} packets of {sent} are in records: {books:?}",
                metered.packets
            );
            ensure!(metered.meter.draining_tables() == 0, "a table is left");
            let left = metered.pins.generations()?.len();
            ensure!(left == 1, "{left} generations are left of {tables}");
            metered.meter.stop()
        })
    })?;
    netns.expect_clean(METERED)
}

#[test]
fn tables_are_replaced_under_native_traffic() -> Result<()> {
    under_traffic(Mode::Native, &*generator())
}

#[test]
fn tables_are_replaced_under_generic_traffic() -> Result<()> {
    // The kernel's own generator hands frames to a driver's queues, which generic mode has not.
    under_traffic(Mode::Generic, &Tcpreplay { rate: 100_000, cpu: None })
}
