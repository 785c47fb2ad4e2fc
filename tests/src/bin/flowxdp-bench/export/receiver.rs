//! A collector over UDP that only adds up, with a buffer as large as the system allows.
//!
//! The collector reads now and then and never blocks: over loopback the sender would pay for each wake-up, as
//! no sender does whose collector is another machine.

use std::fs::File;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use flowxdp_tests::delivery::Records;
use flowxdp_tests::netns::Netns;
use rustix::net::sockopt;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::decode::{Flow, Layouts};

/// Octets of the receive buffer, if we may.
const BUFFER: usize = 256 << 20;

/// Time between two reads.
const LOOK: Duration = Duration::from_micros(200);

/// So long nothing comes after the last datagram.
const QUIET: Duration = Duration::from_millis(100);

/// A receiver in a thread of its own.
pub(crate) struct Receiver {
    port: u16,
    over: Arc<AtomicBool>,
    records: Arc<AtomicU64>,
    thread: JoinHandle<Result<Received>>,
}

/// The received messages.
#[derive(Default)]
pub(crate) struct Received {
    /// Data records, with their sums.
    pub(crate) total: Records,
    /// When the first and the last datagram were read.
    times: Option<(Instant, Instant)>,
    /// Octets of all messages one behind the other, and where each ends, if they are kept.
    octets: Vec<u8>,
    ends: Vec<usize>,
}

impl Received {
    /// From the first datagram to the last one.
    pub(crate) fn sending(&self) -> Duration {
        self.times.map_or(Duration::ZERO, |(first, last)| last - first)
    }

    /// When the last datagram was read.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.times.map(|(_, last)| last)
    }

    /// The messages that were kept.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(&start, &end)| self.octets.get(start..end).unwrap_or_default())
    }

    /// Every record of the messages that were kept, in order.
    pub(crate) fn flows(&self) -> Vec<Flow> {
        let (layouts, mut flows) = (Layouts::new(), Vec::new());
        self.messages().for_each(|message| layouts.flows(message, &mut flows));
        flows.sort_unstable();
        flows
    }
}

impl Receiver {
    /// One that adds up only.
    pub(crate) fn start() -> Result<Self> {
        Self::begin(false)
    }

    /// A receiver that keeps messages.
    pub(crate) fn keeping() -> Result<Self> {
        Self::begin(true)
    }

    /// One that adds up, on the loopback of a namespace.
    pub(crate) fn start_in(netns: &Netns) -> Result<Self> {
        Self::begin_in(netns, false)
    }

    /// A receiver that keeps messages, on the loopback of a namespace.
    pub(crate) fn keeping_in(netns: &Netns) -> Result<Self> {
        Self::begin_in(netns, true)
    }

    fn begin_in(netns: &Netns, keep: bool) -> Result<Self> {
        let namespace = File::open(Path::new("/run/netns").join(netns.name()))?;
        // The receiver's thread is in the namespace of the one that starts it.
        thread::scope(|scope| {
            let starting = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                Self::begin(keep)
            });
            starting.join().map_err(|_| anyhow!("the receiver panicked"))?
        })
    }

    fn begin(keep: bool) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        // Beyond the system's limit as root, up to it otherwise.
        if sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, BUFFER)?;
        }
        socket.set_nonblocking(true)?;
        let (port, over, records) = (socket.local_addr()?.port(), Arc::default(), Arc::default());
        let thread = thread::spawn({
            let (over, records) = (Arc::clone(&over), Arc::clone(&records));
            move || receive(&socket, &over, &records, keep)
        });
        Ok(Self { port, over, records, thread })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Data records so far.
    pub(crate) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Reads the remaining messages; gives all.
    pub(crate) fn finish(self) -> Result<Received> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the receiver panicked"))?
    }
}

fn receive(socket: &UdpSocket, over: &AtomicBool, records: &AtomicU64, keep: bool) -> Result<Received> {
    let layouts = Layouts::new();
    let mut octets = vec![0; 1 << 16];
    let (mut received, mut last) = (Received::default(), Instant::now());
    loop {
        match socket.recv(&mut octets) {
            Ok(length) => {
                let message = octets.get(..length).unwrap_or_default();
                last = Instant::now();
                received.times = Some((received.times.map_or(last, |(first, _)| first), last));
                received.total = received.total + layouts.sum(message);
                records.store(received.total.records, Ordering::Relaxed);
                if keep {
                    received.octets.extend_from_slice(message);
                    received.ends.push(received.octets.len());
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if over.load(Ordering::Relaxed) && last.elapsed() > QUIET {
                    return Ok(received);
                }
                thread::sleep(LOOK);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
