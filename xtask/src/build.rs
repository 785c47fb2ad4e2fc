//! `cargo xtask build`: the release agent, with the eBPF object inside it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{setup, shell};

pub(crate) fn run() -> Result<()> {
    setup::toolchain()?;
    println!("The agent is {}", agent()?.display());
    Ok(())
}

/// Builds the release agent and says where cargo left it.
pub(crate) fn agent() -> Result<PathBuf> {
    let mut command =
        shell::cargo(&["build", "--release", "--locked", "--package", "flowxdp", "--bin", "flowxdp"]);
    let built = executables(&mut command)?;
    built.into_iter().next().map(|built| built.path).context("cargo built the agent and names no executable")
}

/// An executable that cargo built.
pub(crate) struct Executable {
    /// Name of the target.
    pub(crate) name: String,
    /// Whether it is tests, and not a program.
    pub(crate) is_test: bool,
    /// The file.
    pub(crate) path: PathBuf,
    /// Folder of its package, where cargo would run it.
    pub(crate) package: PathBuf,
}

/// Runs a cargo command that builds; cargo knows best where the results are.
pub(crate) fn executables(command: &mut Command) -> Result<Vec<Executable>> {
    println!("$ {}", shell::show(command));
    quietly(command)
}

/// The same without a word of its own.
pub(crate) fn quietly(command: &mut Command) -> Result<Vec<Executable>> {
    let shown = shell::show(command);
    command.arg("--message-format=json-render-diagnostics").stdin(Stdio::null());
    let text = shell::text(command).with_context(|| format!("cannot build with `{shown}`"))?;
    let mut built = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let message: Value = serde_json::from_str(line).context("cargo's messages are not JSON")?;
        let Some(path) = message["executable"].as_str() else { continue };
        let manifest = PathBuf::from(message["manifest_path"].as_str().unwrap_or_default());
        built.push(Executable {
            name: message["target"]["name"].as_str().unwrap_or_default().to_owned(),
            is_test: message["profile"]["test"] == true,
            path: path.into(),
            package: manifest.parent().map(Into::into).unwrap_or_default(),
        });
    }
    Ok(built)
}
