//! Programs of others on the same interface and with the same load, beside ours: packets accounted for, and
//! their cost.
//!
//! A program that listens has its packets copied in the kernel, on the path, and does the rest in a process. Ours
//! does nearly all of it on the path. So both are shown: packets a second of the path, and processor time of
//! the process.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flowxdp_tests::books::Count;
use flowxdp_tests::generator::cpus;
use flowxdp_tests::traffic::{Traffic, UDP};

use super::listener::{Listener, Who};
use super::path::{self, Path, Verdict};
use super::{Options, rates};
use crate::load::LENGTH;
use crate::measure::{Spread, stay_on_this_cpu};

pub(crate) const NOBODY: &str = "nobody";

const SUBJECTS: [(&str, Option<Who>); 5] = [
    (NOBODY, None),
    (rates::METER, Some(Who::FlowXdp)),
    ("softflowd", Some(Who::Softflowd)),
    ("pmacctd nfprobe", Some(Who::Pmacctd)),
    ("nfpcapd", Some(Who::Nfpcapd)),
];

/// Bursts of a second where the sender waits in between, and how many seconds it sends.
const BURSTS: u32 = 20;
const SECONDS: u32 = 3;

/// The traffic.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) traffic: Traffic,
    /// Packets a second, in bursts; none: as fast as the path takes them.
    pub(super) rate: Option<u32>,
}

/// One turn.
struct Turn {
    /// Packets that were accounted for.
    packets: u64,
    /// Nanoseconds on the path, of each packet.
    path: f64,
    /// Processor time of the process.
    cpu: Duration,
}

/// One program's turns.
pub(super) struct Measured {
    pub(super) name: &'static str,
    turns: Vec<Turn>,
}

/// All programs with one load.
pub(super) struct Group {
    pub(super) load: Load,
    pub(super) measured: Vec<Measured>,
}

impl Measured {
    fn spread(&self, figure: impl Fn(&Turn) -> f64) -> Spread {
        Spread::of(self.turns.iter().map(figure).collect())
    }

    pub(super) fn rounds(&self) -> usize {
        self.turns.len()
    }

    /// The part of the packets sent that is in its records.
    pub(super) fn share(&self, load: &Load) -> Spread {
        self.spread(|turn| turn.packets as f64 / load.traffic.packets as f64)
    }

    /// Nanoseconds of the process, for each packet that it accounted for.
    pub(super) fn process(&self) -> Spread {
        self.spread(|turn| turn.cpu.as_secs_f64() * 1e9 / turn.packets as f64)
    }

    /// Nanoseconds of the path, for each packet sent.
    pub(super) fn path(&self) -> Spread {
        self.spread(|turn| turn.path)
    }
}

impl Group {
    /// Nanoseconds of path and process beyond a program that only passes, for each packet that is accounted
    /// for: medians.
    pub(super) fn whole(&self, one: &Measured) -> f64 {
        let nobody = self.measured.iter().find(|one| one.name == NOBODY);
        let nobody = nobody.map_or(f64::NAN, |nobody| nobody.path().median);
        (one.path().median - nobody) / one.share(&self.load).median + one.process().median
    }
}

/// The loads: each number of flows as fast as it goes, and the first one at a rate that leaves time.
fn loads(options: &Options) -> Vec<Load> {
    let load = |flows: u32, rate: Option<u32>, packets: u32| {
        let packets = u64::from(packets.div_ceil(flows)) * u64::from(flows);
        let traffic = Traffic { flows, packets, ipv6: false, protocol: UDP, length: LENGTH };
        Load { traffic, rate }
    };
    let mut loads: Vec<_> = options.flows.iter().map(|&flows| load(flows, None, options.sent)).collect();
    loads.extend(options.flows.first().map(|&flows| load(flows, Some(options.rate), options.rate * SECONDS)));
    loads
}

/// Measures everybody with every load.
pub(super) fn measure(path: &Path, options: &Options) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for load in loads(options) {
        let mut measured = SUBJECTS.map(|(name, _)| Measured { name, turns: Vec::new() });
        for round in 1..=options.turns {
            for (measured, (name, who)) in measured.iter_mut().zip(SUBJECTS) {
                let turn = match who {
                    None => Turn { packets: 0, path: send(path, &load)?, cpu: Duration::ZERO },
                    Some(who) => turn(path, &load, who, options.table).context(name)?,
                };
                measured.turns.push(turn);
            }
            eprintln!("live, beside others: round {round} of {}", options.turns);
        }
        groups.push(Group { load, measured: measured.into() });
    }
    Ok(groups)
}

fn turn(path: &Path, load: &Load, who: Who, table: u32) -> Result<Turn> {
    let traffic = &load.traffic;
    // The flow table has a part for each CPU, and packets come on one of them.
    let parts = if who == Who::FlowXdp { u32::try_from(cpus::online()?.len())? } else { 1 };
    let flows = table.max(traffic.flows.saturating_mul(2)).saturating_mul(parts);
    let listener = Listener::start(who, path.netns(), flows)?;
    let before = listener.spent()?;
    let time = send(path, load)?;
    listener.rest()?;
    let sent = Count { packets: traffic.packets, octets: traffic.octets() };
    let asked = listener.check(sent)?;
    let (counted, cpu) = listener.stop()?;
    ensure!(counted.packets <= sent.packets, "{} packets in records, of {}", counted.packets, sent.packets);
    if who == Who::FlowXdp {
        ensure!(counted == sent, "{counted:?} in records, of {sent:?}");
    }
    Ok(Turn { packets: counted.packets, path: time, cpu: cpu.saturating_sub(before + asked) })
}

/// Sends all of it from one CPU, flows at random; gives the nanoseconds of each packet.
fn send(path: &Path, load: &Load) -> Result<f64> {
    let traffic = &load.traffic;
    let time = path.netns().inside(|| {
        stay_on_this_cpu()?;
        match load.rate {
            None => path.send(traffic, 1, Verdict::Pass),
            Some(rate) => path.checked(traffic, Verdict::Pass, || in_bursts(traffic, rate)),
        }
    })?;
    Ok(time.as_secs_f64() * 1e9 / traffic.packets as f64)
}

fn in_bursts(traffic: &Traffic, rate: u32) -> Result<Duration> {
    let (begun, mut sent, mut time) = (Instant::now(), 0, Duration::ZERO);
    for order in 1.. {
        let packets = u64::from(rate.div_ceil(BURSTS)).min(traffic.packets - sent);
        if packets == 0 {
            break;
        }
        time += path::burst(&Traffic { packets, ..*traffic }, order)?;
        sent += packets;
        let due = begun + Duration::from_secs_f64(sent as f64 / f64::from(rate));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(time)
}
