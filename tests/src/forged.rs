//! A collector over UDP that receives all, while forged ICMP messages say that it does not.
//!
//! Any host on the way can send them: from an address of choice, with a quote of the IP and UDP headers
//! (RFC 792), or of the last message as well, as Linux has it (RFC 1812 section 4.3.2.3).

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};

use crate::netns::Netns;

/// Octets that an ICMP message quotes at most: 576 with its headers.
const QUOTED: usize = 548;

/// A forged message, sent again and again.
#[derive(Clone, Copy, Debug)]
pub struct Forgery {
    /// The address that says so.
    pub from: Ipv4Addr,
    /// ICMP type and code.
    pub kind: (u8, u8),
    /// The MTU in it.
    pub mtu: u16,
    /// The forged message quotes the last message, not the headers alone.
    pub quotes: bool,
    /// Messages a second.
    pub rate: u32,
}

/// The collector.
pub struct Collector {
    thread: Option<JoinHandle<Result<u64>>>,
    octets: Arc<Mutex<Vec<u8>>>,
    lies: Arc<AtomicBool>,
    done: Arc<AtomicBool>,
}

fn checksum(octets: &[u8]) -> u16 {
    let words =
        octets.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(u16::MAX)
}

fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: usize) -> Vec<u8> {
    let length = u16::try_from(20 + payload).unwrap_or(u16::MAX).to_be_bytes();
    let mut header = vec![0x45, 0, length[0], length[1], 0, 7, 0x40, 0, 64, protocol, 0, 0];
    header.extend(source.octets());
    header.extend(destination.octets());
    let sum = checksum(&header).to_be_bytes();
    header[10..12].copy_from_slice(&sum);
    header
}

impl Forgery {
    /// The packet that says it of a message from one address to another.
    fn packet(&self, from: SocketAddrV4, to: SocketAddrV4, message: &[u8]) -> Vec<u8> {
        let mut quoted = ipv4(*from.ip(), *to.ip(), 17, 8 + message.len());
        let length = u16::try_from(8 + message.len()).unwrap_or(u16::MAX);
        for field in [from.port(), to.port(), length, 0x1234] {
            quoted.extend(field.to_be_bytes());
        }
        if self.quotes {
            quoted.extend(message);
            quoted.truncate(QUOTED);
        }
        let mtu = self.mtu.to_be_bytes();
        let mut icmp = vec![self.kind.0, self.kind.1, 0, 0, 0, 0, mtu[0], mtu[1]];
        icmp.extend(quoted);
        let sum = checksum(&icmp).to_be_bytes();
        icmp[2..4].copy_from_slice(&sum);
        [ipv4(self.from, *from.ip(), 1, icmp.len()), icmp].concat()
    }
}

impl Collector {
    /// Receives at this address in a namespace. Nothing is forged yet.
    pub fn start(netns: &Netns, at: SocketAddrV4, forgery: Forgery) -> Result<Self> {
        let (receiver, raw) = netns.inside(|| {
            let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW))?;
            Ok((UdpSocket::bind(at)?, raw))
        })?;
        let (octets, lies) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let done = Arc::new(AtomicBool::new(false));
        let seen = (Arc::clone(&octets), Arc::clone(&lies), Arc::clone(&done));
        let thread = std::thread::spawn(move || run(&receiver, &raw, at, forgery, &seen));
        Ok(Self { thread: Some(thread), octets, lies, done })
    }

    /// All messages so far, one behind the other.
    pub fn so_far(&self) -> Vec<u8> {
        self.octets.lock().map(|octets| octets.clone()).unwrap_or_default()
    }

    /// Begins to forge, or ends it.
    pub fn forge(&self, forge: bool) {
        self.lies.store(forge, Ordering::Relaxed);
    }

    /// Ends it; gives all messages, and how many were forged.
    pub fn stop(mut self) -> Result<(Vec<u8>, u64)> {
        self.done.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it was stopped")?;
        let forged = thread.join().map_err(|_| anyhow!("the collector panicked"))??;
        Ok((self.so_far(), forged))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

type Shared = (Arc<Mutex<Vec<u8>>>, Arc<AtomicBool>, Arc<AtomicBool>);

fn run(
    receiver: &UdpSocket,
    raw: &OwnedFd,
    at: SocketAddrV4,
    forgery: Forgery,
    (octets, lies, done): &Shared,
) -> Result<u64> {
    let (pause, mut next) = (Duration::from_secs(1) / forgery.rate, Instant::now());
    receiver.set_read_timeout(Some(pause.min(Duration::from_millis(10))))?;
    let (mut buffer, mut last, mut forged) = (vec![0; 65_535], None, 0);
    while !done.load(Ordering::Relaxed) {
        if let Ok((length, SocketAddr::V4(from))) = receiver.recv_from(&mut buffer) {
            let message = buffer.get(..length).unwrap_or_default();
            octets.lock().map_err(|_| anyhow!("poisoned"))?.extend(message);
            last = Some((from, message.to_vec()));
        }
        if let Some((from, message)) = &last
            && lies.load(Ordering::Relaxed)
            && Instant::now() >= next
        {
            let to = SocketAddrV4::new(*from.ip(), 0);
            sendto(raw, &forgery.packet(*from, at, message), SendFlags::empty(), &to)?;
            (next, forged) = (Instant::now() + pause, forged + 1);
        }
    }
    Ok(forged)
}
