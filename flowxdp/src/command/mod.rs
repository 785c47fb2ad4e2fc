//! The commands, one file or folder each, with the flags that are theirs alone. Each has a row and an arm here.

pub mod check;
pub mod collect;
pub mod detach;
pub mod explain;
pub mod flush;
pub mod reload;
pub mod replay;
pub mod run;
pub mod status;
mod verb;

use anyhow::Context;

use crate::{
    config::{
        flags::{Flags, Source},
        key::RUN,
    },
    limits,
};

/// Files that the event loop opens, and then a small collector.
const DESCRIPTORS: usize = 12;

/// A command with its options; the sentences are its help.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Meter interfaces and export flow records until a signal ends it
    Run(Flags<RUN>),
    /// Meter the packets of capture files, on the capture's clock
    Replay(replay::Options),
    /// Judge a configuration: print its effective values and templates, or all faults
    Check(check::Options),
    /// Receive flow records and show them: a small collector
    Collect(collect::Options),
    /// Show the books of a running agent
    Status(status::Options),
    /// Have a running agent retire and export every flow now
    Flush(flush::Options),
    /// Have a running agent read its configuration again, and apply all of its changes or none
    Reload(reload::Options),
    /// Take away the programs and pins that a killed agent left
    Detach(detach::Options),
    /// Say of each packet which headers were read, and where and why it is ignored
    Explain(explain::Options),
}

impl Command {
    /// Runs the command to its end.
    ///
    /// # Errors
    ///
    /// The command's own, or the kernel gives no descriptors for an event loop.
    pub fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::Run(flags) => {
                let config = flags.config()?;
                runtime()?.block_on(run::run(config, Source::clone(&flags)))
            }
            Self::Replay(options) => replay::run(&options),
            Self::Check(options) => check::run(&options),
            Self::Collect(options) => runtime()?.block_on(collect::run(options)),
            Self::Status(options) => status::run(&options),
            Self::Flush(options) => flush::run(&options),
            Self::Reload(options) => reload::run(&options),
            Self::Detach(options) => detach::run(&options),
            Self::Explain(options) => runtime()?.block_on(explain::run(&options)),
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    limits::descriptors(DESCRIPTORS)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the event loop")
}
