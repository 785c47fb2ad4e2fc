//! How fast flows leave a full table: ours, in the agent's three steps, and a kernel's hash maps by
//! BPF_MAP_LOOKUP_AND_DELETE_BATCH. And the cost of a sweep without a due slot.
//!
//! Processor time alone counts: while a grace period passes, others have the core. Packets and octets taken
//! out must equal those put in.

mod batch;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use comfy_table::{CellAlignment, Table as Text, presets};
use flowxdp::kernel::grace::Grace;
use flowxdp::kernel::{cpus, load::Loaded};
use flowxdp::metering::meter::Meter;
use flowxdp_core::clock::WallClock;
use flowxdp_core::metering::retire::{Retirement, Table, Then, Timeouts};
use flowxdp_core::record::{EndReason, Total};
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu};
use serde_json::{Value, json};

use crate::load::{Family, LENGTH, Load, Order};
use crate::measure::{Spread, cpu_time, move_to};
use crate::some;
use crate::subject::{Kind, Peer, Subject};

/// Slots swept and flows retired, a second and core
#[derive(Args)]
pub(crate) struct Options {
    /// Flows that the tables have room for, and hold
    #[arg(long, default_value_t = 1_000_000, value_parser = some())]
    table: u32,
    /// Times that each subject has its turn
    #[arg(long, default_value_t = 5, value_parser = some())]
    rounds: u32,
}

/// No flow is ever due.
const NEVER: Timeouts = Timeouts::new(u64::MAX, u64::MAX);

/// The names that others look for.
pub(crate) const LOOK: &str = "a look that finds nothing due";
pub(crate) const RETIRE: &str = "retire: mark, grace period, copy, free";
pub(crate) const HASH: &str = "batch, HASH";

#[derive(Clone, Copy)]
enum What {
    /// The table is empty.
    LookEmpty,
    Look,
    Retire,
    Records,
    /// Half of the flows came on another CPU.
    RecordsOfTwo(usize),
    Batch(Peer),
}

/// The subject of a turn; `other` is a CPU that this thread is not on.
fn subjects(other: Option<usize>) -> Vec<(&'static str, What)> {
    let two = other.map(|cpu| ("into records, half of the flows from another CPU", What::RecordsOfTwo(cpu)));
    let ours = [
        ("a look at an empty table", What::LookEmpty),
        (LOOK, What::Look),
        (RETIRE, What::Retire),
        ("the same, into records", What::Records),
    ];
    let batch = [(HASH, What::Batch(Peer::HASH)), ("batch, PERCPU_HASH", What::Batch(Peer::PERCPU))];
    ours.into_iter().chain(two).chain(batch).collect()
}

/// One turn.
struct Turn {
    /// Slots that were swept, or entries.
    slots: u64,
    flows: u64,
    cpu: Duration,
}

/// Measures; prints a table if asked to.
pub(crate) fn run(options: &Options, tables: bool) -> Result<Value> {
    let here = sched_getcpu();
    let allowed = sched_getaffinity(None).context("the CPUs that this process may use")?;
    let other = (0..CpuSet::MAX_CPU).find(|&cpu| cpu != here && allowed.is_set(cpu));
    move_to(here)?;
    let mut subjects: Vec<_> =
        subjects(other).into_iter().map(|(name, what)| (name, what, Vec::new())).collect();
    // The first round is for the caches.
    for round in 0..=options.rounds {
        for (name, what, turns) in &mut subjects {
            let turn = turn(*what, here, options.table).with_context(|| *name)?;
            if round > 0 {
                turns.push(turn);
            }
        }
    }
    let rows = subjects.into_iter().map(|(name, _, turns)| {
        let rate = |number: fn(&Turn) -> u64| {
            Spread::of(turns.iter().map(|turn| number(turn) as f64 / turn.cpu.as_secs_f64() / 1e6).collect())
        };
        (name, rate(|turn| turn.slots), rate(|turn| turn.flows))
    });
    let rows: Vec<_> = rows.collect();
    if tables {
        println!("{}", text(options, &rows));
    }
    let rows = rows.iter().map(|(name, slots, flows)| {
        let (slots, flows) = (slots.json(), flows.json());
        json!({ "name": name, "million_slots_per_second": slots, "million_flows_per_second": flows })
    });
    let rows: Vec<_> = rows.collect();
    Ok(json!({ "table": options.table, "rounds": options.rounds, "subjects": rows }))
}

