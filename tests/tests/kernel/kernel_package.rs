//! The agent under a service manager: the flags of its unit for systemd, and what the manager is told.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::netns::Netns;

const LIMIT: Duration = Duration::from_secs(60);
const UNIT: &str = include_str!("../../../flowxdp/package/flowxdp.service");

/// Each flag that the unit gives must be one that the agent takes.
#[test]
fn the_agent_understands_the_unit() -> Result<()> {
    let line =
        UNIT.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/flowxdp ")).context("none")?;
    let default = include_str!("../../../flowxdp/package/default");
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
