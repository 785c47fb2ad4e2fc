//! The live path: a veth pair, native XDP on the receiving end, and the kernel's generator on the other.
//!
//! All of it happens on one CPU, one batch of packets after the other, so that nothing is dropped and the
//! rate is the reciprocal of a packet's cost: to make, to send, to receive and to meter. Flows come at
//! random.
//!
//! - [`path`]: the pair, and the kernel's counters there. [`subject`]: the programs. [`rates`]: their turns.
//! - [`others`]: the agent, beside programs of others that listen there: [`listener`], [`programs`], and
//!   their cost, [`spent`].

mod listener;
mod others;
mod path;
mod programs;
pub(crate) mod rates;
mod report;
mod spent;
mod subject;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use self::path::Path;

/// Packets a second of a veth pair with and without metering
#[derive(Args)]
pub(crate) struct Options {
    /// Times that each subject has its turn
    #[arg(long, default_value_t = 7, value_parser = crate::some())]
    rounds: u32,
    /// Packets of a turn, at least
    #[arg(long, default_value_t = 2_000_000, value_parser = crate::some())]
    packets: u32,
    /// Numbers of flows
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 500_000], value_parser = crate::some())]
    flows: Vec<u32>,
    /// Flows that the tables have room for
    #[arg(long, default_value_t = 1_000_000, value_parser = crate::some())]
    table: u32,
    /// Times that each program has its turn, of ours and of others that listen
    #[arg(long, default_value_t = 3, value_parser = crate::some())]
    turns: u32,
    /// Packets of such a turn, at least
    #[arg(long, default_value_t = 6_000_000, value_parser = crate::some())]
    sent: u32,
    /// Packets a second where the sender waits
    #[arg(long, default_value_t = 100_000, value_parser = crate::some())]
    rate: u32,
    /// Leave other programs out
    #[arg(long)]
    pub(crate) alone: bool,
}

/// Measures, and prints with `tables`.
pub(crate) fn run(options: &Options, tables: bool) -> Result<Value> {
    let path = Path::new()?;
    let mut groups = Vec::new();
    for &flows in &options.flows {
        let group = rates::group(&path, options, flows)?;
        if tables {
            println!("{}", report::text(&group));
        }
        groups.push(group);
    }
    let mut all = json!({ "rates": groups.iter().map(report::json).collect::<Vec<_>>() });
    if !options.alone {
        let groups = others::measure(&path, options)?;
        if tables {
            groups.iter().for_each(|group| println!("{}", report::others_text(group)));
        }
        all["others"] = groups.iter().map(report::others_json).collect();
    }
    Ok(all)
}
