//! The rules of the slot protocol, seen in the program itself: a flow has one slot wherever its window has room,
//! and no packet is missed that the program was adding to a slot as it retired.

use anyhow::{Context, Result, ensure};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use aya_obj::programs::XdpAttachType;
use flowxdp::kernel::load::{Loaded, TableSize, load, load_object};
use flowxdp::kernel::{counters, test_run::Runner};
use flowxdp::metering::meter::Meter;
use flowxdp_common::field::Groups;
use flowxdp_common::names::PROGRAM;
use flowxdp_common::slot::{FREE, LIVE, SlotV4, WINDOW, retired};
use flowxdp_common::switch::Switches;
use flowxdp_core::clock::WallClock;
use flowxdp_core::metering::retire::{Table, Timeouts};
use flowxdp_core::metering::slots::Slot;
use flowxdp_core::record::{Addresses, EndReason};
use flowxdp_fuzz::mutate::Random;
use flowxdp_tests::bpffs::Bpffs;
use flowxdp_tests::generator::stay_on;
use flowxdp_tests::slow;
use flowxdp_tests::traffic::{TCP, Traffic};
use rustix::thread::{CpuSet, sched_getaffinity};

use self::window::{Slots, place};

#[path = "../../../flowxdp/core/tests/protocol/window.rs"]
mod window;

const NEVER: Timeouts = Timeouts::new(u64::MAX, u64::MAX);
const TRAFFIC: Traffic = Traffic { flows: 1, packets: 1, ipv6: false, protocol: TCP, length: 64 };

/// The CPUs that this process may use.
fn allowed() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("the CPUs that this process may use")?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

fn size(flows: u64, partitions: u32, replay: bool) -> TableSize {
    TableSize {
        flows_v4: flows,
        flows_v6: flows,
        partitions,
        ring: 1 << 16,
        groups: Groups::BASE,
        switches: Switches { replay: replay.into(), ..Switches::DEFAULT },
    }
}

/// Test runs, and packets of each.
const RUNS: u32 = 20;
const PACKETS: u32 = 2000;

/// The program waits between finding its slot live and adding to it, so nearly every slot that retires has a
/// packet in that gap. All of them must be in a record.
#[test]
fn no_packet_is_missed_while_its_slot_retires() -> Result<()> {
    let cpus = allowed()?;
    let [here, there, ..] = *cpus.as_slice() else { anyhow::bail!("this test needs two CPUs, not {cpus:?}") };
    let (bpffs, frame) = (Bpffs::new()?, TRAFFIC.frame(0));
    let mut loaded = load_object(&size(64, 2, false), slow::OBJECT)?;
    loaded.program(PROGRAM)?.pin(bpffs.join("slow"))?;
    let program = Xdp::from_pin(bpffs.join("slow"), XdpAttachType::Interface)?;
    let mut meter = Meter::new(loaded, NEVER)?;
    let sending = std::thread::spawn(move || -> Result<()> {
        stay_on(there)?;
        for _ in 0..RUNS {
            let options = TestRunOptions { data_in: Some(&frame), repeat: PACKETS, ..TestRunOptions::new() };
            program.test_run(options).context("the kernel refuses a test run")?;
        }
        Ok(())
    });
    stay_on(here)?;
    let (mut packets, mut records) = (0, 0);
    loop {
        let last = sending.is_finished();
        records +=
            meter.check(1, WallClock::default(), Some(EndReason::Forced), usize::MAX, |record, _| {
                packets += record.packets();
            })?;
        if last {
            break;
        }
    }
    sending.join().map_err(|_| anyhow::anyhow!("the sending thread panicked"))??;
    let row = counters::row(&meter.loaded.counters, 0);
    ensure!(row.overflow.packets == 0, "packets found no slot: {row:?}");
    ensure!(packets == u64::from(RUNS * PACKETS), "{packets} packets in {records} records");
    ensure!(records > 10, "only {records} slots retired while packets came");
    Ok(())
}

/// A table whose flows all have the same window.
struct OneHome {
    loaded: Loaded,
    runner: Runner,
    frame: Vec<u8>,
}

impl OneHome {
    fn new() -> Result<Self> {
        let [cpu, ..] = *allowed()?.as_slice() else { anyhow::bail!("no CPU") };
        // The table has a partition for one CPU.
        stay_on(cpu)?;
        let loaded = load(&size(1, 1, true))?;
        ensure!(Table::len(&loaded.flows_v4) == WINDOW as usize, "more than one window");
        Ok(Self { loaded, runner: Runner::default(), frame: TRAFFIC.frame(0) })
    }

