//! `flowxdp replay`: the packets of capture files through the same program, on the capture's clock.
//!
//! Each frame is a test run of the XDP program, with its time and lengths in the metadata in front of it.
//! Timeouts, export time and system uptime follow the largest time so far, as if the agent had been there.

mod clock;
mod files;
mod progress;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use flowxdp_common::{
    names,
    reason::{NotReplayed, Undelivered},
};
use flowxdp_core::{
    books::Books,
    clock::{MILLISECOND, Now, SECOND, WallClock},
    options::Interface,
    record::EndReason,
};

use self::{
    clock::{CaptureClock, instant},
    files::Files,
    progress::{Done, Progress},
};
use super::run::RING;
use crate::{
    capture::{CaptureError, Frame, Reader, to_ethernet},
    clock::monotonic,
    config::{Config, flags::Flags, key::REPLAY},
    dispatch::Dispatch,
    exporter::{Exporter, QUEUE, settings},
    guard,
    kernel::{
        load::{Shape, load},
        preflight,
        test_run::Runner,
    },
    limits,
    meter::Meter,
    output, report,
    teller::Teller,
    text,
    transport::readiness::Readiness,
};

/// A collector that is waited for so long without progress, all waits since its last progress together, is
/// given up: nanoseconds of the real clock, whatever the capture's is.
const PATIENCE: u64 = 10 * SECOND;

/// How long a refusal of the last datagram may take to come back, nanoseconds.
const LAST_WORD: u64 = 50 * MILLISECOND;

/// LINKTYPE_ETHERNET.
const ETHERNET: u32 = 1;

/// Link types that are said to be unsupported; packets of further ones are in the books only.
const LINKS: usize = 16;

/// Frames between two looks into the ring buffer, which holds many times as many.
const FRAMES: u64 = 4096;

/// Files that a replay opens.
const DESCRIPTORS: usize = 32;

/// Options of `flowxdp replay`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Capture file, pcap or pcapng, also packed with gzip or zstd; - is standard input; several are one
    /// capture, in the order given
    #[arg(value_name = "FILE", required = true)]
    pub file: Vec<PathBuf>,
    /// Settings.
    #[command(flatten)]
    pub flags: Flags<REPLAY>,
    /// Print the books as one JSON object
    #[arg(long)]
    pub json: bool,
}

struct Replay<'a> {
    config: &'a Config,
    json: bool,
    meter: Meter,
    runner: Runner,
    readiness: Arc<Readiness>,
    dispatch: Dispatch,
    teller: Option<Teller>,
    clock: Option<CaptureClock>,
    /// The last look at the tables, nanoseconds of the capture.
    checked: u64,
    /// The shorter timeout, nanoseconds.
    rest: u64,
    frames: u64,
    /// Octets of the files that are read to their end.
    octets: u64,
    progress: Progress,
    /// The interface's name in the books.
    interface: String,
    /// Reasons for ignoring that were said, with the link type.
    said: BTreeSet<(&'static str, u32)>,
}

/// Runs the command.
///
/// # Errors
///
/// A file that cannot be read to its end, after its whole packets were exported; records that could not
/// be delivered; whatever is in the way of loading the program.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let config = &options.flags.config()?;
    let monitor = &config.monitor;
    let mut files = Files::open(&options.file);
    if files.is_empty() {
        return files.result();
    }
    limits::descriptors(DESCRIPTORS)?;
    preflight::kernel_and_privileges()?;
    if !files.ready() {
        return files.result();
    }
    let most = files.most_flows().unwrap_or(u64::MAX);
    let flows = monitor.flows.min(most);
    let shape = Shape {
        flows_v4: flows,
        flows_v6: monitor.flows6.map_or(flows, |flows| flows.min(most)),
        partitions: 1,
        ring: RING,
        replay: true,
        chained: false,
    };
    preflight::memory(&shape)?;
    config.warn();
    let cpu = stay_on_this_cpu()?;
    let timeouts = monitor.timeouts();
    let mut meter = Meter::new(load(&shape)?, timeouts)?;
    if let Some(protocols) = config.narrow().filter(|_| monitor.interface_index > u32::from(u16::MAX)) {
        log::warn!(
            "{protocols} cannot hold --interface-index {}, which is above 65535: records have interface 0 there",
            monitor.interface_index
        );
    }
    let interface = monitor.interface_index.to_string();
    meter.name_interface(monitor.interface_index, &interface, 0)?;
    meter.loaded.program(names::PROGRAM_FRAGS)?;
    meter.follow(cpu);
    let mut replay = Replay {
        config,
        json: options.json,
        meter,
        runner: Runner::default(),
        readiness: Arc::new(Readiness::new().context("cannot wait for sockets")?),
        dispatch: Dispatch::none(),
        teller: None,
        clock: None,
        checked: 0,
        rest: timeouts.idle.min(timeouts.active),
        frames: 0,
        octets: 0,
        progress: Progress::new(files.octets()),
        interface,
        said: BTreeSet::new(),
    };
    let ended = guard::caught(|| replay.files(&mut files));
    replay.progress.erase();
    let finished = guard::caught(|| replay.finish());
    guard::first(ended, finished)?;
    files.result()?;
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
    let unsaid =
        books.lost_by_reason.get(Undelivered::NotRepresentable.row().name).map_or(0, |total| total.records);
    books.lost.records - unsaid + books.queued.records
}

