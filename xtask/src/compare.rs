//! `cargo xtask compare COMMIT`: the benchmark of this tree and that of an earlier commit, in turns.
//!
//! The sources of the commit are unpacked under target/compare and built there in the same way. Both programs then
//! run by turns on the same machine, each turn begins with the other one, and the medians stand side by side.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{build, setup, shell, sudo};

mod figures;

use figures::Figures;

/// Parts of the benchmark that run without more words: packets, retirement, export.
const PARTS: [&[&str]; 3] = [
    &["--flows", "1000", "--flows", "100000", "--flows", "500000", "--rounds", "1"],
    &["drain", "--rounds", "1"],
    &["export", "--alone", "--rounds", "1"],
];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Commit to compare with, as git names it
    commit: String,
    /// Times that each build has its turn
    #[arg(long, default_value = "7", value_parser = clap::value_parser!(u32).range(1..))]
    turns: u32,
    /// Show the figures alone whose name has this word
    #[arg(long)]
    only: Option<String>,
    /// Write the medians to a file too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Arguments of the benchmark, without its --json; by default packets, drain and export
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Builds both and lets them take turns.
///
/// # Errors
///
/// There is no such commit, one of both does not build, or a run of the benchmark fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::toolchain()?;
    let root = shell::root();
    let commit = commit(&options.commit)?;
    let folder = root.join("target/compare");
    let tree = unpack(&commit, &folder.join(&commit))?;
    let old = bench(&tree, Some(&folder.join("target")))?;
    // The next build of that folder would replace it.
    let kept = folder.join(format!("flowxdp-bench-{commit}"));
    fs::copy(&old, &kept).with_context(|| format!("cannot keep {}", old.display()))?;
    let new = bench(root, None)?;
    let given: Vec<&str> = options.arguments.iter().map(String::as_str).collect();
    let parts = if given.is_empty() { PARTS.to_vec() } else { vec![given.as_slice()] };
    let mut figures = Figures::default();
    for turn in 0..options.turns {
        for part in &parts {
            println!("turn {} of {}: {}", turn + 1, options.turns, part.join(" "));
            let mut both = [(0, &kept), (1, &new)];
            both.rotate_left(turn as usize % 2);
            for (side, program) in both {
                figures.take(side, &measure(program, part)?);
            }
        }
    }
    println!("{}", figures.table(&options.commit, options.only.as_deref()));
    if let Some(file) = &options.json {
        let rows = figures.json(options.only.as_deref());
        let text =
            json!({ "compare": { "commit": options.commit, "turns": options.turns, "figures": rows } });
        fs::write(file, format!("{text:#}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// The whole name of a commit.
fn commit(name: &str) -> Result<String> {
    let mut git = git(&["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")]);
    let whole = shell::text(&mut git).with_context(|| format!("git knows no commit {name}"))?;
    Ok(whole.trim().to_owned())
}

fn git(arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(shell::root());
    command
}

/// The sources of a commit, without its history.
fn unpack(commit: &str, folder: &Path) -> Result<PathBuf> {
    let tree = folder.join("tree");
    if tree.join("Cargo.toml").is_file() {
        return Ok(tree);
    }
    fs::create_dir_all(&tree).with_context(|| format!("cannot make {}", tree.display()))?;
    let mut archive =
        git(&["archive", commit]).stdout(Stdio::piped()).spawn().context("cannot start git archive")?;
    let sources = archive.stdout.take().context("git archive has no output")?;
    shell::check(Command::new("tar").arg("-x").arg("-C").arg(&tree).stdin(sources))?;
    ensure!(archive.wait()?.success(), "git cannot give the sources of {commit}");
    Ok(tree)
}

/// The benchmark of a tree.
fn bench(tree: &Path, target: Option<&Path>) -> Result<PathBuf> {
    let mut cargo = shell::cargo(&["build", "--release", "--locked", "--package", "flowxdp-tests"]);
    cargo.args(["--features", "lab", "--bin", "flowxdp-bench"]).current_dir(tree);
    if let Some(target) = target {
        cargo.arg("--target-dir").arg(target);
    }
    let built = build::executables(&mut cargo)?;
    Ok(built.into_iter().next().context("cargo built the benchmark and names no executable")?.path)
}

/// One run's figures.
fn measure(program: &Path, part: &[&str]) -> Result<Value> {
    let file = tempfile::NamedTempFile::new().context("cannot make a file for the figures")?;
    let mut command = sudo::command(program, "the benchmark loads XDP programs", &[])?;
    command.args(part).arg("--json").arg(file.path()).stdout(Stdio::null());
    shell::check(&mut command)?;
    let text = fs::read_to_string(file.path()).context("cannot read the figures")?;
    serde_json::from_str(&text).context("the figures are not JSON")
}