    /// One packet of a flow: its number is in both addresses.
    fn packet(&mut self, flow: u64) -> Result<()> {
        self.frame.get_mut(26..34).context("a short frame")?.copy_from_slice(&flow.to_be_bytes());
        let wire = u32::try_from(self.frame.len())?;
        self.runner.run(self.loaded.program(PROGRAM)?, &self.frame, wire, 1, 1)
    }

    fn set(&mut self, slot: usize, state: u32) {
        self.loaded.flows_v4.set_state(slot, state);
    }

    /// Packets that went to the ring buffer, which fills as nothing reads it.
    fn without_slot(&self) -> u64 {
        let row = counters::row(&self.loaded.counters, 0);
        row.overflow.packets + row.lost.iter().map(|lost| lost.packets).sum::<u64>()
    }

    /// State of each slot; flow, packets and octets where it is not free.
    fn slots(&self) -> Vec<One> {
        let table = &self.loaded.flows_v4;
        (0..Table::len(table)).map(|slot| One::of(table.state(slot), &table.copy(slot))).collect()
    }
}

/// The compared fields of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct One {
    state: u32,
    flow: u64,
    packets: u64,
    octets: u64,
}

impl One {
    fn of(state: u32, slot: &SlotV4) -> Self {
        let Addresses::V4 { source: [a, b, c, d], destination: [e, f, g, h] } = slot.counters().key.addresses
        else {
            return Self::default();
        };
        let flow = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        if state == FREE {
            Self::default()
        } else {
            Self { state, flow, packets: slot.packets, octets: slot.octets }
        }
    }
}

#[test]
fn a_slot_that_is_freed_in_front_of_a_flow_gives_it_no_second_one() -> Result<()> {
    let mut table = OneHome::new()?;
    for flow in [1, 2, 3] {
        table.packet(flow)?;
    }
    table.set(0, FREE);
    table.packet(3)?;
    let slots: Vec<_> = table.slots().iter().map(|slot| (slot.flow, slot.packets)).take(4).collect();
    ensure!(slots == [(0, 0), (2, 1), (3, 2), (0, 0)], "flows and packets: {slots:?}");
    // A new flow takes it.
    table.packet(4)?;
    ensure!(table.slots().first().is_some_and(|slot| slot.flow == 4), "{:?}", table.slots());
    Ok(())
}

/// The window as the explored model has it, and the packet of one flow.
struct Model {
    slots: Vec<One>,
    flow: u64,
    octets: u64,
}

impl Slots for Model {
    type Stop = anyhow::Error;

    fn state(&mut self, slot: usize) -> Result<u32> {
        Ok(self.slots.get(slot).context("no such slot")?.state)
    }

    fn is_flow(&mut self, slot: usize) -> Result<bool> {
        Ok(self.slots.get(slot).is_some_and(|slot| slot.flow == self.flow))
    }

    fn hit(&mut self, slot: usize) -> Result<()> {
        let slot = self.slots.get_mut(slot).context("no such slot")?;
        slot.packets += 1;
        slot.octets += self.octets;
        Ok(())
    }

    fn open(&mut self, slot: usize) -> Result<()> {
        *self.slots.get_mut(slot).context("no such slot")? =
            One { state: LIVE, flow: self.flow, packets: 1, octets: self.octets };
        Ok(())
    }
}

/// Packets of a dozen flows, and slots that an agent retires and frees, at random.
#[test]
fn the_program_places_packets_as_the_explored_model_does() -> Result<()> {
    let mut table = OneHome::new()?;
    let octets = u64::try_from(table.frame.len())? - 14;
    let mut model = Model { slots: table.slots(), flow: 0, octets };
    let (mut random, mut without) = (Random(7), 0);
    for step in 0..5000 {
        let draw = random.word();
        let slot = usize::try_from(draw >> 32)? % WINDOW as usize;
        let state = model.slots.get(slot).map_or(FREE, |slot| slot.state);
        if !draw.is_multiple_of(4) {
            model.flow = 1 + (draw >> 8) % 12;
            table.packet(model.flow)?;
            without += u64::from(!place(&mut model, 0..WINDOW as usize, false)?);
        } else if state != FREE {
            // Retired with some collectors' bits, or freed.
            let next = if state == LIVE { retired(u32::try_from(draw >> 8 & 3)?) } else { FREE };
            table.set(slot, next);
            let place = model.slots.get_mut(slot).context("no such slot")?;
            *place = if next == FREE { One::default() } else { One { state: next, ..*place } };
        }
        ensure!(table.slots() == model.slots, "step {step}: {:?} is not {:?}", table.slots(), model.slots);
    }
    ensure!(table.without_slot() == without && without > 0, "{without} packets found no slot in the model");
    Ok(())
}