fn text(options: &Options, rows: &[(&str, Spread, Spread)]) -> String {
    let mut table = Text::new();
    table.load_style(presets::NOTHING);
    table.set_header(["", "M slots/s and core", "from", "to", "M flows/s and core"]);
    for (name, slots, flows) in rows {
        let [median, least, most] = [slots.median, slots.least, slots.most].map(|rate| format!("{rate:.1}"));
        let flows = if flows.median > 0.0 { format!("{:.1}", flows.median) } else { String::new() };
        table.add_row([(*name).to_owned(), median, least, most, flows]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("Drain, IPv4, {} flows; medians of {} rounds\n{table}\n", options.table, options.rounds)
}

fn turn(what: What, here: usize, flows: u32) -> Result<Turn> {
    let kind = match what {
        What::Batch(peer) => Kind::Peer(peer),
        What::RecordsOfTwo(_) => Kind::ShippedForTwo,
        _ => Kind::Shipped,
    };
    let load = Load { flows, table: flows, family: Family::V4, order: Order::New, apart: false };
    let mut subject = Subject::new(kind, load)?;
    match what {
        What::LookEmpty => {}
        What::RecordsOfTwo(other) => {
            subject.run(flows / 2)?;
            move_to(other)?;
            subject.run(flows - flows / 2)?;
            move_to(here)?;
            subject.check()?;
        }
        _ => {
            subject.run(flows)?;
            subject.check()?;
        }
    }
    let sent = Total { packets: u64::from(flows), octets: u64::from(flows) * u64::from(LENGTH) };
    match what {
        What::LookEmpty | What::Look => look(subject.loaded()?),
        What::Retire => retire(subject.loaded()?, sent),
        What::Records | What::RecordsOfTwo(_) => records(subject.into_loaded()?, sent),
        What::Batch(peer) => emptied(&subject, peer, sent),
    }
}

fn look(loaded: &mut Loaded) -> Result<Turn> {
    let mut retirement = Retirement::default();
    let start = cpu_time();
    let marked = retirement.mark(&mut loaded.flows_v4, 0, NEVER, None, usize::MAX);
    let cpu = cpu_time().saturating_sub(start);
    ensure!(marked == 0, "{marked} flows were due");
    Ok(Turn { slots: Table::len(&loaded.flows_v4) as u64, flows: 0, cpu })
}

fn retire(loaded: &mut Loaded, sent: Total) -> Result<Turn> {
    let (mut retirement, grace) = (Retirement::default(), Grace::new()?);
    let mut total = Total::default();
    let start = cpu_time();
    let forced = Some(EndReason::Forced);
    let marked = retirement.mark(&mut loaded.flows_v4, 0, NEVER, forced, usize::MAX);
    grace.wait()?;
    retirement.collect(&mut loaded.flows_v4, Then::Free, |_, part, _| {
        total += Total { packets: part.packets, octets: part.octets };
    });
    let cpu = cpu_time().saturating_sub(start);
    total += beside(loaded);
    ensure!(total == sent, "retired {total:?} of {sent:?}");
    Ok(Turn { slots: Table::len(&loaded.flows_v4) as u64, flows: marked as u64, cpu })
}

/// As the agent does it, with the events of the ring buffer.
fn records(loaded: Loaded, sent: Total) -> Result<Turn> {
    let slots = Table::len(&loaded.flows_v4) as u64;
    let mut total = beside(&loaded);
    let mut meter = Meter::new(loaded, NEVER)?;
    let start = cpu_time();
    let forced = Some(EndReason::Forced);
    let flows = meter.check(0, WallClock::default(), forced, usize::MAX, |record, _| {
        total += Total { packets: record.packets(), octets: record.octets() };
    })?;
    let cpu = cpu_time().saturating_sub(start);
    ensure!(total == sent, "records hold {total:?} of {sent:?}");
    Ok(Turn { slots, flows: flows as u64, cpu })
}

/// Packets that found no slot.
fn beside(loaded: &Loaded) -> Total {
    let row = flowxdp::kernel::counters::row(&loaded.counters, 0);
    let mut total = row.overflow;
    row.lost.into_iter().for_each(|lost| total += lost);
    total
}

fn emptied(subject: &Subject, peer: Peer, sent: Total) -> Result<Turn> {
    let single = 40;
    let cpus = if peer.is_per_cpu() { cpus::possible()? } else { 1 };
    let sizes = batch::Sizes { key: 20, value: single * cpus as usize, single };
    let map = subject.map(peer)?;
    let start = cpu_time();
    let (entries, total) = batch::empty(map, sizes)?;
    let cpu = cpu_time().saturating_sub(start);
    ensure!(total == sent, "the map held {total:?} of {sent:?}");
    Ok(Turn { slots: entries, flows: entries, cpu })
}
