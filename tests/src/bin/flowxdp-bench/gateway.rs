//! The gateway part: a Linux router between two veth pairs, with metering off and on, in the terms of RFC 6645.
//!
//! The kernel's generator sends IPv6 packets into a router, which forwards them to a host that takes none.
//! All of it happens on one CPU, one packet after the other, so that nothing is dropped and the rate is the
//! reciprocal of a packet's cost. With metering off a program is attached that passes every packet: without
//! one a veth takes no packets from a generator.
//!
//! - forwarding throughput (RFC 6645, section 4.1): packets a second that come out at the other side, all of them;
//! - flow export rate (section 3.2): data records a second that a collector got.
//!
//! - [`road`]: the namespaces. Here: turns and figures.

mod road;

use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use flowxdp_tests::agent::{Live, last_exported};
use flowxdp_tests::traffic::{Traffic, UDP};
use serde_json::{Value, json};

use self::road::Road;
use crate::measure::Spread;
use crate::process;

/// A router's forwarding rate with metering off and on, and the flow export rate
#[derive(Args)]
pub(crate) struct Options {
    /// Times that each subject has its turn
    #[arg(long, default_value_t = 5, value_parser = crate::some())]
    rounds: u32,
    /// Packets of a turn, at least
    #[arg(long, default_value_t = 2_000_000, value_parser = crate::some())]
    packets: u32,
    /// Flows, one column each: as many as packets are one flow a packet
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 500_000, 1_000_000, 2_000_000], value_parser = crate::some())]
    flows: Vec<u32>,
}

/// One turn with the meter.
struct Turn {
    /// Seconds without the meter and with it, for the same packets.
    off: f64,
    on: f64,
    /// Data records that came, and seconds until the last one was handed over.
    records: u64,
    exported: f64,
    /// Seconds of processor time that the agent needed.
    agent: f64,
    /// Packets in no record.
    lost: u64,
}

/// One number of flows.
struct Column {
    traffic: Traffic,
    turns: Vec<Turn>,
}

/// Measures, and prints with `tables`.
pub(crate) fn run(options: &Options, tables: bool) -> Result<Value> {
    let road = Road::new()?;
    let columns = options.flows.iter().map(|&flows| {
        let rounds = u64::from(options.packets.div_ceil(flows));
        let traffic =
            Traffic { flows, packets: rounds * u64::from(flows), ipv6: true, protocol: UDP, length: 64 };
        Column { traffic, turns: Vec::new() }
    });
    let mut columns: Vec<Column> = columns.collect();
    // The first round warms up and does not count.
    for round in 0..=options.rounds {
        for column in &mut columns {
            let turn = turn(&road, &column.traffic)?;
            if round > 0 {
                column.turns.push(turn);
            }
        }
        eprintln!("gateway: round {round} of {}", options.rounds);
    }
    if tables {
        print!("{}", text(&columns));
    }
    Ok(json(&columns))
}

fn turn(road: &Road, traffic: &Traffic) -> Result<Turn> {
    let off = {
        let _passing = road.pass()?;
        seconds(|| road.forward(traffic))?.0
    };
    let receiver = road.receiver()?;
    let url = format!("udp://127.0.0.1:{}", receiver.port());
    // Nothing is due before the end: each flow makes one record.
    let times = [
        "--idle-timeout",
        "1h",
        "--active-timeout",
        "1h",
        "--options-interval",
        "1h",
        "--pace",
        "0",
        "--flows",
        "1000",
    ];
    let mut arguments = vec!["--interface", road::METERED, "--collector", &url, "--flows6", "1000000"];
    arguments.extend(times);
    let live = Live::start(road.router(), &arguments)?;
    let before = process::cpu_time(live.pid())?;
    let (on, ()) = seconds(|| road.forward(traffic))?;
    let books = live.status()?;
    books.balance()?;
    ensure!(books.seen.packets == traffic.packets, "seen {:?} of {traffic:?}", books.seen);
    let lost = books.lost_total().packets;
    let agent = process::cpu_time(live.pid())?.saturating_sub(before).as_secs_f64();
    let (exported, ended) = seconds(|| live.stop())?;
    ensure!(ended.code == Some(0), "the agent failed: {}", ended.stderr);
    let (came, sent) = (receiver.finish()?.total, last_exported(&ended, &url)?);
    ensure!(came == sent, "the agent says it exported {sent:?}, and {came:?} came");
    ensure!(came.packets + lost == traffic.packets, "{came:?} came of {traffic:?}, with {lost} packets lost");
    Ok(Turn { off, on, records: came.records, exported, agent, lost })
}

fn seconds<T>(what: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let begun = Instant::now();
    let result = what()?;
    Ok((begun.elapsed().as_secs_f64(), result))
}

/// A figure over all turns.
fn spread(column: &Column, figure: impl Fn(&Turn) -> f64) -> Spread {
    Spread::of(column.turns.iter().map(figure).collect())
}

/// A column's figures: rate off and on (million packets a second), their ratio, records a second, the
/// agent's share of one CPU, and packets lost in all turns.
struct Figures {
    off: Spread,
    on: Spread,
    ratio: Spread,
    records: Spread,
    agent: Spread,
    lost: u64,
}

fn figures(column: &Column) -> Figures {
    let packets = column.traffic.packets as f64 / 1e6;
    Figures {
        off: spread(column, |turn| packets / turn.off),
        on: spread(column, |turn| packets / turn.on),
        ratio: spread(column, |turn| turn.off / turn.on),
        records: spread(column, |turn| turn.records as f64 / turn.exported / 1e6),
        agent: spread(column, |turn| turn.agent / turn.on),
        lost: column.turns.iter().map(|turn| turn.lost).sum(),
    }
}

fn text(columns: &[Column]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "flows",
        "off, Mpps",
        "on, Mpps",
        "on/off",
        "from",
        "to",
        "M records/s at the end",
        "agent, CPUs",
        "lost",
    ]);
    for column in columns {
        let it = figures(column);
        let two = |figure: f64| format!("{figure:.2}");
        table.add_row([
            column.traffic.flows.to_string(),
            two(it.off.median),
            two(it.on.median),
            two(it.ratio.median),
            two(it.ratio.least),
            two(it.ratio.most),
            two(it.records.median),
            two(it.agent.median),
            it.lost.to_string(),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let rounds = columns.first().map_or(0, |column| column.turns.len());
    format!("Gateway, IPv6 of 64 octets on one CPU; medians of {rounds} rounds\n{table}\n")
}

fn json(columns: &[Column]) -> Value {
    let one = |column: &Column| {
        let it = figures(column);
        json!({
            "flows": column.traffic.flows,
            "packets": column.traffic.packets,
            "million_packets_per_second_off": it.off.json(),
            "million_packets_per_second_on": it.on.json(),
            "on_of_off": it.ratio.json(),
            "million_records_per_second": it.records.json(),
            "agent_cpus": it.agent.json(),
            "lost_packets": it.lost,
        })
    };
    columns.iter().map(one).collect()
}
