//! The unit for systemd, judged by systemd's own tool, and what a service manager is told.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::failures::tell;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::{Finished, Program};

const LIMIT: Duration = Duration::from_secs(60);
/// Tenths: the highest exposure that the unit may have is below 2.0.
const EXPOSURE: u32 = 20;
const UNIT: &str = include_str!("../../flowxdp/package/flowxdp.service");

/// What a tool of systemd says of a unit.
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
    // The judge does refuse what is not.
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

/// Each flag that the unit gives must be one that the agent takes.
#[test]
fn the_agent_understands_the_unit() -> Result<()> {
    let line =
        UNIT.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/flowxdp ")).context("none")?;
    let default = include_str!("../../flowxdp/package/default");
    let more = default.lines().find_map(|line| line.strip_prefix("FLOWXDP_ARGUMENTS=")).context("none")?;
    let line = line.replace("$FLOWXDP_ARGUMENTS", more.trim_matches('"')).replace("eth0", "no-such-if");
    let agent = flowxdp_tests::agent::program()?.args(line.split_whitespace()).run(LIMIT)?;
    ensure!(agent.code == Some(1) && agent.stderr.contains("no interface no-such-if"), "{agent:?}");
    Ok(())
}

#[test]
fn a_service_manager_is_told_when_it_is_ready_and_when_it_ends() -> Result<()> {
    let netns = Netns::new("service")?;
    netns.veth("gen0", "met0")?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("notify");
    let told = UnixDatagram::bind(&path)?;
    told.set_read_timeout(Some(LIMIT))?;
    let script = r#"NOTIFY_SOCKET="$0" exec "$@""#;
    let wrapper = ["sh", "-c", script, &path.display().to_string()];
    let arguments = ["--interface", "met0", "--collector", "udp://127.0.0.1:9"];
    let live = Live::start_by(&wrapper, 0, &netns, &arguments)?;
    ensure!(next(&told)? == "READY=1", "not ready");
    ensure!(Path::new(live.socket()).exists(), "ready without a socket");
    live.stop()?.success()?;
    ensure!(next(&told)? == "STOPPING=1", "not told that it ends");
    Ok(())
}

/// The next that a service manager is told.
fn next(told: &UnixDatagram) -> Result<String> {
    let mut octets = [0; 256];
    let length = told.recv(&mut octets).context("nothing is told")?;
    Ok(String::from_utf8_lossy(octets.get(..length).unwrap_or_default()).trim().to_owned())
}
