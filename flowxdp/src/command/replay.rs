//! `flowxdp replay`: the packets of capture files through the same program, on the capture's clock.
//!
//! Each frame is a test run of the XDP program, with its time and lengths in the metadata in front of it.
//! Timeouts, export time and system uptime follow the largest time so far, as if the agent had been there.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use flowxdp_common::{names, reason::NOT_REPRESENTABLE};
use flowxdp_core::{
    books::Books,
    clock::{MILLISECOND, Now, SECOND, WallClock},
    options::Interface,
    record::EndReason,
};

use super::{
    options::{Exporting, Metering},
    run::RING,
};
use crate::{
    capture::{Reader, to_ethernet},
    clock,
    dispatch::Dispatch,
    exporter::{Exporter, QUEUE},
    kernel::{
        load::{Shape, load},
        preflight,
        test_run::Runner,
    },
    meter::Meter,
    report,
    teller::Teller,
    text,
    transport::readiness::Readiness,
};

/// Without a message going out for so long, a collector is given up, nanoseconds.
const PATIENCE: u64 = 10 * SECOND;

/// How long a refusal of the last datagram may take to come back, nanoseconds.
const LAST_WORD: u64 = 50 * MILLISECOND;

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
    readiness: Arc<Readiness>,
    dispatch: Dispatch,
    teller: Option<Teller>,
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
        chained: false,
    };
    preflight::memory(&shape)?;
    stay_on_this_cpu()?;
    let mut meter = Meter::new(load(&shape)?, options.metering.timeouts())?;
    if let Some(protocols) =
        options.exporting.narrow().filter(|_| options.interface_index > u32::from(u16::MAX))
    {
        log::warn!(
            "{protocols} cannot hold --interface-index {}, which is above 65535: records have interface 0 there",
            options.interface_index
        );
    }
    meter.name_interface(options.interface_index, &options.interface_index.to_string(), 0)?;
    meter.loaded.program(names::PROGRAM_FRAGS)?;
    let mut replay = Replay {
        options,
        meter,
        runner: Runner::default(),
        readiness: Arc::new(Readiness::new().context("cannot wait for sockets")?),
        dispatch: Dispatch::none(),
        teller: None,
        clock: None,
        frames: 0,
        told: clock::monotonic(),
    };
    let read = options.file.iter().try_for_each(|file| replay.file(file));
    replay.finish()?;
    read?;
    let undelivered: u64 = replay.dispatch.all().iter().map(undelivered).sum();
    anyhow::ensure!(
        undelivered == 0,
        "{undelivered} records could not be delivered: see lost and queued in the books"
    );
    Ok(())
}

/// Records that did not reach a collector, but for those that its protocol cannot say.
fn undelivered(exporter: &Exporter) -> u64 {
    let books = exporter.books();
    let unsaid = books.lost_by_reason.get(NOT_REPRESENTABLE.name).map_or(0, |total| total.records);
    books.lost.records - unsaid + books.queued.records
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
                self.show(path);
            }
        }
        Ok(())
    }

    /// Options data, at the capture's time.
    fn tell(&mut self, now: Now, force: bool) {
        if let Some(teller) = &mut self.teller {
            teller.tell(&self.meter, &mut self.dispatch, now, force);
        }
    }

    /// Shows now and then that a long replay goes on.
    fn show(&mut self, path: &std::path::Path) {
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
            let deadlines = self.dispatch.all().iter().filter_map(Exporter::deadline);
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
        let exporting = &self.options.exporting;
        let now = Now { monotonic: clock::monotonic(), wall_ms: time / MILLISECOND };
        self.dispatch = exporting.dispatch(system_start_ms, &self.readiness, now, None)?;
        let index = self.options.interface_index;
        let interface = Interface { index, name: index.to_string(), description: index.to_string() };
        self.teller = Some(Teller::new(exporting.observation_domain.get(), system_start_ms, vec![interface]));
        Ok(())
    }

    /// A look at the flow table at `time`; what is due leaves before the clock goes on.
    fn check(&mut self, time: u64, forced: Option<EndReason>) -> anyhow::Result<()> {
        let now = instant(time);
        self.meter.drain_ring();
        loop {
            let mut records = Vec::new();
            self.meter.check(time, WallClock::default(), forced, QUEUE, |record| {
                records.push(record);
            })?;
            // By their ends: a header of v5 places what is within 49.7 days before it, and never goes back.
            records.sort_by_key(|record| record.end_ms);
            records.iter().for_each(|record| self.dispatch.push(record, now));
            self.tell(now, false);
            self.settle(now, forced.is_some(), clock::monotonic());
            if self.meter.is_done() {
                return Ok(());
            }
        }
    }

    /// Waits until every collector was sent what is ready, or makes no progress since `begun`.
    fn settle(&mut self, now: Now, flush: bool, begun: u64) {
        loop {
            let real = clock::monotonic();
            let wake = self.dispatch.poll(real, now, flush).unwrap_or(u64::MAX);
            if self.dispatch.is_settled(now, flush) {
                return;
            }
            self.dispatch.lose_patience(real, now, flush, begun, PATIENCE);
            self.wait(wake.min(real + 100 * MILLISECOND));
        }
    }

    /// Until a socket has news, or an instant of the monotonic clock.
    fn wait(&self, instant: u64) {
        let left = Duration::from_nanos(instant.saturating_sub(clock::monotonic()));
        if let Err(error) = self.readiness.wait(Some(left)) {
            log::debug!("cannot wait for sockets: {error}");
            std::thread::sleep(left);
        }
    }

    /// Flushes at the time of the last packet, ends connections, waits for a refusal of the last datagram,
    /// prints the books.
    fn finish(&mut self) -> anyhow::Result<()> {
        match self.clock {
            Some(clock) => {
                let now = instant(clock.latest);
                self.check(clock.latest, Some(EndReason::Forced))?;
                self.tell(now, true);
                self.settle(now, true, clock::monotonic());
                self.close(now);
            }
            None => self.start(0)?,
        }
        let (mut books, bracket) = self.meter.books()?;
        self.dispatch.enter(&mut books);
        books.options = self.teller.as_ref().map(|teller| teller.told().clone());
        books.close(bracket);
        self.print(&books)
    }

    /// Ends every connection in order, and goes on where one broke or the last datagram was refused.
    fn close(&mut self, now: Now) {
        let first = clock::monotonic();
        let mut begun = first;
        loop {
            let real = clock::monotonic();
            let closed = self.dispatch.close(real);
            if closed && real >= begun + LAST_WORD {
                self.dispatch.all_mut().iter_mut().for_each(|exporter| exporter.judge_last(real));
                if self.dispatch.is_settled(now, true) {
                    return;
                }
                self.settle(now, true, first);
                begun = clock::monotonic();
            } else if !closed && real > begun + PATIENCE {
                self.dispatch.give_up_open(real, now);
            }
            self.wait(real + 10 * MILLISECOND);
        }
    }

    fn print(&self, books: &Books) -> anyhow::Result<()> {
        use std::io::Write;
        let text = if self.options.json {
            text::json::text(books)?
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
