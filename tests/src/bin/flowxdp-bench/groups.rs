//! The cost of each group of fields: nanoseconds over parsing at a hit, and at the insertion of a flow.

use anyhow::Result;
use clap::Args;
use flowxdp_common::field::{Group, Groups};
use serde_json::{Value, json};

use crate::load::{Family, Load, Order};
use crate::measure::{self, Kinds};
use crate::subject::Kind;
use crate::{report, some};

/// Nanoseconds per packet of each group of fields, at a hit and at an insertion
#[derive(Args)]
pub(crate) struct Options {
    /// Numbers of flows to measure hits with
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000], value_parser = some())]
    flows: Vec<u32>,
    /// Flows that the tables have room for, twice those measured with at least; half of it is inserted
    #[arg(long, default_value_t = 500_000, value_parser = some())]
    table: u32,
    /// Times that each group has its turn
    #[arg(long, default_value_t = 9, value_parser = some())]
    rounds: u32,
    /// Packets of a turn
    #[arg(long, default_value_t = 1_000_000, value_parser = some())]
    packets: u32,
}

/// Packets without a value for most groups, and with one for each.
const FAMILIES: [Family; 4] = [Family::V4, Family::V6, Family::Stacked, Family::Extended];

/// All groups.
pub(crate) fn all() -> Groups {
    Group::ALL.into_iter().collect()
}

/// The parser alone, the base record, each group beside it, and all of them.
fn kinds() -> Kinds {
    let one = |group: Group| (group.name(), Kind::Collecting(Groups::BASE.with(group)));
    let first = [("parse and pass", Kind::Parse)];
    let last = [("all", Kind::Collecting(all()))];
    first.into_iter().chain(Group::ALL.map(one)).chain(last).collect()
}

/// Measures; prints tables if asked to.
pub(crate) fn run(options: &Options, tables: bool) -> Result<Value> {
    measure::stay_on_this_cpu()?;
    let Options { table, rounds, packets, .. } = *options;
    let (mut hits, mut insertions) = (Vec::new(), Vec::new());
    for family in FAMILIES {
        let load = |flows: u32, order| Load {
            flows,
            table: table.max(flows.saturating_mul(2)),
            family,
            order,
            apart: false,
        };
        let base = Group::Base.name();
        let mut groups = Vec::new();
        for &flows in &options.flows {
            groups.push(measure::hits(load(flows, Order::Uniform), base, kinds(), rounds, packets)?);
        }
        let new = measure::new_flows(load((table / 2).max(1), Order::New), base, kinds(), rounds)?;
        if tables {
            groups.iter().chain([&new]).for_each(|group| println!("{}", report::table(group)));
        }
        hits.extend(groups.iter().map(report::group));
        insertions.push(report::group(&new));
    }
    Ok(json!({ "hits": hits, "insertions": insertions }))
}
