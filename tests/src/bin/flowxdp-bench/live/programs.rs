//! How each program is started: with room for so many flows, none of which is due before the end.

use std::fs;

use anyhow::Result;
use flowxdp_tests::agent::Live;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::{Program, find};
use tempfile::TempDir;

use super::path::METERED;
use crate::export::others::nfprobe;

/// MiB of the ring that the kernel puts packets into for a program that listens, if it can be told.
const RING: u32 = 64;

pub(super) fn agent(netns: &Netns, port: u16, flows: u32) -> Result<Live> {
    let (url, flows) = (format!("udp://127.0.0.1:{port}"), flows.to_string());
    let mut arguments = vec!["--interface", METERED, "--mode", "native", "--collector", &url];
    arguments.extend(["--flows", &flows, "--flows6", "1000", "--idle-timeout", "1h"]);
    arguments.extend(["--active-timeout", "1h", "--options-interval", "1h"]);
    Live::start(netns, &arguments)
}

pub(super) fn softflowd(folder: &TempDir, port: u16, flows: u32) -> Result<Program> {
    let (collector, flows) = (format!("127.0.0.1:{port}"), flows.to_string());
    let ring = (RING << 20).to_string();
    let softflowd = Program::find("softflowd")?.args(["-d", "-i", METERED, "-v", "5", "-B", &ring]);
    let softflowd = softflowd.args(["-m", &flows, "-n", &collector, "-t", "udp=3600", "-t", "expint=3600"]);
    // Without a control socket it knows no way to end that keeps its flows.
    let softflowd = softflowd.arg("-c").arg(folder.path().join("control"));
    Ok(softflowd.arg("-p").arg(folder.path().join("pid")))
}

pub(super) fn pmacctd(folder: &TempDir, port: u16) -> Result<Program> {
    let file = folder.path().join("pmacctd.conf");
    // pmacctd leaves libpcap's ring at 2 MiB, with any pmacctd_pipe_size.
    let text = nfprobe(&format!("pcap_interface: {METERED}"), port, 3600);
    fs::write(&file, text)?;
    // Two processes: both end with the namespace of their ids, however the first one ends.
    let unshare = Program::find("unshare")?.args(["--pid", "--fork", "--kill-child"]);
    Ok(unshare.arg(find("pmacctd")?).arg("-f").arg(file))
}

pub(super) fn nfpcapd(folder: &TempDir, flows: u32) -> Result<Program> {
    let nfpcapd = Program::find("nfpcapd")?.args(["-i", METERED, "-b", &RING.to_string()]);
    let nfpcapd = nfpcapd.args(["-B", &flows.to_string(), "-e", "3600,3600", "-t", "86400", "-w"]);
    Ok(nfpcapd.arg(folder.path()))
}
