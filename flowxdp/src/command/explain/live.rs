//! The packets of interfaces, as a program in the kernel observes them.
//!
//! The program's log has room for some hundred packets, and a flood costs no more than that: the program logs
//! about 100 packets a second over all CPUs and counts the rest.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use anyhow::{Context, bail, ensure};
use flowxdp_common::observation::{LINES, Observation, VERDICTS};
use flowxdp_core::clock::{SECOND, WallClock};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Duration, Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    Options,
    line::{self, Source},
    observed::Link as LinkHeader,
    tally::Tally,
};
use crate::{
    clock,
    config::fault::{Fault, Faults, Place},
    kernel::{
        explain::Explain,
        link::{self, Link},
        preflight,
    },
    output,
};

/// How often packets that were left out are said, and the log is read without a wake-up.
const TICK: Duration = Duration::from_secs(1);

struct Live {
    explain: Explain,
    /// Names of the interfaces by their ifIndex.
    names: BTreeMap<u32, String>,
    json: bool,
    /// The offset to the wall clock, read again at each tick.
    clock: WallClock,
    tally: Tally,
    /// The second that runs, and the lines printed in it.
    window: (u64, u64),
}

/// Explains packets until the time is over or a signal comes; the summary is on stderr.
///
/// # Errors
///
/// An interface that is not there or takes no program; stdout that takes no more.
pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    if options.filtering.has_reason_of_captures() {
        let text = "packets of an interface are ignored for other reasons than unsupported_link and \
                    time_out_of_range: --reason takes not_ip, truncated and malformed there";
        return Err(Faults { file: None, faults: vec![Fault::new(Place::Nowhere, text)] }.into());
    }
    preflight::kernel_and_privileges()?;
    let links = links(&options.interface)?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut explain = Explain::load(&options.filtering.words())?;
    for link in &links {
        let attached = explain.attach(link, options.hook, options.mode)?;
        log::info!("{}: explaining {attached}", link.name);
    }
    log::info!(
        "ends after {} s or at ^C; at most {LINES} lines a second, and the packets left out are counted",
        options.seconds.as_secs()
    );
    let names = links.into_iter().map(|link| (link.index, link.name)).collect();
    let descriptor = explain.readiness().context("cannot wait for the log")?;
    let mut live = Live {
        explain,
        names,
        json: options.json,
        clock: clock::wall_clock(),
        tally: Tally::default(),
        window: (0, 0),
    };
    let end = Instant::now() + options.seconds;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = sleep_until(end) => break,
            _ = tick.tick() => live.left_out()?,
            ready = descriptor.readable() => ready.context("cannot wait for the log")?.clear_ready(),
        }
        if !live.print()? {
            return Ok(());
        }
    }
    live.end()
}

/// The interfaces by their names.
fn links(names: &[String]) -> anyhow::Result<Vec<Link>> {
    let all = link::all()?;
    let mut links: Vec<Link> = Vec::new();
    for name in names {
        let Some(link) = all.iter().find(|link| link.names().any(|its| its == name)) else {
            let there = all.iter().map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ");
            bail!("there is no interface {name}: name one of {there}");
        };
        if !link.has_ethernet_frames() {
            let kind = link.kind.as_deref().map_or(String::new(), |kind| format!("{kind}, "));
            bail!(
                "{name}: packets of a device without Ethernet frames ({kind}device type {}) are not explained: name the \
                 Ethernet interfaces that they come from or go to",
                link.device_type
            );
        }
        ensure!(
            links.iter().all(|other| other.index != link.index),
            "interface {name} is named twice: name it once"
        );
        links.push(link.clone());
    }
    Ok(links)
}

impl Live {
    /// Prints the packets that were logged; `false` if stdout has no reader any more.
    fn print(&mut self) -> anyhow::Result<bool> {
        let observations = self.explain.observations();
        if observations.is_empty() {
            return Ok(true);
        }
        let mut out = io::stdout().lock();
        for observation in observations {
            let Some(line) = self.line(&observation)? else { continue };
            match writeln!(out, "{line}") {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
                written => output::written(written)?,
            }
        }
        match out.flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            flushed => output::written(flushed).map(|()| true),
        }
    }

    /// The line of a packet; none if there were enough in this second.
    fn line(&mut self, observation: &Observation) -> io::Result<Option<String>> {
        let second = observation.time / SECOND;
        if self.window.0 != second {
            self.window = (second, 0);
        }
        if self.window.1 >= LINES {
            return Ok(None);
        }
        self.window.1 += 1;
        self.tally.lines += 1;
        let source = Source {
            key: "interface",
            name: self.names.get(&observation.interface).map(String::as_str),
            packet: self.tally.lines,
            time: Some(self.clock.wall(observation.time)),
        };
        line::parsed(source, observation, LinkHeader::ETHERNET, None, self.json).map(Some)
    }

    /// Says how many packets were left out since the last time.
    fn left_out(&mut self) -> anyhow::Result<()> {
        self.clock = clock::wall_clock();
        let passed = self.explain.tally()?.get(VERDICTS).copied().unwrap_or(0);
        let left_out = passed.saturating_sub(self.tally.lines);
        let more = left_out.saturating_sub(self.tally.left_out);
        if more > 0 {
            log::info!("{more} more packets of the filter are left out");
        }
        self.tally.left_out = self.tally.left_out.max(left_out);
        Ok(())
    }

    /// Detaches, and prints the last packets and the summary.
    fn end(mut self) -> anyhow::Result<()> {
        let detached = self.explain.detach();
        if !self.print()? {
            return detached;
        }
        let tally = self.explain.tally()?;
        for (verdict, packets) in (0..).zip(tally.iter().take(VERDICTS)) {
            self.tally.add(verdict, *packets);
        }
        let passed = tally.get(VERDICTS).copied().unwrap_or(0);
        self.tally.left_out = passed.saturating_sub(self.tally.lines);
        // A summary that cannot be written is no failure.
        drop(writeln!(io::stderr(), "{}", self.tally));
        detached
    }
}
