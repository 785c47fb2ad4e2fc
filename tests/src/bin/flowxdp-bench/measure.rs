//! Rounds in which each program has its turn, and their results.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::load::Load;
use crate::subject::{Kind, Subject};

/// Nanoseconds per packet of one program.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    /// Packets that went through the ring buffer, of all that ran.
    pub(crate) without_slot: u64,
}

impl Measured {
    fn new(name: &'static str, times: Vec<f64>, without_slot: u64) -> Self {
        let Spread { median, least, most } = Spread::of(times);
        Self { name, median, least, most, without_slot }
    }
}

/// The result of several turns.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
        Self { median: at(figures.len() / 2), least: at(0), most: at(figures.len().saturating_sub(1)) }
    }

    pub(crate) fn json(self) -> Value {
        json!({ "median": self.median, "least": self.least, "most": self.most })
    }
}

/// Programs that were measured together.
pub(crate) struct Group {
    pub(crate) load: Load,
    /// The program that the others are compared with.
    pub(crate) reference: &'static str,
    pub(crate) rounds: u32,
    pub(crate) packets: u32,
    pub(crate) measured: Vec<Measured>,
}

impl Group {
    /// Nanoseconds that a program costs over parsing and passing.
    pub(crate) fn over_parse(&self, one: &Measured) -> f64 {
        one.median - self.median("parse and pass")
    }

    /// The same as a fraction of the reference's cost.
    pub(crate) fn ratio(&self, one: &Measured) -> f64 {
        self.over_parse(one) / (self.median(self.reference) - self.median("parse and pass"))
    }

    fn median(&self, name: &str) -> f64 {
        self.measured.iter().find(|one| one.name == name).map_or(f64::NAN, |one| one.median)
    }
}

/// The flow table has a partition for one CPU, and caches do not follow to another.
pub(crate) fn stay_on_this_cpu() -> Result<()> {
    move_to(sched_getcpu())
}

/// Goes to a CPU, and stays there.
pub(crate) fn move_to(cpu: usize) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).with_context(|| format!("moving to CPU {cpu}"))
}

/// Programs by their names in the tables.
pub(crate) type Kinds = Vec<(&'static str, Kind)>;

/// Measures programs with a number of flows.
pub(crate) fn hits(
    load: Load,
    reference: &'static str,
    kinds: Kinds,
    rounds: u32,
    packets: u32,
) -> Result<Group> {
    let mut subjects = Vec::new();
    for (name, kind) in kinds {
        let mut subject = Subject::new(kind, load).with_context(|| name)?;
        // Every flow once, in order; then as they are measured.
        subject.run(load.flows).with_context(|| name)?;
        subjects.push((name, subject));
    }
    turns(load, reference, subjects, rounds, packets)
}

/// Lets programs that are ready take turns.
pub(crate) fn turns(
    load: Load,
    reference: &'static str,
    subjects: Vec<(&'static str, Subject)>,
    rounds: u32,
    packets: u32,
) -> Result<Group> {
    let mut subjects: Vec<_> =
        subjects.into_iter().map(|(name, subject)| (name, subject, Vec::new())).collect();
    for round in 0..=rounds {
        for (name, subject, times) in &mut subjects {
            let start = cpu_time();
            subject.run(packets).with_context(|| *name)?;
            let time = (cpu_time() - start).as_secs_f64() * 1e9 / f64::from(packets);
            subject.settle();
            // The first one is for the caches.
            if round > 0 {
                times.push(time);
            }
        }
    }
    let measured = subjects.into_iter().map(|(name, subject, times)| {
        let without_slot = subject.check().with_context(|| name)?;
        Ok(Measured::new(name, times, without_slot))
    });
    let measured = measured.collect::<Result<_>>()?;
    Ok(Group { load, reference, rounds, packets, measured })
}

/// Measures programs, their tables empty, with packets that are each the first of its flow.
pub(crate) fn new_flows(load: Load, reference: &'static str, kinds: Kinds, rounds: u32) -> Result<Group> {
    let mut subjects: Vec<_> = kinds.into_iter().map(|(name, kind)| (name, kind, Vec::new(), 0)).collect();
    for round in 0..=rounds {
        for (name, kind, times, without_slot) in &mut subjects {
            let mut subject = Subject::new(*kind, load).with_context(|| *name)?;
            let start = cpu_time();
            subject.run(load.flows).with_context(|| *name)?;
            let time = (cpu_time() - start).as_secs_f64() * 1e9 / f64::from(load.flows);
            *without_slot += subject.check().with_context(|| *name)?;
            if round > 0 {
                times.push(time);
            }
        }
    }
    let measured = subjects.into_iter().map(|(name, _, times, without)| Measured::new(name, times, without));
    Ok(Group { load, reference, rounds, packets: load.flows, measured: measured.collect() })
}

/// Time that this thread had a CPU for: another program's turn is no part of it.
pub(crate) fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}
