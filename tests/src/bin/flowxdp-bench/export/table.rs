//! Our side on the same flows as the other programs: the capture's packets go through the XDP program that is
//! shipped into a table, and from there, as in the agent, to the socket.
//!
//! All steps of a slot are measured: marked, copied, made a record of, and free again. The wait for the grace
//! period between the first two is no part of the time of day either: another table would have its turn
//! there.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flowxdp::agent::engine::BETWEEN;
use flowxdp::command::run::RING;
use flowxdp::kernel::load::{self, TableSize};
use flowxdp::kernel::test_run::Runner;
use flowxdp::metering::meter::Meter;
use flowxdp_common::field::Groups;
use flowxdp_common::names;
use flowxdp_common::switch::Switches;
use flowxdp_core::clock::WallClock;
use flowxdp_core::exporting::protocol::Protocol;
use flowxdp_core::metering::retire::Timeouts;
use flowxdp_core::record::EndReason;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

use super::Turn;
use super::decode::Flow;
use super::flows::{self, NOW, SYSTEM_START};
use super::receiver::Receiver;
use super::send::Driver;
use crate::measure::cpu_time;

/// Nothing is due before the end.
const NEVER: Timeouts = Timeouts::new(u64::MAX, u64::MAX);

/// ifIndex of the interface that the packets come from.
const INGRESS: u32 = 2;

/// A table, and the packets that fill it.
pub(super) struct Full {
    meter: Meter,
    /// Where packets are metered: the table has a partition for one CPU.
    cpu: CpuSet,
    flows: u32,
    captured: Vec<Flow>,
}

impl Full {
    /// With as much room as the other programs have.
    pub(super) fn new(flows: u32) -> Result<Self> {
        let size = TableSize {
            flows_v4: 2 * u64::from(flows),
            flows_v6: 1,
            partitions: 1,
            ring: RING,
            groups: Groups::BASE,
            switches: Switches { replay: 1, ..Switches::DEFAULT },
        };
        let loaded = load::load(&size).context("a table to export from")?;
        let mut cpu = CpuSet::new();
        cpu.set(sched_getcpu());
        Ok(Self { meter: Meter::new(loaded, NEVER)?, cpu, flows, captured: flows::captured(flows) })
    }

    /// One packet of each flow.
    fn fill(&mut self) -> Result<()> {
        let cpus = sched_getaffinity(None)?;
        sched_setaffinity(None, &self.cpu).context("staying on one CPU")?;
        let mut runner = Runner::default();
        for flow in 0..self.flows {
            let (time, frame) = flows::packet(flow)?;
            let wire = u32::try_from(frame.len())?;
            let program = self.meter.loaded.program(names::PROGRAM)?;
            runner.run(program, &frame, wire, (time - SYSTEM_START * 1000) * 1000, INGRESS)?;
        }
        self.meter.drain_ring();
        sched_setaffinity(None, &cpus).context("going back to all CPUs")
    }

    /// Fills the table, and exports all of it over UDP; the kernel takes so many messages as one.
    pub(super) fn turn(&mut self, protocol: Protocol, segments: usize) -> Result<Turn> {
        self.fill()?;
        let receiver = Receiver::keeping()?;
        let url = format!("udp://127.0.0.1:{}", receiver.port());
        let mut driver = Driver::new(&url, None, protocol, segments)?;
        driver.begin()?;
        let (forced, clock) = (Some(EndReason::Forced), WallClock::new(0, SYSTEM_START * 1_000_000));
        // With the first flow go the templates, and the time in which they could be refused.
        self.meter.check(NOW.monotonic.nanoseconds(), clock, forced, 1, |record, _| {
            driver.exporter.push(&record, NOW, true)
        })?;
        driver.settle(true)?;
        let already = driver.exporter.exported_records();
        let (wall, start, mut waited) = (Instant::now(), cpu_time(), Duration::ZERO);
        loop {
            let (looked, busy) = (Instant::now(), cpu_time());
            let (room, mut records) = (driver.exporter.room(), 0_u64);
            self.meter.check(NOW.monotonic.nanoseconds(), clock, forced, room, |record, _| {
                driver.exporter.push(&record, NOW, true);
                records += 1;
                if records.is_multiple_of(BETWEEN) {
                    driver.poll();
                }
            })?;
            waited += looked.elapsed().saturating_sub(cpu_time().saturating_sub(busy));
            driver.settle(false)?;
            if self.meter.is_done() {
                break;
            }
        }
        driver.settle(true)?;
        let cpu = cpu_time().saturating_sub(start).max(Duration::from_nanos(1));
        let wall = wall.elapsed().saturating_sub(waited);
        driver.close()?;
        let sent = driver.exporter.exported_records();
        // The receiver empties its buffer before it is asked.
        thread::sleep(Duration::from_millis(1));
        let received = receiver.finish()?;
        flows::same(&received.flows(), &self.captured, "our export from a table")?;
        ensure!(sent == received.total.records, "{sent} records were sent, {} came", received.total.records);
        Ok(Turn { records: sent - already, sent, received: sent, cpu, wall, ..Turn::default() })
    }
}
