//! `flowxdp status`: the books of a running agent, over its control socket.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;

use crate::{
    agent::control::{SOCKET, answer, client},
    output,
};

/// How long an agent may take for its books, for which its whole table is scanned.
const PATIENCE: Duration = Duration::from_secs(20);

/// Options of `flowxdp status`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Print the books as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Socket of the agent
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    pub socket: PathBuf,
}

/// Asks and prints.
///
/// # Errors
///
/// No agent answers at the socket, or the answer is no agent's.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let answer = client::ask(&options.socket, "", PATIENCE)?;
    let out = answer::shown(&answer, options.json)
        .with_context(|| format!("what answers at {} is no flowxdp agent", options.socket.display()))?;
    output::product(out)
}
