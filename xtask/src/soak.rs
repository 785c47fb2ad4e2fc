//! `cargo xtask soak`: builds the agent and the soak, and runs that as root.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{build, setup, shell, sudo};

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::toolchain()?;
    setup::packages(setup::JUDGES)?;
    let agent = build::agent()?;
    shell::check(command(&agent)?.args(arguments))
}

/// The soak as root, with the agent that was built.
pub(crate) fn command(agent: &Path) -> Result<Command> {
    let mut cargo = shell::cargo(&["build", "--release", "--locked", "--package", "flowxdp-tests"]);
    cargo.args(["--features", "lab", "--bin", "flowxdp-soak"]);
    let built = build::executables(&mut cargo)?;
    let soak = built.into_iter().next().context("cargo built the soak and names no executable")?;
    let environment = [("FLOWXDP_BIN", agent.as_os_str().to_owned())];
    let why = "the soak makes a network namespace, loads XDP programs and kills agents";
    let mut command = sudo::command(&soak.path, why, &environment)?;
    command.arg("--logs").arg(shell::root().join("target/soak"));
    Ok(command)
}
