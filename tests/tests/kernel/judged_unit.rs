//! The unit for systemd, judged by systemd's own tool. No kernel has a part in it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::failures::tell;
use flowxdp_tests::process::{Finished, Program};

const LIMIT: Duration = Duration::from_secs(60);
/// Tenths: the highest exposure that the unit may have is below 2.0.
const EXPOSURE: u32 = 20;
const UNIT: &str = include_str!("../../../flowxdp/package/flowxdp.service");

/// The answer of a systemd tool about a unit.
fn analyze(arguments: &[&str], unit: &str) -> Result<Finished> {
    let directory = tempfile::tempdir()?;
    let file: PathBuf = directory.path().join("flowxdp.service");
    fs::write(&file, unit)?;
    Program::find("systemd-analyze")?.args(["--no-pager"]).args(arguments).arg(file).run(LIMIT)
}

#[test]
fn the_unit_is_hardened() -> Result<()> {
    let threshold = format!("--threshold={}", EXPOSURE - 1);
    let judged = |unit: &str| analyze(&["security", "--offline=true", &threshold], unit);
    let verdict = judged(UNIT)?.success()?.stdout;
    tell(verdict.lines().rfind(|line| !line.is_empty()).context("no verdict")?);
    // The judge does refuse a unit with a fault.
    let softer = UNIT.replace("ProtectSystem=strict\n", "").replace("SystemCallFilter=", "#");
    ensure!(judged(&softer)?.code != Some(0), "a unit without walls is taken too");
    Ok(())
}

#[test]
fn systemd_understands_the_unit() -> Result<()> {
    // A program that is there, for systemd looks.
    let judged = |unit: &str| {
        let said = analyze(&["verify"], &unit.replace("/usr/bin/flowxdp", "/bin/sh"))?;
        let ours = said.stderr.lines().filter(|line| line.contains("flowxdp.service")).map(str::to_owned);
        anyhow::Ok((said.code, ours.collect::<Vec<_>>()))
    };
    let (code, lines) = judged(UNIT)?;
    ensure!(code == Some(0) && lines.is_empty(), "{code:?}: {lines:#?}");
    let (_, lines) = judged(&UNIT.replace("PrivateTmp", "PrivateTemp"))?;
    ensure!(lines.len() == 1, "an error goes unnoticed: {lines:#?}");
    Ok(())
}
