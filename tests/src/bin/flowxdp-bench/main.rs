//! `cargo xtask bench`: nanoseconds per packet of the XDP program that is shipped, beside others; and with
//! `export`, records a second of what comes behind it: [`export`].
//!
//! Every program runs by BPF_PROG_TEST_RUN on one CPU, behind a program that makes each packet one of a
//! random flow. The programs take turns, round after round, so that whatever else the machine does meets
//! all of them; the medians are shown. What parsing and passing costs is subtracted: the rest is metering.
//!
//! The processor works ahead: while one packet waits for its line of memory, it begins with the next, the
//! more so the shorter the program. A driver does much between two packets; `--apart` comes near to that.
//!
//! - [`subject`]: the programs, and what they must have counted in the end.
//! - [`measure`]: the rounds.
//! - [`worst`]: the shipped program where each window of the table is full.
//! - [`cost`]: what the verifier and the compiler say of the shipped program.
//! - [`report`]: the table, or JSON.
#![deny(unsafe_code)]

use anyhow::Result;
use clap::{Parser, Subcommand, builder::RangedU64ValueParser};

mod cost;
mod export;
mod measure;
mod report;
mod subject;
mod worst;

/// Nanoseconds per packet of the XDP program that is shipped, beside others.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Options {
    #[command(subcommand)]
    part: Option<Part>,
    /// Numbers of flows to measure with
    #[arg(long, value_delimiter = ',', default_values_t = [1, 1_000, 100_000, 500_000], value_parser = some())]
    flows: Vec<u32>,
    /// Flows that the tables have room for
    #[arg(long, default_value_t = 1_000_000, value_parser = some())]
    table: u32,
    /// Times that each program has its turn
    #[arg(long, default_value_t = 9, value_parser = some())]
    rounds: u32,
    /// Packets of a turn
    #[arg(long, default_value_t = 1_000_000, value_parser = some())]
    packets: u32,
    /// Read the clock between packets, so that their reads of memory do not overlap
    #[arg(long)]
    apart: bool,
    /// Measure the kernel's other hash maps too
    #[arg(long)]
    all: bool,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Part {
    Export(export::Options),
}

/// Nothing can be measured with none.
fn some() -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(1..)
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(Part::Export(options)) = &options.part {
        return export::run(options);
    }
    measure::stay_on_this_cpu()?;
    let cost = cost::of_shipped()?;
    let (mut groups, mut worst) = (Vec::new(), Vec::new());
    for ipv6 in [false, true] {
        for &flows in &options.flows {
            let load = subject::Load { flows, table: options.table.max(flows), ipv6, apart: options.apart };
            let group = measure::group(load, options.all, options.rounds, options.packets)?;
            if !options.json {
                println!("{}", report::table(&group));
            }
            groups.push(group);
        }
        // A window of slots for each flow must fit beside the others'.
        for &flows in options.flows.iter().filter(|flows| **flows > 1 && **flows <= options.table / 10) {
            let load = subject::Load { flows, table: options.table, ipv6, apart: options.apart };
            let group = worst::group(load, options.rounds, options.packets)?;
            if !options.json {
                println!("The worst window. {}", report::table(&group));
            }
            worst.push(group);
        }
    }
    if options.json {
        println!("{:#}", report::json(&cost, &groups, &worst));
    } else {
        println!("{}", report::cost(&cost));
    }
    Ok(())
}