/// One CPU means one partition, and one record for each flow and interval.
fn stay_on_this_cpu() -> anyhow::Result<usize> {
    let (mut cpus, cpu) = (rustix::thread::CpuSet::new(), rustix::thread::sched_getcpu());
    cpus.set(cpu);
    rustix::thread::sched_setaffinity(None, &cpus).context("cannot stay on one CPU")?;
    Ok(cpu)
}

impl Replay<'_> {
    /// Reads every file; one that has a fault is read up to it.
    fn files(&mut self, files: &mut Files) -> anyhow::Result<()> {
        while let Some(mut reader) = files.next() {
            if let Some(fault) = self.file(&mut reader)? {
                files.fault(&fault);
            }
            self.octets += reader.position();
        }
        Ok(())
    }

    /// Meters the packets of a file; the inner error is the file's.
    fn file(&mut self, reader: &mut Reader) -> anyhow::Result<Option<CaptureError>> {
        let mut ethernet = Vec::new();
        let name = reader.name().to_owned();
        loop {
            match reader.next() {
                Ok(Some(frame)) => self.frame(&name, &frame, &mut ethernet)?,
                Ok(None) => return Ok(None),
                Err(fault) => return Ok(Some(fault)),
            }
            self.frames += 1;
            if self.frames.is_multiple_of(FRAMES) {
                self.meter.drain_ring();
            }
            let time = self.clock.map_or(0, |clock| clock.latest);
            let octets = self.octets + reader.position();
            self.progress.show(Done { packets: self.frames, time, octets });
        }
    }

    /// Meters a packet, or ignores it.
    fn frame(&mut self, file: &str, frame: &Frame<'_>, ethernet: &mut Vec<u8>) -> anyhow::Result<()> {
        let Some(time) = frame.time_ns else {
            let text = "its time is before 1970, or at 2^32 seconds or later";
            self.ignore(NotReplayed::TimeOutOfRange, file, frame, text);
            return Ok(());
        };
        self.reach(time)?;
        let (octets, wire) = if frame.link == ETHERNET {
            (frame.data, frame.wire)
        } else {
            match to_ethernet(frame.link, frame.data, frame.wire, ethernet) {
                Ok(lengths) => (ethernet.as_slice(), lengths.wire),
                Err(error) => {
                    self.ignore(NotReplayed::UnsupportedLink, file, frame, &error.to_string());
                    return Ok(());
                }
            }
        };
        let program = self.meter.loaded.program(names::PROGRAM_FRAGS)?;
        self.runner.run(program, octets, wire, time, self.config.monitor.interface_index)?;
        self.meter.note(time);
        Ok(())
    }

    /// Counts a packet that is not metered, and says so at the first one of its kind.
    fn ignore(&mut self, reason: NotReplayed, file: &str, frame: &Frame<'_>, text: &str) {
        self.meter.ignore(reason, &self.interface, frame.wire);
        let name = reason.row().name;
        let (kind, room) = match reason {
            NotReplayed::UnsupportedLink => (frame.link, self.said.len() < LINKS),
            NotReplayed::TimeOutOfRange => (0, true),
        };
        if room && self.said.insert((name, kind)) {
            self.progress.erase();
            log::warn!(
                "{file}: the packet at octet {} is ignored, as all of its kind ({name}): {text}",
                frame.offset
            );
        }
    }

    /// Options data, at the capture's time.
    fn tell(&mut self, now: Now, force: bool) {
        if let Some(teller) = &mut self.teller {
            teller.tell(&self.meter, &mut self.dispatch, now, force);
        }
    }

    /// Everything that is due before a packet of this time, each at its own second.
    fn reach(&mut self, time: u64) -> anyhow::Result<()> {
        let Some(mut clock) = self.clock else {
            self.start(time)?;
            return Ok(());
        };
        if time >= clock.second(0) {
            // So that the flows of packets without a slot are known, and when they are due.
            self.meter.drain_ring();
        }
        loop {
            let deadline = self.dispatch.all().iter().filter_map(Exporter::deadline).fold(u64::MAX, u64::min);
            let second = clock.second(self.meter.next_due().min(deadline));
            if second > time {
                break;
            }
            // Options data leave at a look: there is one in each timeout while a flow lives.
            let soon = second < self.checked.saturating_add(self.rest);
            if soon && clock.second(deadline) > second && !self.meter.finds(second) {
                continue;
            }
            clock.latest = second;
            self.check(second, None)?;
        }
        clock.latest = clock.latest.max(time);
        self.clock = Some(clock);
        Ok(())
    }

    /// The system started an hour before the first packet.
    fn start(&mut self, time: u64) -> anyhow::Result<()> {
        self.clock = Some(CaptureClock { first: time, latest: time });
        let system_start_ms = (time / MILLISECOND).saturating_sub(3_600_000);
        let now = Now { monotonic: monotonic(), wall_ms: time / MILLISECOND };
        self.dispatch = settings::dispatch(self.config, system_start_ms, &self.readiness, now, None)?;
        let index = self.config.monitor.interface_index;
        let interface =
            Interface { index, name: self.interface.clone(), description: self.interface.clone() };
        self.teller =
            Some(Teller::new(self.config.exporting.observation_domain, system_start_ms, vec![interface]));
        Ok(())
    }

    /// A look at the flow table at `time`; what is due leaves before the clock goes on.
    fn check(&mut self, time: u64, forced: Option<EndReason>) -> anyhow::Result<()> {
        let now = instant(time);
        self.checked = time;
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
            self.settle(now, forced.is_some());
            if self.meter.is_done() {
                return Ok(());
            }
        }
    }

    /// Waits until every collector was sent what is ready, or is given up.
    fn settle(&mut self, now: Now, flush: bool) {
        let begun = monotonic();
        loop {
            let real = monotonic();
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
        let left = Duration::from_nanos(instant.saturating_sub(monotonic()));
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
                self.settle(now, true);
                self.close(now);
            }
            None => self.start(0)?,
        }
        let (mut books, bracket) = self.meter.books()?;
        self.dispatch.enter(&mut books);
        books.options = self.teller.as_ref().map(|teller| teller.told().clone());
        books.close(bracket);
        log::debug!("{} grace periods were waited for", self.meter.waits());
        self.print(&books)
    }

    /// Ends every connection in order, and goes on where one broke or the last datagram was refused.
    fn close(&mut self, now: Now) {
        let mut begun = monotonic();
        loop {
            let real = monotonic();
            let closed = self.dispatch.close(real);
            if closed && real >= begun + LAST_WORD {
                self.dispatch.all_mut().iter_mut().for_each(|exporter| exporter.judge_last(real));
                if self.dispatch.is_settled(now, true) {
                    return;
                }
                self.settle(now, true);
                begun = monotonic();
            } else if !closed && real > begun + PATIENCE {
                self.dispatch.give_up_open(real, now);
            }
            self.wait(real + 10 * MILLISECOND);
        }
    }

    fn print(&self, books: &Books) -> anyhow::Result<()> {
        let text =
            if self.json { text::json::text(books)? } else { report::table(&serde_json::to_value(books)?) };
        output::product(text)
    }
}
