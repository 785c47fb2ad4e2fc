//! `flowxdp replay`: the packets of capture files through the same program, on the capture's clock.
//!
//! Each frame is a test run of the XDP program, with its time and lengths in the metadata in front of it.
//! Timeouts, export time and system uptime follow the largest time so far, as if the agent had been there.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use flowxdp_common::{names, reason::COLLECTOR_UNREACHABLE};
use flowxdp_core::{
    books::Books,
    clock::{MILLISECOND, Now, SECOND, WallClock},
    record::EndReason,
};

use super::{
    options::{Exporting, Metering},
    run::{QUEUE, RING},
};
use crate::{
    capture::{Reader, to_ethernet},
    clock,
    exporter::Exporter,
    kernel::{
        load::{Shape, load},
        preflight,
        test_run::Runner,
    },
    meter::Meter,
    report,
};

/// Without a message going out for so long, a collector is given up, nanoseconds.
const PATIENCE: u64 = 10 * SECOND;

/// LINKTYPE_ETHERNET.
const ETHERNET: u32 = 1;

/// Octets that a packet takes in a capture file at least: so a file bounds its flows.
const LEAST_OCTETS: u64 = 24;

/// Frames between two looks into the ring buffer, which holds many times as many.
const FRAMES: u64 = 4096;

/// Options of `flowxdp replay`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Capture file, pcap or pcapng; several are one capture, in the order given
    #[arg(value_name = "FILE", required = true)]
    pub file: Vec<PathBuf>,
    #[command(flatten)]
    metering: Metering,
    #[command(flatten)]
    exporting: Exporting,
    /// ifIndex to meter the packets with
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub interface_index: u32,
    /// Print the books as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// The capture's clock: the largest time so far, and the whole seconds at which something is looked for.
#[derive(Clone, Copy)]
struct CaptureClock {
    first: u64,
    latest: u64,
}

impl CaptureClock {
    /// The first whole second at or after `event` that is still to come: nothing was due at those before.
    fn second(&self, event: u64) -> u64 {
        let to_come = (self.latest - self.first) / SECOND + 1;
        let seconds = event.saturating_sub(self.first).div_ceil(SECOND).max(to_come);
        self.first.saturating_add(seconds.saturating_mul(SECOND))
    }
}

fn instant(time: u64) -> Now {
    Now { monotonic: time, wall_ms: time / MILLISECOND }
}

struct Replay<'a> {
    options: &'a Options,
    meter: Meter,
    runner: Runner,
    exporters: Vec<Exporter>,
    clock: Option<CaptureClock>,
    frames: u64,
    told: u64,
}

/// Runs the command.
///
/// # Errors
///
/// A file that cannot be read to its end, after its whole packets were exported; records that could not
/// be delivered; whatever is in the way of loading the program.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let octets = options.file.iter().map(|file| std::fs::metadata(file).map_or(u64::MAX, |file| file.len()));
    let most = octets.fold(0_u64, u64::saturating_add) / LEAST_OCTETS + 1;
    // A file that cannot be opened is told before anything is asked of the kernel.
    drop(Reader::open(options.file.first().context("no file")?)?);
    preflight::kernel_and_privileges()?;
    let flows = options.metering.flows.min(most);
    let shape = Shape {
        flows_v4: flows,
        flows_v6: options.metering.flows6.map_or(flows, |flows| flows.min(most)),
        partitions: 1,
        ring: RING,
        replay: true,
    };
    preflight::memory(&shape)?;
    stay_on_this_cpu()?;
    let own = usize::try_from(flows.clamp(4096, 1 << 20))?;
    let mut meter = Meter::new(load(&shape)?, options.metering.timeouts(), own)?;
    meter.name_interface(options.interface_index, &options.interface_index.to_string())?;
    meter.loaded.program(names::PROGRAM_FRAGS)?;
    let mut replay = Replay {
        options,
        meter,
        runner: Runner::default(),
        exporters: Vec::new(),
        clock: None,
        frames: 0,
        told: clock::monotonic(),
    };
    let read = options.file.iter().try_for_each(|file| replay.file(file));
    replay.finish()?;
    read?;
    let undelivered: u64 = replay.exporters.iter().map(|exporter| exporter.books().lost.records).sum();
    anyhow::ensure!(undelivered == 0, "{undelivered} records could not be delivered: see lost in the books");
    Ok(())
}

/// One CPU means one partition, and one record for each flow and interval.
fn stay_on_this_cpu() -> anyhow::Result<()> {
    let mut cpus = rustix::thread::CpuSet::new();
    cpus.set(rustix::thread::sched_getcpu());
    rustix::thread::sched_setaffinity(None, &cpus).context("cannot stay on one CPU")
}

