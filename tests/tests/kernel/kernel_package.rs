//! The agent under a service manager: the flags of its unit for systemd, and its messages to the manager.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::traffic::{Traffic, UDP, generator};

const LIMIT: Duration = Duration::from_secs(60);
const TRAFFIC: Traffic = Traffic { flows: 10, packets: 100, ipv6: false, protocol: UDP, length: 100 };
const UNIT: &str = include_str!("../../../flowxdp/package/flowxdp.service");

/// The flags of the unit's line, with the packaged file in the place of the installed one.
fn flags(more: &str) -> Result<Vec<String>> {
    let line =
        UNIT.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/flowxdp ")).context("none")?;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../flowxdp/package/flowxdp.toml");
    let line = line.replace("$FLOWXDP_ARGUMENTS", more).replace("/etc/flowxdp/flowxdp.toml", file);
    Ok(line.split_whitespace().map(str::to_owned).collect())
}

/// Each flag of the unit and each key of its file must be one that the agent takes.
#[test]
fn the_agent_understands_the_unit() -> Result<()> {
    let default = include_str!("../../../flowxdp/package/default");
    let set = default.lines().find_map(|line| line.strip_prefix("FLOWXDP_ARGUMENTS=")).context("none")?;
    ensure!(set == "\"\"", "the package sets flags: {set}");
    let line = flags("")?.join(" ").replacen("run ", "check ", 1);
    let checked = flowxdp_tests::agent::program()?.args(line.split(' ')).run(LIMIT)?.success()?;
    for setting in
        ["interface = [\"eth0\"]", "keep = true", "pins/table", "directory = \"/var/lib/flowxdp/spool\""]
    {
        ensure!(checked.stdout.contains(setting), "{setting}: {}", checked.stdout);
    }
    // Flags of an earlier release's default file win over the file.
    let earlier = flags("--interface no-such-if --collector udp://192.0.2.10:4739")?;
    let agent = flowxdp_tests::agent::program()?.args(&earlier).run(LIMIT)?;
    ensure!(agent.code == Some(1) && agent.stderr.contains("no interface no-such-if"), "{agent:?}");
    Ok(())
}

/// A file makes the run that the same flags make.
#[test]
fn a_file_meters_as_flags_do() -> Result<()> {
    let netns = Netns::new("file")?;
    netns.veth("gen0", "met0")?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("flowxdp.toml").display().to_string();
    std::fs::write(
        &file,
        "[monitor]\ninterface = [\"met*\"]\nflows = \"4K\"\n[[exporter]]\ncollector = \"udp://127.0.0.1:9\"\nprotocol = \"v9\"\n",
    )?;
    let live = Live::start(&netns, &["--config", &file])?;
    generator().send(&TRAFFIC, &netns, "gen0")?;
    let books = live.status()?;
    ensure!(books.seen.packets >= TRAFFIC.packets, "{books:?}");
    // The URL and its parameters as one name, as a flag has it.
    ensure!(books.collectors.contains_key("udp://127.0.0.1:9?protocol=v9"), "{books:?}");
    live.stop()?.success()?;
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

/// The next message to a service manager.
fn next(told: &UnixDatagram) -> Result<String> {
    let mut octets = [0; 256];
    let length = told.recv(&mut octets).context("nothing is told")?;
    Ok(String::from_utf8_lossy(octets.get(..length).unwrap_or_default()).trim().to_owned())
}
