//! `cargo xtask bench`: builds the benchmark and becomes it: as root, but for `cargo xtask bench -- manual FILE`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{build, setup, shell, sudo};

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::toolchain()?;
    let asks = |word: &str| arguments.iter().any(|argument| argument == word);
    if ["export", "live", "all"].into_iter().any(asks) && !asks("--alone") {
        setup::packages(setup::PEERS)?;
    }
    if asks("live") || asks("all") {
        setup::packages(setup::LIVE)?;
    }
    let mut cargo = shell::cargo(&["build", "--release", "--locked", "--package", "flowxdp-tests"]);
    cargo.args(["--features", "lab", "--bin", "flowxdp-bench"]);
    let built = build::executables(&mut cargo)?;
    let bench = built.into_iter().next().context("cargo built the benchmark and names no executable")?;
    let with_agent = ["gateway", "live", "agent", "replay", "all"];
    let agent = if with_agent.into_iter().any(asks) { Some(build::agent()?) } else { None };
    let environment: Vec<_> =
        agent.iter().map(|agent| ("FLOWXDP_BIN", agent.as_os_str().to_owned())).collect();
    let mut command = if asks("manual") {
        Command::new(&bench.path)
    } else {
        sudo::command(&bench.path, "the benchmark loads XDP programs", &environment)?
    };
    let error = command.args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", bench.path.display()))
}
