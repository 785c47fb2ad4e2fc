//! The agent: sweeps the table, delivers retired slots, reads the books; and is killed at any step.
//!
//! `retire` and, in [`ring`], `Spill` are the agent's own code. The rest is a copy.

use std::convert::Infallible;

use flowxdp_core::{
    metering::partitions::Partitions,
    metering::retire::{self, Retirement, Then, in_table},
    metering::slots::FlowCounters,
    record::{EndReason, Total},
};

use crate::{
    cell::{CPUS, Cell, Op},
    claims::Shared as SharedClaims,
    journal::{self, Handed, Kept},
    memory::encode,
    process::{Access, Go},
    ring,
    scenario::{Broken, Scenario},
    table::{NOW, Shared, TIMEOUTS},
};

#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// After a kill.
    Recover,
    Sweep,
    /// To this collector, and those behind it.
    Deliver(usize),
    Books,
}

/// Where the agent rests.
#[derive(Clone, Debug)]
pub(crate) struct At {
    stage: Stage,
    /// Looks to come; the last one is after the end of all traffic.
    sweeps: u8,
    /// Messages that may yet be refused.
    refusals: u8,
    kept: Vec<Kept>,
}

impl At {
    pub(crate) const fn start(scenario: &Scenario) -> Self {
        Self {
            stage: Stage::Sweep,
            sweeps: scenario.sweeps + 1,
            refusals: scenario.refusals,
            kept: Vec::new(),
        }
    }

    /// The next agent's start.
    pub(crate) fn recover(scenario: &Scenario) -> Self {
        Self { stage: Stage::Recover, sweeps: 1, ..Self::start(scenario) }
    }

    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        into.push(match self.stage {
            Stage::Recover => 0,
            Stage::Sweep => 1,
            Stage::Books => 2,
            Stage::Deliver(collector) => 3 + u8::try_from(collector).expect("few collectors"),
        });
        into.push(self.sweeps);
        into.push(self.refusals);
        into.push(u8::try_from(self.kept.len()).expect("few slots"));
        for kept in &self.kept {
            for word in [kept.slot as u64, kept.packets, kept.octets, kept.has.into()] {
                encode(word, into);
            }
        }
    }
}

/// Goes on from `at` to the next resting place.
pub(crate) fn run(scenario: &Scenario, at: &At, access: &mut Access<'_>) -> Go<Option<At>> {
    let (sweeps, mut refusals) = (at.sweeps, at.refusals);
    let (stage, sweeps, kept) = match at.stage {
        Stage::Recover => (Stage::Deliver(0), sweeps, recover(scenario, access)?),
        Stage::Sweep => (Stage::Deliver(0), sweeps - 1, sweep(scenario, sweeps == 1, access)?),
        Stage::Deliver(collector) if collector < scenario.collectors => {
            let mut kept = at.kept.clone();
            let next = match journal::hand_over(scenario, collector, &mut kept, refusals > 0, access)? {
                Handed::None => collector + 1,
                Handed::Some => collector,
                Handed::Refused => {
                    refusals -= 1;
                    collector
                }
            };
            (Stage::Deliver(next), sweeps, kept)
        }
        Stage::Deliver(_) if scenario.books => (Stage::Books, sweeps, Vec::new()),
        Stage::Deliver(_) if sweeps == 0 => return Ok(None),
        Stage::Deliver(_) => (Stage::Sweep, sweeps, Vec::new()),
        Stage::Books => {
            for collector in 0..scenario.collectors {
                books(scenario, collector, access)?;
            }
            if sweeps == 0 {
                return Ok(None);
            }
            (Stage::Sweep, sweeps, Vec::new())
        }
    };
    Ok(Some(At { stage, sweeps, refusals, kept }))
}

fn grace(access: &mut Access<'_>) -> Go<()> {
    access.step(Op::GraceBegin)?;
    access.step(Op::GraceEnd)?;
    Ok(())
}

/// One sweep of the tables: due slots are retired and, after a grace period, read.
fn sweep(scenario: &Scenario, last: bool, access: &mut Access<'_>) -> Go<Vec<Kept>> {
    if last {
        access.step(Op::Detached)?;
        grace(access)?;
    }
    if scenario.spill_slots > 0 {
        ring::drain(scenario, access)?;
    }
    if scenario.hand_over && !last {
        hand_over(scenario, access)?;
    }
    let mut kept = Vec::new();
    let kernel = Shared::kernel(scenario, access);
    retire(scenario, last, kernel, !scenario.is(Broken::NoGrace), &mut kept)?;
    retire(scenario, last, Shared::spill(scenario, access), false, &mut kept)?;
    Ok(kept)
}

