//! UDP on this machine: free ports, the ports of a process, a plain receiver.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::pcap::Datagram;
use crate::process::{Finished, Running, patient};

/// A free port, over UDP and TCP, below the ports that the kernel gives to clients.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test binaries that run at the same time begin at different places.
    let start = u16::try_from(std::process::id() % 9_000)?;
    // Looked up and not tried: a child that is just being started would for a moment hold a tried socket.
    let taken = ["udp", "udp6", "tcp", "tcp6"]
        .map(|table| format!("/proc/net/{table}"))
        .map(|table| std::fs::read_to_string(table).unwrap_or_default());
    for _ in 0..1_000 {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if !taken.iter().any(|table| table.contains(&format!(":{port:04X} "))) {
            return Ok(port);
        }
    }
    bail!("there is no free port")
}

/// The state of one bound UDP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Octets that wait to be read.
    pub waiting: u64,
    /// Datagrams that the kernel dropped, because the buffer was full.
    pub drops: u64,
}

/// Looks up a port in the network namespace of a process.
pub fn bound(running: &Running, port: u16) -> Result<Option<Bound>> {
    for table in ["udp", "udp6"] {
        let path = format!("/proc/{}/net/{table}", running.pid());
        // A kernel without IPv6 has no second table.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for line in text.lines().skip(1) {
            let cells: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(queues), Some(drops)) = (cells.get(1), cells.get(4), cells.last()) else {
                bail!("{path}: {line}");
            };
            if local.ends_with(&format!(":{port:04X}")) {
                let waiting = queues.split_once(':').context("no queues")?.1;
                let bound = Bound { waiting: u64::from_str_radix(waiting, 16)?, drops: drops.parse()? };
                return Ok(Some(bound));
            }
        }
    }
    Ok(None)
}

/// Waits until a collector has bound its port.
pub fn until_bound(collector: &mut Running, port: u16) -> Result<()> {
    collector.until(Duration::from_secs(10), "listening", |it| Ok(bound(it, port)?.is_some()))
}

/// Looks at a bound port before it counts as closed: the kernel prints its table in parts, and a socket may
/// be missing from one reading while others come and go.
const LOOKS: u32 = 20;

/// Waits until a collector has read all datagrams that were sent to it, and sleeps until the next one comes; gives the
/// drops of its socket.
///
/// A collector that is ended between its read of a datagram and the next wait may leave that datagram out: nfcapd 1.7
/// asks after each read first whether a signal came.
pub fn until_read(collector: &mut Running, port: u16) -> Result<u64> {
    let (mut drops, mut missing) = (0, 0);
    collector.until(Duration::from_secs(30), "done with reading", |it| {
        let Some(state) = bound(it, port)? else {
            missing += 1;
            ensure!(missing < LOOKS, "the collector has closed its port");
            return Ok(false);
        };
        drops = state.drops;
        // In this order: a process that sleeps after its queue was empty has nothing in hand.
        Ok(state.waiting == 0 && sleeps(it.pid())?)
    })?;
    Ok(drops)
}

/// Whether no thread of a process runs or waits for a CPU or a disk.
fn sleeps(pid: u32) -> Result<bool> {
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while the folder is read.
        let Ok(stat) = std::fs::read_to_string(task?.path().join("stat")) else { continue };
        let state = stat.rsplit_once(") ").with_context(|| format!("/proc/{pid}: {stat}"))?.1;
        if !state.starts_with('S') {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sends datagrams again, to a port of the loopback; each of their senders gets a socket of its own.
/// `every` is called after every 32 of them: a socket buffer of default size surely holds that many.
pub fn resend(datagrams: &[Datagram], port: u16, mut every: impl FnMut() -> Result<()>) -> Result<()> {
    let mut senders: BTreeMap<SocketAddr, UdpSocket> = BTreeMap::new();
    for some in datagrams.chunks(32) {
        for datagram in some {
            let sender = match senders.entry(datagram.from) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?),
            };
            sender.send_to(&datagram.payload, (Ipv4Addr::LOCALHOST, port))?;
        }
        every()?;
    }
    Ok(())
}

/// A receiver in the test itself.
pub struct Inbox {
    socket: UdpSocket,
    at: SocketAddr,
}

impl Inbox {
    /// Binds a free port on the loopback.
    pub fn new() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, free_port()?))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let at = socket.local_addr()?;
        Ok(Self { socket, at })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.at.port()
    }

    /// Receives until the exporter has ended and nothing is left.
    pub fn during(self, mut exporter: Running, limit: Duration) -> Result<(Vec<Datagram>, Finished)> {
        let deadline = Instant::now() + patient(limit);
        let (mut datagrams, mut buffer) = (Vec::new(), vec![0; 65_535]);
        loop {
            // Asked before the read: datagrams sent before the end are then in the buffer already.
            let ended = !exporter.alive()? || Instant::now() > deadline;
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    let payload = buffer.get(..length).unwrap_or_default().to_vec();
                    datagrams.push(Datagram { from, to: self.at, payload });
                }
                Err(_) if ended => return Ok((datagrams, exporter.wait(Duration::ZERO)?)),
                Err(_) => {}
            }
        }
    }
}
