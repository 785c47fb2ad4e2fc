//! The agent part: processor time and memory of the agent that is shipped, at rest and at work.
//!
//! The agent meters a veth in a namespace of its own and exports IPFIX over UDP to a receiver there. Each
//! size of table has four states: empty; half full, of flows that stay, so that no sweep is needed; the same
//! while some flows end each second, so that sweeps are needed; churning: new flows of one packet each at a
//! known rate, which leave after a second. The other tables are compared with the smallest one.
//!
//! A window is a whole number of seconds, as the table is swept each second. In the end the books must
//! balance: packets sent, seen, exported and received are equal.
//!
//! - [`stage`]: where, and how; [`report`]: the table, or JSON. Here: turns.

mod report;
mod stage;

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

use self::stage::Stage;
use crate::process::Memory;

/// Processor time and memory of the agent, by size and state of its table
#[derive(Args)]
pub(crate) struct Options {
    /// Times that each size has its turn
    #[arg(long, default_value_t = 3, value_parser = crate::some())]
    rounds: u32,
    /// Seconds of each window
    #[arg(long, default_value_t = 3, value_parser = crate::some())]
    seconds: u32,
    /// Flows that the table has room for, the smallest first
    #[arg(long, value_delimiter = ',', default_values_t = [64_000, 256_000, 1_000_000, 4_000_000], value_parser = crate::some())]
    flows: Vec<u32>,
    /// New flows a second, in every table that is not filled by them
    #[arg(long, value_delimiter = ',', default_values_t = [20_000, 200_000], value_parser = crate::some())]
    rates: Vec<u32>,
}

/// The name that others look for.
pub(crate) const ENDING: &str = "half full, some end";

/// The flows in the table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    Half,
    /// Half full, and some flows end each second.
    Ending,
    /// New flows a second.
    Churn(u32),
}

impl State {
    /// The states that one agent goes through.
    const REST: [Self; 3] = [Self::Empty, Self::Half, Self::Ending];
}

/// One window.
struct Turn {
    /// Processor time and time of day.
    cpu: Duration,
    wall: Duration,
    memory: Memory,
    /// Records that came meanwhile.
    records: u64,
}

/// One size in one state.
struct Subject {
    flows: u32,
    state: State,
    turns: Vec<Turn>,
}

/// Measures; prints a table if asked to.
pub(crate) fn run(options: &Options, tables: bool) -> Result<Value> {
    let stage = Stage::new(options.seconds)?;
    let mut subjects = Vec::new();
    for &flows in &options.flows {
        // A flow stays two seconds and a half at most, and three quarters full is too full.
        let fits = |rate: &u32| u64::from(*rate) * 3 <= u64::from(flows);
        let states = State::REST.into_iter();
        let states = states.chain(options.rates.iter().copied().filter(fits).map(State::Churn));
        subjects.extend(states.map(|state| Subject { flows, state, turns: Vec::new() }));
    }
    for round in 1..=options.rounds {
        for table in subjects.chunk_by_mut(|one, other| one.flows == other.flows) {
            let (rest, churning) = table.split_at_mut(State::REST.len());
            let turns = stage.rest(rest.first().context("no state")?.flows)?;
            rest.iter_mut().zip(turns).for_each(|(subject, turn)| subject.turns.push(turn));
            for subject in churning {
                if let State::Churn(rate) = subject.state {
                    subject.turns.push(stage.churn(subject.flows, rate)?);
                }
            }
        }
        eprintln!("agent: round {round} of {}", options.rounds);
    }
    if tables {
        print!("{}", report::text(&subjects));
    }
    Ok(report::json(&subjects, options.seconds))
}
