//! The replay part: how long the agent needs for captures of as many packets in more and more time.
//!
//! Timeouts go by the capture's clock, so a second of it without packets must cost nothing, and one with a
//! packet little more than the packet. The same flows send in turn, so that records are few in each capture.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use flowxdp_tests::agent::{LIMIT, books, replay};
use flowxdp_tests::pcap::Writer;
use flowxdp_tests::traffic::{Traffic, UDP};
use flowxdp_tests::udp::Inbox;
use serde_json::{Value, json};

use crate::measure::Spread;

/// 2023-11-14, in microseconds.
const START: u64 = 1_700_000_000_000_000;

/// How long the agent needs for captures of as many packets in more and more time
#[derive(Args)]
pub(crate) struct Options {
    /// Times that each capture has its turn
    #[arg(long, default_value_t = 3, value_parser = crate::some())]
    rounds: u32,
    /// Packets of each capture
    #[arg(long, default_value_t = 100_000, value_parser = crate::some())]
    packets: u32,
    /// Flows that send in turn; at a packet in 8.6 s each of ten lives on for a day
    #[arg(long, default_value_t = 10, value_parser = crate::some())]
    flows: u32,
    /// Seconds between first and last packet, the shortest first
    #[arg(long, value_delimiter = ',', default_values_t = [100, 3_600, 86_400], value_parser = crate::some())]
    seconds: Vec<u32>,
}

/// Measures; prints a table if asked to.
pub(crate) fn run(options: &Options, tables: bool) -> Result<Value> {
    let directory = tempfile::tempdir()?;
    let packets = u64::from(options.packets / options.flows * options.flows);
    let traffic = Traffic { flows: options.flows, packets, ipv6: false, protocol: UDP, length: 60 };
    let file = |seconds: u32| directory.path().join(format!("{seconds}.pcap"));
    for &seconds in &options.seconds {
        capture(&file(seconds), &traffic, seconds)?;
    }
    let mut turns = vec![Vec::new(); options.seconds.len()];
    for round in 1..=options.rounds {
        for (turns, &seconds) in turns.iter_mut().zip(&options.seconds) {
            turns.push(turn(&file(seconds), packets)?.as_secs_f64());
        }
        eprintln!("replay: round {round} of {}", options.rounds);
    }
    let spreads: Vec<Spread> = turns.into_iter().map(Spread::of).collect();
    let first = spreads.first().map_or(1.0, |spread| spread.median);
    let rows: Vec<(u32, &Spread, f64)> = options
        .seconds
        .iter()
        .zip(&spreads)
        .map(|(seconds, spread)| (*seconds, spread, spread.median / first))
        .collect();
    if tables {
        print!("{}", table(packets, &rows));
    }
    let measured: Vec<Value> = rows
        .iter()
        .map(|(seconds, spread, ratio)| json!({ "seconds": seconds, "took": spread.median, "ratio": ratio }))
        .collect();
    Ok(json!({ "packets": packets, "flows": options.flows, "measured": measured }))
}

fn capture(path: &Path, traffic: &Traffic, seconds: u32) -> Result<()> {
    let mut writer = Writer::create(path)?;
    for packet in 0..traffic.packets {
        let flow = u32::try_from(packet % u64::from(traffic.flows))?;
        let time = START + packet * u64::from(seconds) * 1_000_000 / traffic.packets;
        writer.frame(time, &traffic.frame(flow))?;
    }
    writer.finish()
}

/// One replay, from its start to its end; every packet must be exported.
fn turn(file: &Path, packets: u64) -> Result<Duration> {
    let inbox = Inbox::new()?;
    let url = format!("udp://127.0.0.1:{}", inbox.port());
    let begun = Instant::now();
    let (_, ended) = inbox.during(replay(&[file], &url, "ipfix")?.start()?, LIMIT)?;
    let took = begun.elapsed();
    let books = books(&ended.success()?)?;
    books.all_exported()?;
    ensure!(books.exported.packets == packets, "{} of {packets} packets exported", books.exported.packets);
    Ok(took)
}

fn table(packets: u64, rows: &[(u32, &Spread, f64)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([format!("{packets} packets in"), "seconds".to_owned(), "of the first".to_owned()]);
    for (seconds, spread, ratio) in rows {
        table.add_row([format!("{seconds} s"), format!("{:.2}", spread.median), format!("{ratio:.2}")]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n")
}
