//! Nanoseconds per packet, by BPF_PROG_TEST_RUN.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::load::{Family, Load, Order};
use crate::subject::Kind;
use crate::{cost, measure, report, some, worst};

/// Nanoseconds per packet of the XDP program that is shipped, beside others
#[derive(Args)]
pub(crate) struct Options {
    /// Numbers of flows to measure with
    #[arg(long, value_delimiter = ',', default_values_t = [1, 1_000, 10_000, 100_000, 500_000, 1_000_000], value_parser = some())]
    flows: Vec<u32>,
    /// Flows that the tables have room for, twice those measured with at least
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
}

/// The figures of each number of flows.
const KINDS: [(Family, Order); 4] = [
    (Family::V4, Order::Uniform),
    (Family::V4, Order::Skewed),
    (Family::Tagged, Order::Uniform),
    (Family::V6, Order::Uniform),
];

/// Measures; prints tables if asked to.
pub(crate) fn run(options: &Options, tables: bool) -> Result<Value> {
    measure::stay_on_this_cpu()?;
    let Options { table, rounds, packets, apart, all, .. } = *options;
    let load = |flows: u32, family, order| {
        let table = table.max(flows.saturating_mul(2));
        Load { flows, table, family, order, apart }
    };
    let show = |title: &str, group: &measure::Group| {
        if tables {
            println!("{title}{}", report::table(group));
        }
    };
    let cost = cost::of_shipped()?;
    let (mut groups, mut new, mut full, mut lone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (family, order) in KINDS {
        // One flow has no order.
        for &flows in options.flows.iter().filter(|flows| **flows > 1 || order == Order::Uniform) {
            let kinds = Kind::list(all);
            let group = measure::hits(load(flows, family, order), Kind::REFERENCE, kinds, rounds, packets)?;
            show("", &group);
            groups.push(group);
        }
    }
    for &flows in options.flows.iter().filter(|_| !apart) {
        let load = Load { apart: true, ..load(flows, Family::V4, Order::Uniform) };
        let group = measure::hits(load, Kind::REFERENCE, Kind::list(all), rounds, packets)?;
        show("", &group);
        lone.push(group);
    }
    for family in [Family::V4, Family::V6] {
        let load_new = load((table / 2).max(1), family, Order::New);
        let group = measure::new_flows(load_new, Kind::REFERENCE, Kind::list(all), rounds)?;
        show("", &group);
        new.push(group);
        // A window of slots for each flow must fit beside the others'.
        for &flows in options.flows.iter().filter(|flows| **flows > 1 && **flows <= table / 10) {
            let group = worst::group(load(flows, family, Order::Uniform), rounds, packets)?;
            show("The worst window. ", &group);
            full.push(group);
        }
    }
    if tables {
        println!("{}", report::cost(&cost));
    }
    Ok(report::json(&cost, [&groups, &lone, &new, &full]))
}
