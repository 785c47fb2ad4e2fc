//! Where it happens: a namespace with pairs of interfaces, pins, a spool, collectors and the agent.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::books::{Books, Count};
use flowxdp_tests::bpffs::Bpffs;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::{Finished, Running};
use flowxdp_tests::reload;
use flowxdp_tests::traffic::{Traffic, generator};
use tempfile::TempDir;

use crate::collectors::Collectors;
use crate::draft::{Draft, PLAIN};
use crate::plan::{PAIRS, Size};
use crate::watch::Watch;

/// The ends of the pairs that the generator sends from, and those that are metered.
const SENDERS: [&str; PAIRS] = ["gen0", "gen1"];
const METERED: [&str; PAIRS] = ["met0", "met1"];

/// Records are made soon, and collectors that were away are tried soon.
const RUN: [&str; 12] = [
    "--idle-timeout",
    "1s",
    "--active-timeout",
    "1s",
    // Datagrams that nfcapd's socket surely takes, on a busy machine.
    "--pace",
    "4K",
    "--retry-limit",
    "1s",
    "--options-interval",
    "5s",
    "--interface",
    "met0,met1",
];

/// See the [module](self).
pub(crate) struct Field<'a> {
    pub(crate) netns: &'a Netns,
    pub(crate) collectors: Collectors,
    pub(crate) watch: &'a Watch,
    bpffs: Bpffs,
    spool: TempDir,
    live: Option<Live>,
    logs: PathBuf,
    events: File,
    begun: Instant,
    agents: u32,
    /// The folder of the agent's file.
    folder: TempDir,
    pub(crate) draft: Draft,
    /// Of this life.
    pub(crate) size: Size,
    pub(crate) protocol: &'static str,
}

impl<'a> Field<'a> {
    /// Without an agent. `logs` is a folder that is there.
    pub(crate) fn new(netns: &'a Netns, watch: &'a Watch, logs: &Path, gaps: bool) -> Result<Self> {
        for (sender, metered) in SENDERS.into_iter().zip(METERED) {
            netns.veth(sender, metered)?;
        }
        Ok(Self {
            collectors: Collectors::start(netns, gaps)?,
            bpffs: Bpffs::new()?,
            spool: tempfile::tempdir()?,
            netns,
            watch,
            live: None,
            folder: tempfile::tempdir()?,
            draft: PLAIN,
            logs: logs.to_owned(),
            events: File::create(logs.join("events"))?,
            begun: Instant::now(),
            agents: 0,
            size: (0, 0),
            protocol: "ipfix",
        })
    }

    /// Notes the event that comes next.
    pub(crate) fn note(&mut self, what: &str) -> Result<()> {
        writeln!(self.events, "{:9.3} {what}", self.begun.elapsed().as_secs_f64())?;
        Ok(())
    }

    /// Starts an agent, and waits for nothing.
    pub(crate) fn launch(&mut self, keep: bool) -> Result<()> {
        let file = self.write()?.display().to_string();
        let (pins, spool) =
            (self.bpffs.pins().display().to_string(), self.spool.path().display().to_string());
        let sizes = [self.size.0.to_string(), self.size.1.to_string()];
        let mut arguments = RUN.to_vec();
        arguments.extend(["--config", &file, "--pin", &pins, "--spool", &spool]);
        arguments.extend(["--flows", &sizes[0], "--flows6", &sizes[1]]);
        arguments.extend(keep.then_some("--keep"));
        self.agents += 1;
        let number = self.agents;
        self.note(&format!("agent {number} starts: {sizes:?}, keep {keep}"))?;
        self.live = Some(Live::launch(self.netns, &arguments)?);
        Ok(())
    }

    /// Writes the agent's file.
    fn write(&self) -> Result<PathBuf> {
        let file = self.folder.path().join("flowxdp.toml");
        let text = self.draft.text(self.protocol, self.collectors.ports());
        fs::write(&file, text).with_context(|| file.display().to_string())?;
        Ok(file)
    }

    /// The agent reads its file again, and every change of it holds afterwards.
    pub(crate) fn reload(&mut self) -> Result<()> {
        self.write()?;
        reload::applied(self.live()?).map(drop)
    }

    /// The agent is asked to read its file again.
    pub(crate) fn ask_to_reload(&mut self) -> Result<Running> {
        self.write()?;
        reload::asking(self.live()?)?.start()
    }

    /// Starts an agent that answers.
    pub(crate) fn start(&mut self, keep: bool) -> Result<()> {
        self.launch(keep)?;
        let live = self.live.take().context("no agent")?;
        let live = live.until_answering()?;
        self.watch.follow(live.socket());
        self.live = Some(live);
        Ok(())
    }

