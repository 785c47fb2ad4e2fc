//! `cargo xtask run -- ARGUMENTS`: builds the agent and becomes it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{build, setup, sudo};

/// Commands that load a program into the kernel, or ask an agent that did.
const AS_ROOT: [&str; 4] = ["run", "replay", "status", "detach"];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::toolchain()?;
    let agent = build::agent()?;
    let word = arguments.iter().find(|argument| !argument.starts_with('-'));
    let asks_for_help =
        arguments.iter().any(|argument| ["-h", "--help", "-V", "--version"].contains(&argument.as_str()));
    let mut command = match word {
        Some(word) if AS_ROOT.contains(&word.as_str()) && !asks_for_help => {
            // sudo drops the one variable that the agent reads.
            let filter: Vec<_> =
                std::env::var_os("RUST_LOG").map(|filter| ("RUST_LOG", filter)).into_iter().collect();
            sudo::command(&agent, &format!("flowxdp {word}"), &filter)?
        }
        _ => Command::new(&agent),
    };
    // The agent takes this process' place, so that signals and the exit code are its own.
    let error = command.args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", agent.display()))
}
