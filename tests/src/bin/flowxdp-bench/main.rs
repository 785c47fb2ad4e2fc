//! `cargo xtask bench`: the one place for figures. Without more words, nanoseconds per packet of the XDP
//! program that is shipped, beside others; with `export`, records a second of the exporting process.
//!
//! Every figure stands beside a baseline of the same run. Subjects take turns, round after round, so that
//! other load on the machine meets all of them; the medians are shown, and their spread.
//!
//! Every program runs by BPF_PROG_TEST_RUN on one CPU, behind a program that makes each packet one of a
//! random flow. The cost of parsing and passing is subtracted: the rest is metering. The processor works
//! ahead: while one packet waits for its line of memory, it begins with the next, the more so the shorter the
//! program. A driver does much between two packets; `--apart` comes near to that.
//!
//! - [`packet`]: the programs' figures; [`load`]: their packets.
//! - [`subject`]: the programs, and the counts that they must have in the end.
//! - [`measure`]: the rounds.
//! - [`groups`]: the shipped program with the fields of each group.
//! - [`names`]: copies of first packets, and the inspector of names.
//! - [`worst`]: the shipped program where each window of the table is full.
//! - [`cost`]: the shipped program's cost for verifier and compiler.
//! - [`report`]: the tables, or JSON.
//! - [`drain`]: how flows leave the table.
//! - [`live`]: packets a second of a veth pair with each program, and beside programs of others.
//! - [`export`]: the exporting process. [`gateway`]: a router with all of it.
//! - [`agent`]: the agent's own needs; [`process`]: by the kernel's counters.
//! - [`replay`]: captures of a day, beside those of 100 seconds.
//! - [`manual`]: the page and the plots that are made of the JSON; [`machine`]: where it was measured.
//! - [`targets`]: the goals of the figures.
#![deny(unsafe_code)]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{
    Args, Command, CommandFactory, Parser, Subcommand, builder::RangedU64ValueParser, error::ErrorKind,
};
use serde_json::{Value, json};

mod agent;
mod cost;
mod drain;
mod export;
mod gateway;
mod groups;
mod live;
mod load;
mod machine;
mod manual;
mod measure;
mod names;
mod packet;
mod process;
mod replay;
mod report;
mod subject;
mod targets;
mod worst;

/// Figures, each beside a baseline of the same run. Without a command: nanoseconds per packet.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
#[group(skip)]
struct Options {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    packet: packet::Options,
    /// Write JSON to a file too; without its name, print it instead of tables
    #[arg(long, global = true, value_name = "FILE", num_args = 0..=1, default_missing_value = STDOUT)]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Part {
    /// All parts, in one run
    All {
        /// Leave other programs out
        #[arg(long)]
        alone: bool,
    },
    Manual(manual::Options),
    Drain(drain::Options),
    Groups(groups::Options),
    Names(names::Options),
    Export(export::Options),
    Gateway(gateway::Options),
    Live(live::Options),
    Agent(agent::Options),
    Replay(replay::Options),
}

/// The file name that stands for the standard output.
const STDOUT: &str = "-";

/// Nothing can be measured with none.
fn some() -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(1..)
}

/// Every part as it is measured without more words.
fn everything(alone: bool, tables: bool) -> Result<Value> {
    let mut export: export::Options = usual()?;
    export.alone = alone;
    // These first: the others stay on one CPU from then on.
    let export = export::run(&export, tables)?;
    let gateway = gateway::run(&usual()?, tables)?;
    let mut live: live::Options = usual()?;
    live.alone = alone;
    let live = live::run(&live, tables)?;
    let agent = agent::run(&usual()?, tables)?;
    let replay = replay::run(&usual()?, tables)?;
    let (drain, packet) = (drain::run(&usual()?, tables)?, packet::run(&usual()?, tables)?);
    let groups = groups::run(&usual()?, tables)?;
    let names = names::run(&usual()?, tables)?;
    Ok(json!({
        "packet": packet,
        "groups": groups,
        "names": names,
        "drain": drain,
        "export": export,
        "gateway": gateway,
        "live": live,
        "agent": agent,
        "replay": replay,
    }))
}

/// A part's default options.
fn usual<T: Args>() -> Result<T> {
    Ok(T::from_arg_matches(&T::augment_args(Command::new("usual")).get_matches_from(["usual"]))?)
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let (None, Some(word)) = (&options.part, options.json.as_deref().and_then(Path::to_str)) {
        let mut command = Options::command();
        if command.find_subcommand(word).is_some() {
            let hint = format!("'{word}' would be the file of --json, which goes behind it: {word} --json");
            command.error(ErrorKind::ArgumentConflict, hint).exit();
        }
    }
    let tables = options.json.as_deref() != Some(Path::new(STDOUT));
    let mut all = match &options.part {
        Some(Part::Manual(options)) => return manual::write(options),
        Some(Part::All { alone }) => everything(*alone, tables)?,
        None => json!({ "packet": packet::run(&options.packet, tables)? }),
        Some(Part::Groups(options)) => json!({ "groups": groups::run(options, tables)? }),
        Some(Part::Names(options)) => json!({ "names": names::run(options, tables)? }),
        Some(Part::Drain(options)) => json!({ "drain": drain::run(options, tables)? }),
        Some(Part::Export(options)) => json!({ "export": export::run(options, tables)? }),
        Some(Part::Gateway(options)) => json!({ "gateway": gateway::run(options, tables)? }),
        Some(Part::Live(options)) => json!({ "live": live::run(options, tables)? }),
        Some(Part::Agent(options)) => json!({ "agent": agent::run(options, tables)? }),
        Some(Part::Replay(options)) => json!({ "replay": replay::run(options, tables)? }),
    };
    all["machine"] = machine::describe()?;
    all["targets"] = targets::json(&all);
    if tables && all["targets"].as_array().is_some_and(|targets| !targets.is_empty()) {
        println!("{}", targets::table(&all));
    }
    match options.json {
        Some(_) if !tables => println!("{all:#}"),
        Some(file) => {
            std::fs::write(&file, format!("{all:#}\n")).with_context(|| file.display().to_string())?
        }
        None => {}
    }
    Ok(())
}