    /// The agent that runs.
    pub(crate) fn live(&mut self) -> Result<&mut Live> {
        self.live.as_mut().context("no agent runs")
    }

    /// Tells the agent to end by SIGTERM; gives its log.
    pub(crate) fn stop(&mut self) -> Result<String> {
        self.note("SIGTERM")?;
        self.end(Live::stop).map(|ended| ended.success())?.map(|ended| ended.stderr)
    }

    /// Kills the agent.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.note("SIGKILL")?;
        let ended = self.end(Live::kill)?;
        ensure!(ended.code.is_none(), "it had ended before it was killed:\n{}", ended.stderr);
        Ok(())
    }

    fn end(&mut self, end: impl FnOnce(Live) -> Result<Finished>) -> Result<Finished> {
        self.watch.look_away();
        let ended = end(self.live.take().context("no agent runs")?)?;
        let file = self.logs.join(format!("agent-{:04}.log", self.agents));
        fs::write(&file, &ended.stderr).with_context(|| file.display().to_string())?;
        Ok(ended)
    }

    /// Keeps the log of the agent that runs, if one does.
    pub(crate) fn keep_log(&self) {
        if let Some(live) = &self.live {
            // The log line serves the search for a fault, which the test finds without it too.
            drop(fs::write(self.logs.join(format!("agent-{:04}.log", self.agents)), live.log()));
        }
    }

    /// Sends bursts while the closure runs; gives the packets and octets sent.
    pub(crate) fn meanwhile(
        &mut self,
        traffic: &[Vec<Traffic>; PAIRS],
        pause: Duration,
        again: bool,
        what: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Count> {
        let done = AtomicBool::new(!again);
        let netns = self.netns;
        std::thread::scope(|scope| {
            let sending: Vec<_> = SENDERS
                .into_iter()
                .zip(traffic)
                .map(|(sender, bursts)| {
                    let done = &done;
                    scope.spawn(move || send(netns, sender, bursts, pause, done))
                })
                .collect();
            let result = what(self);
            done.store(true, Ordering::Relaxed);
            let sent = sending.into_iter().map(|thread| {
                thread.join().map_err(|_| anyhow!("the generator panicked")).and_then(|sent| sent)
            });
            let sent = sent.collect::<Result<Vec<_>>>();
            // The generator's output usually names the fault.
            result?;
            Ok(sent?.into_iter().sum())
        })
    }

    /// An interface goes down and up.
    pub(crate) fn flap(&mut self, pair: usize, metered: bool) -> Result<()> {
        let names = if metered { METERED } else { SENDERS };
        let name = names.get(pair).context("no such pair")?;
        self.note(&format!("{name} down and up"))?;
        self.netns.ip(&format!("link set {name} down"))?;
        self.netns.ip(&format!("link set {name} up"))?;
        Ok(())
    }

    /// Waits until nothing is in the table, in a queue or on disk.
    pub(crate) fn at_rest(&mut self, limit: Duration) -> Result<Books> {
        self.note("waiting until all is exported")?;
        let live = self.live()?;
        live.until(limit, "at rest", |books| {
            let waits = |rows: &flowxdp_tests::delivery::Rows| {
                let [found, exported, lost] = rows.inherited.map(|row| row.records);
                rows.queued.records + found - exported - lost
            };
            let waiting: u64 = books.collectors.values().map(|collector| waits(&collector.rows)).sum();
            books.in_table.packets == 0 && waiting == 0
        })?;
        live.status()
    }

    /// Fails when anything is attached or pinned. No agent may run.
    pub(crate) fn expect_clean(&self) -> Result<()> {
        METERED.into_iter().try_for_each(|name| self.netns.expect_clean(name))?;
        // A confined agent may not remove the folder itself.
        let left = fs::read_dir(self.bpffs.pins()).map_or(0, Iterator::count);
        ensure!(left == 0, "{left} pins are left in {}", self.bpffs.pins().display());
        Ok(())
    }
}

/// Sends bursts, each at least once, until the flag says stop; gives the packets and octets sent.
fn send(
    netns: &Netns,
    interface: &str,
    bursts: &[Traffic],
    pause: Duration,
    done: &AtomicBool,
) -> Result<Count> {
    let mut sent = Count::default();
    for number in 0.. {
        let Some(burst) = bursts.get(number % bursts.len().max(1)) else { break };
        if number >= bursts.len() && done.load(Ordering::Relaxed) {
            break;
        }
        generator().send(burst, netns, interface).with_context(|| format!("{burst:?} from {interface}"))?;
        sent = sent + Count { packets: burst.packets, octets: burst.octets() };
        std::thread::sleep(pause);
    }
    Ok(sent)
}