/// A partition changes hands, by the agent's own code.
fn hand_over(scenario: &Scenario, access: &mut Access<'_>) -> Go<()> {
    let mut claims = SharedClaims::new(access);
    let wait = |claims: &mut SharedClaims<'_, '_>| {
        if !scenario.is(Broken::NoGraceBeforeGift) {
            claims.step(Op::GraceBegin);
            claims.step(Op::GraceEnd);
        }
        Ok(())
    };
    let Ok::<_, Infallible>(_) = Partitions::new(1).hand_over(&mut claims, wait);
    claims.end()
}

/// The end of slots of one table, by the agent's own code.
fn retire(
    scenario: &Scenario,
    last: bool,
    mut table: Shared<'_, '_>,
    grace: bool,
    kept: &mut Vec<Kept>,
) -> Go<()> {
    let forced = (last || !scenario.undecided).then_some(EndReason::Forced);
    let mut retirement = Retirement::default();
    if retirement.mark(&mut table, NOW, TIMEOUTS, forced, usize::MAX) > 0 && grace {
        table.step(Op::GraceBegin);
        table.step(Op::GraceEnd);
    }
    let first = table.number(0);
    retirement.collect(&mut table, Then::Keep, |index, part, _| kept.push(keep(first + index, &part, 0)));
    table.end()
}

fn keep(slot: usize, part: &FlowCounters, has: u32) -> Kept {
    Kept { slot, packets: part.packets, octets: part.octets, has }
}

/// The next agent's first steps. Gives the slots that the one before had retired and not delivered to all.
fn recover(scenario: &Scenario, access: &mut Access<'_>) -> Go<Vec<Kept>> {
    if scenario.is(Broken::RetireFirst) {
        retire(scenario, true, Shared::kernel(scenario, access), true, &mut Vec::new())?;
    }
    for collector in 0..scenario.collectors {
        journal::recover(scenario, collector, access)?;
    }
    if !scenario.is(Broken::NoGraceAtAdoption) {
        grace(access)?;
    }
    let known = if scenario.is(Broken::ForgetWhoHas) { 0 } else { journal::all(scenario) };
    let mut kept = Vec::new();
    for spill in [false, true] {
        let mut table =
            if spill { Shared::spill(scenario, access) } else { Shared::kernel(scenario, access) };
        let first = table.number(0);
        retire::recover(&mut table, known, NOW, TIMEOUTS, |index, has, part, _| {
            kept.push(keep(first + index, &part, has));
        });
        table.end()?;
    }
    let all = journal::all(scenario);
    let (mut done, kept): (Vec<Kept>, Vec<Kept>) = kept.into_iter().partition(|kept| kept.has == all);
    journal::let_go(scenario, 0, &mut done.iter_mut().collect::<Vec<_>>(), access)?;
    Ok(kept)
}

/// `seen` of all CPUs, packets and octets.
fn seen(access: &mut Access<'_>) -> Go<[u64; 2]> {
    let mut seen = [0, 0];
    for cpu in 0..CPUS {
        seen[0] += access.step(Op::Load(Cell::SeenPackets(cpu)))?;
        seen[1] += access.step(Op::Load(Cell::SeenOctets(cpu)))?;
    }
    Ok(seen)
}

/// A snapshot of a collector's books: `seen = exported + in table`, between two readings of `seen`.
///
/// In the table are, for this collector, the packets that it was not given.
fn books(scenario: &Scenario, collector: usize, access: &mut Access<'_>) -> Go<()> {
    let before = seen(access)?;
    if !scenario.is(Broken::NoGraceInBooks) {
        grace(access)?;
    }
    if scenario.spill_slots > 0 {
        ring::drain(scenario, access)?;
    }
    let mut in_tables = Total::default();
    for spill in [false, true] {
        let mut table =
            if spill { Shared::spill(scenario, access) } else { Shared::kernel(scenario, access) };
        table.collector = Some(collector);
        in_tables += in_table(&table);
        table.end()?;
    }
    let exported = journal::exported(access, collector)?;
    if !scenario.is(Broken::NoGraceInBooks) {
        grace(access)?;
    }
    let after = seen(access)?;
    let sum = [exported[0] + in_tables.packets, exported[1] + in_tables.octets];
    access.judge_books(before, sum, after);
    Ok(())
}
