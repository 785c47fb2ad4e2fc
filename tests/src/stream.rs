//! Export over TCP and TLS: receivers that are not ours, and the octets of a session.
//!
//! socat takes plain TCP, OpenSSL's server TLS. Each takes one session and writes its octets to a file: an
//! IPFIX file (RFC 5655), which [`messages`] cuts into messages.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::netns::Netns;
use crate::pcap::Datagram;
use crate::pki::Pki;
use crate::process::{Program, Running};
use crate::udp::free_port;

const LIMIT: Duration = Duration::from_secs(30);

/// A running receiver of one session.
pub struct Receiver {
    running: Running,
    port: u16,
    file: PathBuf,
    directory: TempDir,
}

impl Receiver {
    /// socat on a free port of the loopback, here or in a namespace.
    pub fn tcp(netns: Option<&Netns>) -> Result<Self> {
        Self::tcp_at(free_port()?, netns)
    }

    /// The same at a given port.
    pub fn tcp_at(port: u16, netns: Option<&Netns>) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("session.ipfix");
        let socat = Program::find("socat")?
            .args(["-u", &format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr")])
            .arg(format!("CREATE:{}", file.display()));
        Self::start(socat, port, file, directory, netns)
    }

    /// OpenSSL's server on a free port of the loopback, which logs the session's keys for tshark.
    pub fn tls(pki: &Pki, version: &str) -> Result<Self> {
        let (port, directory) = (free_port()?, tempfile::tempdir()?);
        let openssl = Program::find("openssl")?
            .args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-cert"])
            .arg(pki.certificate())
            .arg("-key")
            .arg(pki.key())
            .arg("-keylogfile")
            .arg(directory.path().join("keys.log"))
            .args([version, "-quiet", "-naccept", "1"])
            // At the end of its input it would drop the session and write nothing.
            .open_stdin();
        let mut receiver = Self::start(openssl, port, PathBuf::new(), directory, None)?;
        receiver.file = receiver.running.stdout_file().to_owned();
        Ok(receiver)
    }

    fn start(
        program: Program,
        port: u16,
        file: PathBuf,
        directory: TempDir,
        netns: Option<&Netns>,
    ) -> Result<Self> {
        let program = if let Some(netns) = netns { program.netns(netns) } else { program };
        let mut running = program.start()?;
        running.until(LIMIT, "listening", |it| listens(it, port))?;
        Ok(Self { running, port, file, directory })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The secrets of the TLS session, as SSLKEYLOGFILE has them.
    pub fn keys(&self) -> PathBuf {
        self.directory.path().join("keys.log")
    }

    /// The octets that have arrived so far.
    pub fn so_far(&self) -> Vec<u8> {
        std::fs::read(&self.file).unwrap_or_default()
    }

    /// Stops the receiver: it reads no more, and its connection stays.
    pub fn stall(&self) -> Result<()> {
        self.running.signal(Signal::STOP)
    }

    /// Lets it continue.
    pub fn resume(&self) -> Result<()> {
        self.running.signal(Signal::CONT)
    }

    /// Ends it in the middle; gives the octets that it had read.
    pub fn kill(mut self) -> Result<Received> {
        self.running.signal(Signal::KILL)?;
        self.running.ended(LIMIT)?;
        Ok(Received { octets: self.so_far(), receiver: self })
    }

    /// Waits for the end of the session; the file of the octets goes with the result.
    pub fn finish(mut self) -> Result<Received> {
        let status = self.running.ended(LIMIT)?;
        ensure!(status.success(), "the receiver ended with {status}: {}", self.running.stderr());
        let octets = std::fs::read(&self.file).context("what the receiver read")?;
        Ok(Received { octets, receiver: self })
    }
}

/// A finished session.
pub struct Received {
    /// The octets that the application read.
    pub octets: Vec<u8>,
    receiver: Receiver,
}

impl Received {
    /// The file with the octets, which is removed with this value.
    pub fn file(&self) -> &Path {
        &self.receiver.file
    }

    /// The secrets of the TLS session.
    pub fn keys(&self) -> PathBuf {
        self.receiver.keys()
    }
}

fn listens(running: &Running, port: u16) -> Result<bool> {
    let path = format!("/proc/{}/net/tcp", running.pid());
    let table = std::fs::read_to_string(&path).context(path)?;
    let wanted = format!(":{port:04X}");
    Ok(table.lines().any(|line| {
        let mut cells = line.split_whitespace().skip(1);
        // Local address, remote address, state: 0A is "listening".
        cells.next().is_some_and(|local| local.ends_with(&wanted)) && cells.nth(1) == Some("0A")
    }))
}

/// Cuts a stream into its messages, by the lengths in their headers.
pub fn messages(octets: &[u8]) -> Result<Vec<&[u8]>> {
    let (mut rest, mut messages) = (octets, Vec::new());
    while let [major, minor, high, low, ..] = *rest {
        let (version, length) = (u16::from_be_bytes([major, minor]), u16::from_be_bytes([high, low]));
        ensure!(version == 10 && length >= 16, "no IPFIX message at octet {}", octets.len() - rest.len());
        let cut = || format!("a message of {length} octets is cut after {}", rest.len());
        let (message, behind) = rest.split_at_checked(length.into()).with_context(cut)?;
        messages.push(message);
        rest = behind;
    }
    ensure!(rest.is_empty(), "{} stray octets at the end", rest.len());
    Ok(messages)
}

/// The messages of a stream as datagrams from one sender, for collectors that know only UDP.
pub fn datagrams(octets: &[u8]) -> Result<Vec<Datagram>> {
    let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let datagram = |message: &[u8]| Datagram { from: here(1), to: here(2), payload: message.to_vec() };
    Ok(messages(octets)?.into_iter().map(datagram).collect())
}
