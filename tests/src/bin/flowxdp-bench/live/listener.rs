//! A program that accounts for packets of the interface: ours, or another one that listens there.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::books::Count;
use flowxdp_tests::judge::nfcapd::{self, Nfcapd};
use flowxdp_tests::netns::Netns;
use flowxdp_tests::pcap::Datagram;
use flowxdp_tests::process::{Finished, Running};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::path::METERED;
use super::{programs, spent};
use crate::export::receiver::{Received, Receiver};
use crate::process;

/// Which one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    FlowXdp,
    Softflowd,
    /// Its plugin nfprobe.
    Pmacctd,
    Nfpcapd,
}

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);
/// A program that uses no processor time for so long is idle.
const REST: Duration = Duration::from_millis(500);

/// One that runs.
pub(super) struct Listener {
    who: Who,
    process: Process,
    /// Where it exports to, unless it writes files itself.
    receiver: Option<Receiver>,
    folder: TempDir,
}

enum Process {
    Agent(Live),
    Other(Running),
}

impl Listener {
    /// Starts one with room for so many flows, and waits until packets reach it. No flow of it is due before
    /// its end.
    pub(super) fn start(who: Who, netns: &Netns, flows: u32) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let receiver = if who == Who::Nfpcapd { None } else { Some(Receiver::keeping_in(netns)?) };
        let port = receiver.as_ref().map_or(0, Receiver::port);
        let process = match who {
            Who::FlowXdp => Process::Agent(programs::agent(netns, port, flows)?),
            Who::Softflowd => {
                Process::Other(programs::softflowd(&folder, port, flows)?.netns(netns).start()?)
            }
            Who::Pmacctd => Process::Other(programs::pmacctd(&folder, port)?.netns(netns).start()?),
            Who::Nfpcapd => Process::Other(programs::nfpcapd(&folder, flows)?.netns(netns).start()?),
        };
        let mut listener = Self { who, process, receiver, folder };
        if let Process::Other(running) = &mut listener.process {
            let index = netns.index(METERED)?;
            running.until(LIMIT, "listening", |it| listens(it.pid(), index))?;
        }
        Ok(listener)
    }

    fn pid(&self) -> u32 {
        match &self.process {
            Process::Agent(live) => live.pid(),
            Process::Other(running) => running.pid(),
        }
    }

    /// Processor time that it and its children have needed so far.
    pub(super) fn spent(&self) -> Result<Duration> {
        spent::so_far(self.pid())
    }

    /// The agent's books must balance, and hold all that was sent. Gives the processor time of the answer.
    pub(super) fn check(&self, sent: Count) -> Result<Duration> {
        let Process::Agent(live) = &self.process else { return Ok(Duration::ZERO) };
        let before = process::cpu_time(live.pid())?;
        let books = live.status()?;
        books.balance()?;
        ensure!(books.seen == sent, "the agent has seen {:?} of {sent:?}", books.seen);
        let lost = books.lost_total() + books.ignored_total();
        ensure!(lost == Count::default(), "the agent has {lost:?} in no flow");
        Ok(process::cpu_time(live.pid())?.saturating_sub(before))
    }

    /// Waits until it has handled all its packets.
    pub(super) fn rest(&self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        let mut before = self.spent()?;
        loop {
            std::thread::sleep(REST);
            let now = self.spent()?;
            // An idle loop may need a tick.
            if now.saturating_sub(before) <= spent::TICK {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "still at work after {LIMIT:?}");
            before = now;
        }
    }

    /// Ends the program; gives the sums of its records, and the processor time of its whole life.
    pub(super) fn stop(self) -> Result<(Count, Duration)> {
        let Self { who, process, receiver, folder } = self;
        let (ended, cpu) = match process {
            Process::Agent(live) => spent::whole(|| live.stop())?,
            Process::Other(running) => spent::whole(|| end(who, running, &folder))?,
        };
        // softflowd ends with 1 when it is told to end.
        let is_good = ended.code == Some(0) || who == Who::Softflowd && ended.code == Some(1);
        ensure!(is_good, "{} failed: {}{}", ended.name, ended.stdout, ended.stderr);
        let stored = match receiver {
            Some(receiver) => judged(&receiver.finish()?)?,
            None => nfcapd::total(folder.path())?,
        };
        Ok((stored, cpu))
    }
}

/// nfcapd's reading of messages. They are sent to nfcapd after their sender is gone, as slowly as it takes
/// them: so it takes no processor time from others, and loses none.
fn judged(received: &Received) -> Result<Count> {
    let from = (Ipv4Addr::LOCALHOST, 0).into();
    let datagram = |message: &[u8]| Datagram { from, to: from, payload: message.to_owned() };
    let datagrams: Vec<_> = received.messages().map(datagram).collect();
    let mut nfcapd = Nfcapd::start(None)?;
    nfcapd.feed(&datagrams)?;
    let stored = nfcapd.store()?;
    let dropped = stored.findings.iter().find(|finding| finding.contains("dropped"));
    ensure!(dropped.is_none(), "{dropped:?}");
    stored.total()
}

/// In the way that each has for it.
fn end(who: Who, running: Running, folder: &TempDir) -> Result<Finished> {
    match who {
        Who::Softflowd => {
            let control = folder.path().join("control");
            let mut order = Command::new("softflowctl");
            let done = order.arg("-c").arg(control).arg("shutdown").output().context("softflowctl")?;
            ensure!(done.status.success(), "softflowctl: {}", String::from_utf8_lossy(&done.stderr));
            running.wait(LIMIT)
        }
        Who::Pmacctd => {
            let core = spent::children(running.pid())?.into_iter().next().context("pmacctd has ended")?;
            kill_process(Pid::from_raw(core.cast_signed()).context("no process id")?, Signal::INT)?;
            running.wait(LIMIT)
        }
        Who::FlowXdp | Who::Nfpcapd => running.stop(Signal::TERM, LIMIT),
    }
}

/// Whether a process' namespace has a packet socket for an interface's received packets.
fn listens(pid: u32, index: u32) -> Result<bool> {
    // sk RefCnt Type Proto Iface R …; R is 1 once it takes packets.
    let sockets = fs::read_to_string(format!("/proc/{pid}/net/packet")).unwrap_or_default();
    let ours = |line: &str| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        cells.get(4) == Some(&index.to_string().as_str()) && cells.get(5) == Some(&"1")
    };
    Ok(sockets.lines().any(ours))
}
