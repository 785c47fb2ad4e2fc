//! `flowxdp replay`: the packets of capture files through the same program, on the capture's clock.
//!
//! Each frame is a test run of the XDP program, with its time and lengths in the metadata in front of it.
//! Timeouts, export time and system uptime follow the largest time so far, as if the agent had been there.

mod captured;
mod files;
mod progress;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use flowxdp_common::{
    names,
    reason::{NotReplayed, Undelivered},
    switch::BEHIND_STACK,
};
use flowxdp_core::{
    books::Books,
    clock::{AgentTime, MeterTime, Reading, WallClock},
};

use self::{
    captured::Packets,
    files::Files,
    progress::{Done, Progress},
};
use super::run::RING;
use crate::{
    agent::{
        engine::{
            Engine, Rules, Wake,
            capture::{CaptureClock, instant},
        },
        reporter::Reporter,
    },
    capture::{CaptureError, Frame, Reader, to_ethernet},
    clock::agent_time,
    config::{Config, flags::Flags, key::REPLAY},
    exporting::dispatch::Dispatch,
    exporting::exporter::{Exporter, settings},
    guard,
    kernel::{
        load::{TableSize, load},
        preflight,
        test_run::Runner,
    },
    limits,
    metering::meter::Meter,
    output, report, text,
    transport::readiness::Readiness,
};

/// LINKTYPE_ETHERNET.
const ETHERNET: u32 = 1;

/// Link types that are said to be unsupported; packets of further ones are in the books only.
const LINKS: usize = 16;

/// Frames between two drains of the ring buffer, which holds many times as many.
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
    engine: Engine<Packets>,
    runner: Runner,
    readiness: Arc<Readiness>,
    /// `None` before the first packet.
    clock: Option<CaptureClock>,
    frames: u64,
    /// Octets of the files that are read to their end.
    octets: u64,
    progress: Progress,
    /// Reasons for ignoring that were logged, with the link type.
    logged: BTreeSet<(&'static str, u32)>,
}

/// Runs the command.
///
/// # Errors
///
/// A file that cannot be read to its end, after its whole packets were exported; records that could not be
/// delivered; a program that cannot be loaded.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let config = &options.flags.config()?;
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
    let mut replay = Replay::new(config, options.json, most, Progress::new(files.octets()))?;
    let metered = guard::caught(|| replay.files(&mut files));
    replay.progress.erase();
    let ended = guard::caught(|| replay.finish());
    guard::first(metered, ended)?;
    files.result()?;
    let undelivered: u64 = replay.engine.dispatch().all().iter().map(undelivered).sum();
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

/// Loads the program and its tables, for at most so many flows.
fn packets(config: &Config, most: u64) -> anyhow::Result<Packets> {
    let monitor = &config.monitor;
    let flows = monitor.flows.min(most);
    let mut size = TableSize {
        flows_v4: flows,
        flows_v6: monitor.flows6.map_or(flows, |flows| flows.min(most)),
        partitions: 1,
        ring: RING,
        ..config.table()
    };
    (size.switches.replay, size.switches.behind) = (1, BEHIND_STACK);
    preflight::memory(&size)?;
    config.warn();
    let cpu = stay_on_this_cpu()?;
    let timeouts = monitor.timeouts();
    let mut meter = Meter::new(load(&size)?, timeouts)?;
    let index = monitor.interface_index;
    if let Some(protocols) = config.narrow().filter(|_| index > u32::from(u16::MAX)) {
        log::warn!(
            "{protocols} cannot hold --interface-index {index}, which is above 65535: records have interface 0 \
                 there"
        );
    }
    meter.name_interface(index, &index.to_string(), 0)?;
    meter.loaded.program(names::PROGRAM_FRAGS)?;
    meter.follow(cpu);
    Ok(Packets::new(meter, index, timeouts.shortest()))
}