impl Replay<'_> {
    fn file(&mut self, path: &PathBuf) -> anyhow::Result<()> {
        let mut reader = Reader::open(path)?;
        let mut ethernet = Vec::new();
        while let Some(frame) = reader.next()? {
            self.reach(frame.time_ns)?;
            let (octets, wire) = if frame.link == ETHERNET {
                (frame.data, frame.wire)
            } else {
                ethernet.clear();
                let lengths = to_ethernet(frame.link, frame.data, frame.wire, &mut ethernet)?;
                let captured = usize::try_from(lengths.captured)?;
                (ethernet.get(..captured).unwrap_or(&ethernet), lengths.wire)
            };
            let program = self.meter.loaded.program(names::PROGRAM_FRAGS)?;
            self.runner.run(program, octets, wire, frame.time_ns, self.options.interface_index)?;
            self.frames += 1;
            if self.frames.is_multiple_of(FRAMES) {
                self.meter.drain_ring();
                self.tell(path);
            }
        }
        Ok(())
    }

    /// Shows now and then that a long replay goes on.
    fn tell(&mut self, path: &std::path::Path) {
        let now = clock::monotonic();
        if now > self.told + 2 * SECOND {
            self.told = now;
            log::info!("{}: {} packets so far", path.display(), report::grouped(self.frames));
        }
    }

    /// Everything that is due before a packet of this time, each at its own second.
    fn reach(&mut self, time: u64) -> anyhow::Result<()> {
        let Some(mut clock) = self.clock else {
            self.start(time)?;
            self.meter.expect(time);
            return Ok(());
        };
        if time >= clock.second(0) {
            // So that the flows of packets without a slot are known, and when they are due.
            self.meter.drain_ring();
        }
        loop {
            let deadlines = self.exporters.iter().filter_map(Exporter::deadline);
            let second = clock.second(deadlines.fold(self.meter.next_due(), u64::min));
            if second > time {
                break;
            }
            clock.latest = second;
            self.check(second, None)?;
        }
        clock.latest = clock.latest.max(time);
        self.clock = Some(clock);
        self.meter.expect(time);
        Ok(())
    }

    /// The system started an hour before the first packet.
    fn start(&mut self, time: u64) -> anyhow::Result<()> {
        self.clock = Some(CaptureClock { first: time, latest: time });
        let system_start_ms = (time / MILLISECOND).saturating_sub(3_600_000);
        self.exporters = self.options.exporting.exporters(system_start_ms, clock::monotonic())?;
        Ok(())
    }

    /// A look at the flow table at `time`; what is due leaves before the clock goes on.
    fn check(&mut self, time: u64, forced: Option<EndReason>) -> anyhow::Result<()> {
        let now = instant(time);
        self.meter.drain_ring();
        loop {
            let exporters = &mut self.exporters;
            let retired = self.meter.check(time, WallClock::default(), forced, QUEUE, |record| {
                for exporter in &mut *exporters {
                    exporter.push(&record, now);
                }
            })?;
            self.settle(now, forced.is_some());
            if retired < QUEUE {
                return Ok(());
            }
        }
    }

    /// Waits until every collector was sent what is ready.
    fn settle(&mut self, now: Now, flush: bool) {
        let begun = clock::monotonic();
        loop {
            let real = clock::monotonic();
            let mut wake = real + 100 * MILLISECOND;
            let mut settled = true;
            for exporter in &mut self.exporters {
                if let Some(at) = exporter.poll(real, now, flush) {
                    wake = wake.min(at);
                }
                if !exporter.is_settled(now, flush) {
                    settled = false;
                    if real > exporter.progress().max(begun) + PATIENCE {
                        exporter.give_up(&COLLECTOR_UNREACHABLE);
                    }
                }
            }
            if settled {
                return;
            }
            std::thread::sleep(Duration::from_nanos(wake.saturating_sub(clock::monotonic())));
        }
    }

    /// Flushes at the time of the last packet, waits for a refusal of the last message, prints the books.
    fn finish(&mut self) -> anyhow::Result<()> {
        match self.clock {
            Some(clock) => {
                self.check(clock.latest, Some(EndReason::Forced))?;
                self.await_refusals(instant(clock.latest));
            }
            None => self.start(0)?,
        }
        let (mut books, bracket) = self.meter.books()?;
        for exporter in &self.exporters {
            books.collectors.insert(exporter.url().to_string(), exporter.books());
        }
        books.close(bracket);
        self.print(&books)
    }

    fn await_refusals(&mut self, now: Now) {
        loop {
            if self.exporters.iter().any(|exporter| exporter.books().exported.records > 0) {
                std::thread::sleep(Duration::from_millis(50));
            }
            let real = clock::monotonic();
            self.exporters.iter_mut().for_each(|exporter| exporter.judge_last(real));
            if self.exporters.iter().all(|exporter| exporter.is_settled(now, true)) {
                return;
            }
            self.settle(now, true);
        }
    }

    fn print(&self, books: &Books) -> anyhow::Result<()> {
        use std::io::Write;
        let text = if self.options.json {
            serde_json::to_string(books)?
        } else {
            report::table(&serde_json::to_value(books)?)
        };
        match writeln!(std::io::stdout(), "{text}") {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CaptureClock, SECOND};

    #[test]
    fn looks_are_at_whole_seconds_behind_the_last_one() {
        let first = 7_500_000_000;
        let clock = CaptureClock { first, latest: first };
        let second = |clock: CaptureClock, event| (clock.second(event) - first) / SECOND;
        assert_eq!(second(clock, 0), 1);
        assert_eq!(second(clock, first), 1);
        assert_eq!(second(clock, first + SECOND), 1);
        assert_eq!(second(clock, first + SECOND + 1), 2);
        assert_eq!(second(clock, first + 15 * SECOND), 15);
        let later = CaptureClock { latest: first + 15 * SECOND, ..clock };
        assert_eq!(second(later, 0), 16);
        let between = CaptureClock { latest: first + 15 * SECOND - 1, ..clock };
        assert_eq!(second(between, 0), 15);
        assert_eq!(second(later, first + 15 * SECOND), 16);
        assert_eq!(second(later, first + 1000 * SECOND), 1000);
        assert_eq!(later.second(u64::MAX), u64::MAX);
    }
}
