//! The inputs of capacity: figures of the document, and an error that names a missing one.

use anyhow::{Context, Result};
use serde_json::Value;

use super::page::{self, list};
use crate::agent::ENDING;
use crate::live::rates;

/// Flows at once.
pub(super) const FLOWS: [u32; 3] = [10_000, 100_000, 1_000_000];
/// The table that the agent was measured with.
const TABLE: u32 = 1_000_000;

/// Figures of one run.
pub(super) struct Figures<'a> {
    all: &'a Value,
    /// Nanoseconds that a first packet takes beyond another one.
    pub(super) first: f64,
    /// Microseconds of processor time of a record, and the rate of new flows at which it was measured.
    pub(super) record: f64,
    pub(super) rate: u64,
    /// Looks at a table of [`TABLE`] flows, per cent of a core.
    pub(super) look: f64,
    /// The agent's own memory, MiB: at rest, and at that rate.
    pub(super) rest: f64,
    pub(super) work: f64,
}

impl<'a> Figures<'a> {
    pub(super) fn of(all: &'a Value) -> Result<Self> {
        let states = || list(all, "/agent/states").filter(|one| one["flows"] == TABLE);
        let churning = states().filter(|one| one["new_flows_per_second"].as_u64() > Some(0));
        let churning = churning.max_by_key(|one| one["new_flows_per_second"].as_u64());
        let churning = churning.context("no agent with new flows and a table for 1,000,000")?;
        let rest = states().find(|one| one["state"] == ENDING).context("no agent at rest")?;
        let number = |one: &Value, pointer| {
            one.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("no {pointer}"))
        };
        let new = list(all, "/packet/new_flows").find(|group| group["family"] == "IPv4");
        let new = new.context("no new flows")?;
        let hit =
            group(all, "IPv4", "uniform", new["flows"].as_u64()).context("no hits for the new flows")?;
        Ok(Self {
            all,
            first: took(new, "flowxdp")
                .zip(took(hit, "flowxdp"))
                .map(|(new, hit)| new - hit)
                .context("no flowxdp")?,
            record: number(churning, "/cpu_us_per_record/median")?,
            rate: churning["new_flows_per_second"].as_u64().unwrap_or_default(),
            look: number(rest, "/cpu_percent/median")?,
            rest: number(rest, "/mib/anonymous")?,
            work: number(churning, "/mib/anonymous")?,
        })
    }

    /// Nanoseconds of parser and meter, by test run.
    pub(super) fn packet(&self, family: &str, order: &str, flows: u32) -> Option<f64> {
        let group = group(self.all, family, order, Some(flows.into()))?;
        Some(took(group, "flowxdp")? - took(group, "pass only")?)
    }

    /// Nanoseconds that metering adds to a packet in a router.
    pub(super) fn router(&self, flows: u32) -> Option<f64> {
        let one = list(self.all, "/gateway").find(|one| one["flows"] == flows)?;
        let took = |name: &str| Some(1e3 / one[name]["median"].as_f64()?);
        Some(took("million_packets_per_second_on")? - took("million_packets_per_second_off")?)
    }

    /// The same on a veth pair where packets end behind the program, over one that parses.
    pub(super) fn dropped(&self, flows: u32) -> Option<f64> {
        let one = list(self.all, "/live/rates").find(|one| one["flows"] == flows)?;
        let took = |name: &str| {
            let mut programs = one["programs"].as_array()?.iter();
            programs.find(|one| one["program"] == name)?["ns"]["median"].as_f64()
        };
        Some(took(rates::METER_DROP)? - took(rates::PARSE_DROP)?)
    }

    /// Nanoseconds over parsing, by test run.
    pub(super) fn over(&self, family: &str, flows: u32) -> Option<f64> {
        let group = group(self.all, family, "uniform", Some(flows.into()))?;
        Some(took(group, "flowxdp")? - took(group, "parse and pass")?)
    }

    /// Numbers of flows that something live was measured with.
    pub(super) fn live(&self) -> Vec<u32> {
        let all = list(self.all, "/gateway").chain(list(self.all, "/live/rates"));
        let mut flows: Vec<u32> = all.filter_map(|one| one["flows"].as_u64()?.try_into().ok()).collect();
        flows.sort_unstable();
        flows.dedup();
        flows
    }
}

fn group<'a>(all: &'a Value, family: &str, order: &str, flows: Option<u64>) -> Option<&'a Value> {
    list(all, "/packet/measured").find(|group| {
        page::text(group, "family") == family
            && page::text(group, "order") == order
            && group["flows"].as_u64() == flows
    })
}

/// Nanoseconds of a program.
fn took(group: &Value, program: &str) -> Option<f64> {
    let mut programs = group["programs"].as_array()?.iter();
    programs.find(|one| one["program"] == program)?["ns"].as_f64()
}