impl<'a> Replay<'a> {
    fn new(config: &'a Config, json: bool, most: u64, progress: Progress) -> anyhow::Result<Self> {
        let packets = packets(config, most)?;
        let readiness = Arc::new(Readiness::new().context("cannot wait for sockets")?);
        Ok(Self {
            config,
            json,
            engine: Engine::new(packets, Dispatch::none(), Reporter::default(), Rules::capture()),
            runner: Runner::default(),
            readiness,
            clock: None,
            frames: 0,
            octets: 0,
            progress,
            logged: BTreeSet::new(),
        })
    }

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
                self.engine.metering_mut().meter.drain_ring();
            }
            let time = self.clock.map_or(0, |clock| clock.latest.nanoseconds());
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
        self.reach(MeterTime::new(time))?;
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
        let packets = self.engine.metering_mut();
        let program = packets.meter.loaded.program(names::PROGRAM_FRAGS)?;
        self.runner.run(program, octets, wire, time, self.config.monitor.interface_index)?;
        packets.meter.note(time);
        packets.inspect(octets, wire, time);
        Ok(())
    }

    /// Counts a packet that is not metered, and logs the first one of its kind.
    fn ignore(&mut self, reason: NotReplayed, file: &str, frame: &Frame<'_>, text: &str) {
        self.engine.metering_mut().ignore(reason, frame.wire);
        let name = reason.row().name;
        let (kind, room) = match reason {
            NotReplayed::UnsupportedLink => (frame.link, self.logged.len() < LINKS),
            NotReplayed::TimeOutOfRange => (0, true),
        };
        if room && self.logged.insert((name, kind)) {
            self.progress.erase();
            log::warn!(
                "{file}: the packet at octet {} is ignored, as all of its kind ({name}): {text}",
                frame.offset
            );
        }
    }

    /// Advances the clock to a packet's time: flows that are due before leave, each at its own second.
    fn reach(&mut self, time: MeterTime) -> anyhow::Result<()> {
        let Some(mut clock) = self.clock else { return self.begin(time) };
        while let Some(second) = self.engine.advance(&mut clock, time) {
            self.work_off(second)?;
        }
        self.clock = Some(clock);
        Ok(())
    }

    /// The system started an hour before the first packet.
    fn begin(&mut self, time: MeterTime) -> anyhow::Result<()> {
        self.clock = Some(CaptureClock { first: time, latest: time });
        let system_start_ms = instant(time).wall_ms.saturating_sub(3_600_000);
        let (real, wall_ms) = (agent_time(), instant(time).wall_ms);
        let dispatch =
            settings::dispatch(self.config, system_start_ms, &self.readiness, real, wall_ms, None)?;
        self.engine.begin(dispatch, Reporter::new(self.config.exporting.observation_domain, system_start_ms));
        Ok(())
    }

    /// Steps at an instant of the capture until the clock may advance, or the ending is done.
    fn work_off(&mut self, time: MeterTime) -> anyhow::Result<()> {
        loop {
            let at = Reading { real: agent_time(), now: instant(time), wall: WallClock::default() };
            match self.engine.step(&at)? {
                Wake::Idle | Wake::Done => return Ok(()),
                Wake::Again => {}
                Wake::At(instant) => self.wait(instant),
            }
        }
    }

    /// Until a socket has news, or until an instant.
    fn wait(&self, instant: AgentTime) {
        let left = Duration::from_nanos(instant.since(agent_time()));
        if let Err(error) = self.readiness.wait(Some(left)) {
            log::debug!("cannot wait for sockets: {error}");
            std::thread::sleep(left);
        }
    }

    /// Ends at the time of the last packet, and prints the books.
    fn finish(&mut self) -> anyhow::Result<()> {
        match self.clock {
            Some(clock) => {
                self.engine.end();
                self.work_off(clock.latest)?;
            }
            None => self.begin(MeterTime::START)?,
        }
        let books = self.engine.books()?;
        log::debug!("{} grace periods were waited for", self.engine.metering().meter.waits());
        self.print(&books)
    }

    fn print(&self, books: &Books) -> anyhow::Result<()> {
        let text =
            if self.json { text::json::text(books)? } else { report::table(&serde_json::to_value(books)?) };
        output::product(text)
    }
}
