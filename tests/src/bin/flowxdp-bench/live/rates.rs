//! Rounds in which each program has its turn on the interface.

use anyhow::{Context, Result};
use flowxdp_tests::generator::IN_TURN;
use flowxdp_tests::traffic::{Traffic, UDP};

use super::Options;
use super::path::{METERED, Path, Verdict};
use super::subject::{Subject, What};
use crate::load::LENGTH;
use crate::measure::{Spread, stay_on_this_cpu};

/// The names that others look for.
pub(crate) const PARSE: &str = "parse and pass";
pub(crate) const PARSE_DROP: &str = "parse and drop";
pub(crate) const METER: &str = "flowxdp";
pub(crate) const METER_DROP: &str = "flowxdp, then drop";
pub(crate) const PEER_DROP: &str = "LRU_PERCPU_HASH, then drop";

const PASS: &str = "pass";
const DROP: &str = "drop";

const SUBJECTS: [(&str, What, Verdict); 9] = [
    ("no program", What::Nothing, Verdict::Pass),
    (PASS, What::Empty, Verdict::Pass),
    (PARSE, What::Parse, Verdict::Pass),
    (METER, What::Shipped, Verdict::Pass),
    ("LRU_PERCPU_HASH", What::Peer, Verdict::Pass),
    (DROP, What::Empty, Verdict::Drop),
    (PARSE_DROP, What::Parse, Verdict::Drop),
    (METER_DROP, What::Shipped, Verdict::Drop),
    (PEER_DROP, What::Peer, Verdict::Drop),
];

/// One program's figures.
pub(super) struct Measured {
    pub(super) name: &'static str,
    /// Nanoseconds a packet, of each round.
    times: Vec<f64>,
    /// The program of the same verdict that only parses.
    pub(super) base: &'static str,
    pub(super) without_slot: u64,
}

/// The figures of one number of flows.
pub(super) struct Group {
    pub(super) traffic: Traffic,
    pub(super) measured: Vec<Measured>,
}

impl Measured {
    pub(super) fn nanoseconds(&self) -> Spread {
        Spread::of(self.times.clone())
    }

    /// Million packets a second.
    pub(super) fn rate(&self) -> Spread {
        Spread::of(self.times.iter().map(|time| 1e3 / time).collect())
    }
}

impl Group {
    /// A metered packet's cost, nanoseconds, by the differences of medians.
    pub(super) fn parts(&self) -> [(&'static str, f64); 4] {
        let time = |name| {
            let one = self.measured.iter().find(|one| one.name == name);
            one.map_or(f64::NAN, |one| one.nanoseconds().median)
        };
        [
            ("generator and interface", time(DROP)),
            ("parsing", time(PARSE_DROP) - time(DROP)),
            ("metering", time(METER_DROP) - time(PARSE_DROP)),
            ("kernel's stack, if passed", time(PASS) - time(DROP)),
        ]
    }

    pub(super) fn rounds(&self) -> usize {
        self.measured.first().map_or(0, |one| one.times.len())
    }

    /// A program's rate as a part of that of its base, round by round.
    pub(super) fn of_base(&self, one: &Measured) -> Spread {
        let base = self.measured.iter().find(|other| other.name == one.base);
        let base = base.map_or(&[][..], |base| &base.times);
        Spread::of(base.iter().zip(&one.times).map(|(base, time)| base / time).collect())
    }
}

/// Measures every program with a number of flows.
pub(super) fn group(path: &Path, options: &Options, flows: u32) -> Result<Group> {
    let rounds = u64::from(options.packets.div_ceil(flows));
    let packets = rounds * u64::from(flows);
    let traffic = Traffic { flows, packets, ipv6: false, protocol: UDP, length: LENGTH };
    let measured = path.netns().inside(|| {
        stay_on_this_cpu()?;
        turns(path, options, &traffic)
    })?;
    Ok(Group { traffic, measured })
}

fn turns(path: &Path, options: &Options, traffic: &Traffic) -> Result<Vec<Measured>> {
    let index = path.netns().index(METERED)?;
    let mut subjects = Vec::new();
    for (name, what, verdict) in SUBJECTS {
        let subject = Subject::new(what, verdict, index, traffic.flows, options.table.max(traffic.flows));
        let base = if verdict == Verdict::Drop { PARSE_DROP } else { PARSE };
        let measured = Measured { name, times: Vec::new(), base, without_slot: 0 };
        subjects.push((subject.context(name)?, measured));
    }
    // Each flow once, in turn, so that tables hold as many as wanted.
    let once = Traffic { packets: u64::from(traffic.flows), ..*traffic };
    for (subject, measured) in &mut subjects {
        subject.turn(path, &once, IN_TURN).context(measured.name)?;
    }
    for round in 1..=options.rounds {
        for (subject, measured) in &mut subjects {
            let time = subject.turn(path, traffic, round).context(measured.name)?;
            measured.times.push(time.as_secs_f64() * 1e9 / traffic.packets as f64);
        }
        eprintln!("live, {} flows: round {round} of {}", traffic.flows, options.rounds);
    }
    let checked = subjects.into_iter().map(|(subject, measured)| {
        let without_slot = subject.check().context(measured.name)?;
        Ok(Measured { without_slot, ..measured })
    });
    checked.collect()
}
