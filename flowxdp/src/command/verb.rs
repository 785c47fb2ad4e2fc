//! Commands that are a verb of the control socket: one request, and one line of its answer.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::{
    agent::control::{SOCKET, client},
    output, text,
};

/// How long an agent may take: its own limit for a flush, the books that others ask for meanwhile, and the
/// verification of a new table's programs.
const PATIENCE: Duration = Duration::from_secs(90);

/// Options of a verb.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Socket of the agent
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    pub socket: PathBuf,
}

/// Sends the verb, waits, and prints the line that `shown` makes of the answer.
///
/// # Errors
///
/// No agent answers at the socket, or `shown` finds a refusal in the answer.
pub(super) fn run(
    options: &Options,
    verb: &str,
    shown: fn(&[u8]) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let answer = client::ask(&options.socket, verb, PATIENCE)?;
    let line = shown(&answer).with_context(|| format!("the agent at {}", options.socket.display()))?;
    output::product(line)
}

/// The answer's object.
///
/// # Errors
///
/// The answer is no JSON, or a refusal.
pub(super) fn accepted(answer: &[u8]) -> anyhow::Result<Value> {
    let answer: Value = serde_json::from_slice(answer).context("sends no answer that is known")?;
    if let Some(why) = answer["error"].as_str() {
        bail!("refuses: {}", text::printable(why));
    }
    Ok(answer)
}
