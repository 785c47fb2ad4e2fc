//! The live path: a veth pair, native XDP on the receiving end, and the kernel's generator on the other.
//!
//! All of it happens on one CPU, one batch of packets after the other, so that nothing is dropped and the rate
//! is the reciprocal of what a packet costs: to make, to send, to receive and to meter. Flows come in turn.
//!
//! - [`path`]: the pair, and what the kernel counts there. [`subject`]: the programs. [`rates`]: their turns.

mod path;
pub(crate) mod rates;
mod report;
mod subject;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use self::path::Path;

/// Packets a second of a veth pair with and without metering
#[derive(Args)]
pub(crate) struct Options {
    /// Times that each subject has its turn
    #[arg(long, default_value_t = 9, value_parser = crate::some())]
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
    Ok(json!({ "rates": groups.iter().map(report::json).collect::<Vec<_>>() }))
}
