//! A collector over UDP that only counts, with a buffer as large as the system allows.
//!
//! It looks now and then and never blocks: over loopback the sender would pay for each time that it wakes,
//! as no sender does whose collector is another machine.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use flowxdp_core::template::{Kind, Template};
use flowxdp_core::wire::Protocol;
use rustix::net::sockopt;

/// Octets of the receive buffer, if we may.
const BUFFER: usize = 256 << 20;

/// It looks so often.
const LOOK: Duration = Duration::from_micros(200);

/// So long nothing comes after the last datagram.
const QUIET: Duration = Duration::from_millis(100);

/// A receiver in a thread of its own.
pub(crate) struct Receiver {
    port: u16,
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Receiver {
    pub(crate) fn start() -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        // Beyond the system's limit as root, up to it otherwise.
        if sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, BUFFER)?;
        }
        socket.set_nonblocking(true)?;
        let (port, over) = (socket.local_addr()?.port(), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let over = Arc::clone(&over);
            move || count(&socket, &over)
        });
        Ok(Self { port, over, thread })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Reads what is left; gives the data records of all.
    pub(crate) fn finish(self) -> Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the receiver panicked"))?
    }
}

fn count(socket: &UdpSocket, over: &AtomicBool) -> Result<u64> {
    let lengths = lengths();
    let mut octets = vec![0; 1 << 16];
    let (mut records, mut last) = (0, Instant::now());
    loop {
        match socket.recv(&mut octets) {
            Ok(length) => {
                records += data_records(&octets[..length], &lengths);
                last = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if over.load(Ordering::Relaxed) && last.elapsed() > QUIET {
                    return Ok(records);
                }
                thread::sleep(LOOK);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Octets of the records of our templates in IPFIX and v9.
pub(crate) type Lengths = [[usize; Kind::ALL.len()]; 2];

pub(crate) fn lengths() -> Lengths {
    [Protocol::Ipfix, Protocol::V9]
        .map(|protocol| Kind::ALL.map(|kind| Template::new(protocol, kind).record_length()))
}

/// Data records of a message.
pub(crate) fn data_records(message: &[u8], lengths: &Lengths) -> u64 {
    let word =
        |at: usize| message.get(at..at + 2).map_or(0, |it| usize::from(it[0]) << 8 | usize::from(it[1]));
    let (mut at, lengths) = match word(0) {
        10 => (16, &lengths[0]),
        9 => (20, &lengths[1]),
        // The header of v5 tells.
        _ => return word(2) as u64,
    };
    let mut records = 0;
    while at + 4 < message.len() && word(at + 2) >= 4 {
        let record = word(at).checked_sub(256).and_then(|kind| lengths.get(kind));
        records += record.map_or(0, |record| (word(at + 2) - 4) / record);
        at += word(at + 2);
    }
    records as u64
}
