//! Records with tcpdump the packets that an exporter really puts on the wire.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::netns::Netns;
use crate::pcap::{self, Recording};
use crate::process::{Program, Running};
use crate::udp::free_port;

const LIMIT: Duration = Duration::from_secs(20);

/// A running tcpdump on a loopback.
pub struct Sniffer {
    running: Running,
    directory: TempDir,
    port: u16,
    end_port: u16,
    netns: Option<String>,
}

impl Sniffer {
    /// Starts to record all datagrams to a port on the loopback, here or in a namespace.
    pub fn start(port: u16, netns: Option<&Netns>) -> Result<Self> {
        // A fragment has no port.
        let fragments = "(ip[6:2] & 0x1fff != 0) or ip6[6] == 44";
        Self::filtered(port, &format!("udp dst port {port} or {fragments}"), netns)
    }

    /// Starts to record packets that pass a filter of tcpdump's on the loopback, here or in a namespace.
    pub fn start_with(filter: &str, netns: Option<&Netns>) -> Result<Self> {
        Self::filtered(0, filter, netns)
    }

    fn filtered(port: u16, filter: &str, netns: Option<&Netns>) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let end_port = free_port()?;
        // Running on as root keeps the order to die with the test, which a change of user would clear.
        let mut tcpdump = Program::find("tcpdump")?
            .args(["-i", "lo", "-n", "--immediate-mode", "-U", "-Z", "root", "-s", "0", "-B", "65536", "-w"])
            .arg(directory.path().join("export.pcap"))
            .arg(format!("{filter} or udp dst port {end_port}"));
        if let Some(netns) = netns {
            tcpdump = tcpdump.netns(netns);
        }
        let mut running = tcpdump.start()?;
        running.until(LIMIT, "listening", |it| Ok(it.stderr().contains("listening on")))?;
        let netns = netns.map(|netns| netns.name().to_owned());
        Ok(Self { running, directory, port, end_port, netns })
    }

    /// Ends the recording once everything that was sent before this call is in it.
    pub fn stop(mut self) -> Result<Sniffed> {
        let file = self.directory.path().join("export.pcap");
        // A datagram of our own comes after all others: when it is in the file, so are they.
        match &self.netns {
            None => {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                socket.send_to(b"end", (Ipv4Addr::LOCALHOST, self.end_port))?;
            }
            Some(netns) => {
                let send = format!("printf end > /dev/udp/127.0.0.1/{}", self.end_port);
                Program::find("ip")?
                    .args(["netns", "exec", netns, "bash", "-c", &send])
                    .run(LIMIT)?
                    .success()?;
            }
        }
        let end_port = self.end_port;
        self.running.until(LIMIT, "done with recording", |_| {
            // Half of a frame may be written at this instant: that is not yet an end.
            Ok(pcap::read(&file, end_port).is_ok_and(|recording| !recording.datagrams.is_empty()))
        })?;
        let log = self.running.stop(Signal::INT, LIMIT)?.success()?.stderr;
        ensure!(log.contains("\n0 packets dropped by kernel"), "the recording has holes: {log}");
        let recording = pcap::read(&file, self.port).context("the recording")?;
        Ok(Sniffed { file, port: self.port, recording, _directory: self.directory })
    }
}

/// A finished recording.
pub struct Sniffed {
    file: PathBuf,
    /// The collector's port, where there is one.
    pub port: u16,
    /// The datagrams to it.
    pub recording: Recording,
    _directory: TempDir,
}

impl Sniffed {
    /// The pcap file, which is removed with this value.
    pub fn file(&self) -> &Path {
        &self.file
    }
}
