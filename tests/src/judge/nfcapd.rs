//! nfcapd and nfdump: the flows row by row, the sequence, and everything that nfcapd logs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use super::Verdict;
use crate::books::Count;
use crate::flows::{Key, Record, Sums, Tuple};
use crate::netns::Netns;
use crate::pcap::Datagram;
use crate::process::{Program, Running};
use crate::udp;

const LIMIT: Duration = Duration::from_secs(60);

/// Words in a line of its log that mean that something went wrong.
const COMPLAINTS: [&str; 9] =
    ["rror", "nexpected", "beyond", "Skip", "nvalid", "Too little", "Panic", "failed", "Abort"];

/// A running nfcapd.
pub struct Nfcapd {
    running: Running,
    port: u16,
    directory: TempDir,
}

impl Nfcapd {
    /// Starts it on a free port of the loopback, here or in a namespace, and waits until it listens.
    pub fn start(netns: Option<&Netns>) -> Result<Self> {
        Self::start_at(udp::free_port()?, netns)
    }

    /// The same at a given port.
    pub fn start_at(port: u16, netns: Option<&Netns>) -> Result<Self> {
        Self::start_on(Ipv4Addr::LOCALHOST, port, netns)
    }

    /// The same at a given address and port. No other collector may have the port in that namespace.
    pub fn start_on(address: Ipv4Addr, port: u16, netns: Option<&Netns>) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut nfcapd = Program::find("nfcapd")?
            .args(["-v", "-4", "-b", &address.to_string(), "-p", &port.to_string(), "-w"])
            .arg(directory.path())
            // No new file within a test; a burst must fit its socket's buffer.
            .args(["-t", "86400", "-B", "64000000"]);
        if let Some(netns) = netns {
            nfcapd = nfcapd.netns(netns);
        }
        let mut running = nfcapd.start()?;
        udp::until_bound(&mut running, port)?;
        running.until(Duration::from_secs(10), "started", |it| Ok(log(it).contains("Startup nfcapd")))?;
        Ok(Self { running, port, directory })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Its URL for an exporter: as operators of nfdump write it, so that no sequence failure is its own.
    pub fn url(&self) -> String {
        format!("udp://127.0.0.1:{}?preset=nfdump", self.port)
    }

    /// The same in a protocol.
    pub fn url_of(&self, protocol: &str) -> String {
        format!("{}&protocol={protocol}", self.url())
    }

    /// Sends it datagrams again, which came over something else.
    pub fn feed(&mut self, datagrams: &[Datagram]) -> Result<()> {
        let Self { running, port, .. } = self;
        udp::resend(datagrams, *port, || udp::until_read(running, *port).map(|_| ()))
    }

    /// Ends it once it has read all datagrams, and reads the flows that it stored.
    pub fn stop(self) -> Result<Verdict> {
        let stored = self.store()?;
        let records = stored.records("any")?;
        ensure!(
            records.len() as u64 == stored.count,
            "nfcapd stored {} records, nfdump prints {}",
            stored.count,
            records.len()
        );
        Ok(Verdict { records, findings: stored.findings })
    }

    /// Ends it once it has read all datagrams; its stored flows are there to be read.
    pub fn store(mut self) -> Result<Stored> {
        let mut findings = Vec::new();
        match udp::until_read(&mut self.running, self.port)? {
            0 => {}
            drops => {
                findings.push(format!("nfcapd's own socket dropped {drops} datagrams: export is not paced"))
            }
        }
        let ended = self.running.stop(Signal::TERM, LIMIT)?.success()?;
        let count = read_log(&format!("{}{}", ended.stdout, ended.stderr), &mut findings)?;
        Ok(Stored { directory: self.directory, count, findings })
    }
}

/// The flows that an nfcapd that has ended stored.
pub struct Stored {
    directory: TempDir,
    /// Records.
    pub count: u64,
    /// Its complaints.
    pub findings: Vec<String>,
}

impl Stored {
    /// The records that a filter of nfdump lets through.
    pub fn records(&self, filter: &str) -> Result<Vec<Record>> {
        let rows = self.nfdump(&["-q", "-o", "pipe", filter])?;
        let rows = rows.lines().filter(|line| !line.is_empty() && *line != "No matching flows");
        rows.map(|row| record(row).with_context(|| row.to_owned())).collect()
    }

    /// Packets and octets of all records, added up by nfdump.
    pub fn total(&self) -> Result<Count> {
        total(self.directory.path())
    }

    fn nfdump(&self, arguments: &[&str]) -> Result<String> {
        nfdump(self.directory.path(), arguments)
    }
}

/// Packets and octets of all records in a folder's files, added up by nfdump.
pub fn total(folder: &Path) -> Result<Count> {
    let text = nfdump(folder, &["-I"])?;
    let number = |name: &str| -> Result<u64> {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        Ok(value.with_context(|| format!("no {name} in: {text}"))?.trim().parse()?)
    };
    Ok(Count { packets: number("Packets")?, octets: number("Bytes")? })
}

fn nfdump(folder: &Path, arguments: &[&str]) -> Result<String> {
    let nfdump = Program::find("nfdump")?.arg("-R").arg(folder).args(arguments);
    Ok(nfdump.run(LIMIT)?.success()?.stdout)
}

fn log(running: &Running) -> String {
    format!("{}{}", running.stdout(), running.stderr())
}

/// Adds the complaints of the log; gives the number of records that were stored by its words.
fn read_log(log: &str, findings: &mut Vec<String>) -> Result<u64> {
    let mut stored = None;
    for line in log.lines() {
        let Some((_, summary)) = line.strip_prefix("Ident: ").and_then(|line| line.split_once("Flows: "))
        else {
            if COMPLAINTS.iter().any(|word| line.contains(word)) {
                findings.push(format!("nfcapd: {line}"));
            }
            continue;
        };
        let flows = summary.split(',').next().unwrap_or_default();
        *stored.get_or_insert(0) += flows.trim().parse::<u64>().with_context(|| line.to_owned())?;
        for counter in ["Sequence Errors: ", "Bad Packets: "] {
            let value = summary.split_once(counter).with_context(|| format!("no {counter:?} in: {line}"))?.1;
            if value.split(',').next() != Some("0") {
                findings.push(format!("nfcapd: {line}"));
                break;
            }
        }
    }
    stored.context("nfcapd's log has no summary")
}

/// `af|first|last|proto|sa×4|sport|da×4|dport|sas|das|in|out|flags|tos|packets|octets`.
fn record(row: &str) -> Result<Record> {
    let cells = row.split('|').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    let [family, first, last, proto, rest @ ..] = cells.as_slice() else { bail!("too short") };
    let [s0, s1, s2, s3, sport, d0, d1, d2, d3, dport, _, _, ingress, _, flags, tos, packets, octets] = rest
    else {
        bail!("not the 22 columns of nfdump 1.7");
    };
    let tuple = Tuple {
        src: address(*family, [*s0, *s1, *s2, *s3])?,
        dst: address(*family, [*d0, *d1, *d2, *d3])?,
        proto: u8::try_from(*proto)?,
        sport: u16::try_from(*sport)?,
        dport: u16::try_from(*dport)?,
    };
    let sums = Sums {
        packets: *packets,
        octets: *octets,
        flags: Some(u8::try_from(*flags)?),
        first_ms: Some(*first),
        last_ms: Some(*last),
        min_ttl: None,
        max_ttl: None,
    };
    let key = Key { tuple, vlan: None, tos: Some(u8::try_from(*tos)?) };
    Ok(Record { key, sums, end_reason: None, ingress: Some(u32::try_from(*ingress)?), exported_s: None })
}

fn address(family: u64, words: [u64; 4]) -> Result<IpAddr> {
    let mut bytes = [0; 16];
    for (place, word) in bytes.chunks_mut(4).zip(words) {
        place.copy_from_slice(&u32::try_from(word)?.to_be_bytes());
    }
    let [.., a, b, c, d] = bytes;
    Ok(if family == 10 { Ipv6Addr::from(bytes).into() } else { Ipv4Addr::new(a, b, c, d).into() })
}
