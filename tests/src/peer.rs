//! A receiver of TCP and TLS that keeps each session's octets as they came, and can stall or die.
//!
//! The receiver judges nothing and treats connections as a collector's process does: a stalled one neither
//! accepts nor reads, a dying one closes its sockets with unread octets in them, and a leaving one ends its
//! side and reads until the exporter ends the other.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::judge::sessions::Session;
use crate::netns::Netns;

/// How soon an order is followed.
const TICK: Duration = Duration::from_millis(5);
/// Octets that the kernel keeps for one that does not read, so that this does not depend on the machine: left
/// to itself, some let the buffer of a fast connection grow past all that a test sends.
const BUFFER: usize = 1 << 18;

struct Shared {
    /// Octets that it keeps before it stalls: 0 where it stalls now.
    until: AtomicUsize,
    dead: AtomicBool,
    leaving: AtomicBool,
    sessions: Mutex<Vec<Session>>,
}

impl Shared {
    fn kept(&self) -> usize {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.iter().map(|session| session.octets.len()).sum()
    }

    fn stalled(&self) -> bool {
        self.kept() >= self.until.load(Ordering::Relaxed)
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut Session)) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.get_mut(number) {
            change(session);
        }
    }

    fn begin(&self) -> usize {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.push(Session::default());
        sessions.len() - 1
    }
}

/// A receiver that listens on the loopback of a namespace.
pub struct Peer {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

impl Peer {
    /// Listens on a port, 0 for any; with a configuration it speaks TLS.
    pub fn start(netns: &Netns, port: u16, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        Self::start_on(Ipv4Addr::LOCALHOST, netns, port, tls)
    }

    /// The same at another address of the namespace.
    pub fn start_on(
        address: Ipv4Addr,
        netns: &Netns,
        port: u16,
        tls: Option<Arc<ServerConfig>>,
    ) -> Result<Self> {
        let namespace = File::open(Path::new("/run/netns").join(netns.name()))?;
        // A thread of its own moves into the namespace and ends there; the socket stays.
        let bound = std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            anyhow::Ok(TcpListener::bind((address, port))?)
        });
        let listener = bound.join().map_err(|_| anyhow!("binding panicked"))?.context("a receiver's port")?;
        // Accepted sockets inherit it.
        set_socket_recv_buffer_size(&listener, BUFFER)?;
        listener.set_nonblocking(true)?;
        let shared = Shared {
            until: AtomicUsize::new(usize::MAX),
            dead: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            sessions: Mutex::default(),
        };
        let (address, shared) = (listener.local_addr()?, Arc::new(shared));
        let theirs = Arc::clone(&shared);
        let listening = Some(std::thread::spawn(move || listen(listener, &theirs, tls.as_ref())));
        Ok(Self { address, shared, listening })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Stops to accept and to read, or starts again.
    pub fn stall(&self, stalled: bool) {
        self.stall_at(if stalled { 0 } else { usize::MAX });
    }

    /// Stops to accept and to read as soon as it keeps so many octets, however soon they come.
    pub fn stall_at(&self, octets: usize) {
        self.shared.until.store(octets, Ordering::Relaxed);
    }

    /// The octets that came so far.
    pub fn sessions(&self) -> Vec<Session> {
        self.shared.sessions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Octets that came so far.
    pub fn received(&self) -> usize {
        self.shared.kept()
    }

    /// The octets that came since the last call, by session; the peer forgets them.
    pub fn take(&self) -> Vec<Vec<u8>> {
        let mut sessions = self.shared.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.iter_mut().map(|session| std::mem::take(&mut session.octets)).collect()
    }

    /// Whether every session has ended.
    pub fn is_idle(&self) -> bool {
        self.sessions().iter().all(|session| session.ended)
    }

    /// Closes every socket at once, as the death of a process does, and gives the octets that came.
    pub fn kill(&mut self) -> Vec<Session> {
        self.end();
        self.sessions()
    }

    /// Accepts no more, ends its side of every session, reads each to the exporter's end, and gives the
    /// octets.
    pub fn leave(&mut self) -> Vec<Session> {
        self.shared.leaving.store(true, Ordering::Relaxed);
        if let Some(listening) = self.listening.take() {
            drop(listening.join());
        }
        self.sessions()
    }

    fn end(&mut self) {
        self.shared.dead.store(true, Ordering::Relaxed);
        if let Some(listening) = self.listening.take() {
            // A panic of that thread was printed, and its octets are incomplete, which the test finds.
            drop(listening.join());
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.end();
    }
}

fn listen(listener: TcpListener, shared: &Arc<Shared>, tls: Option<&Arc<ServerConfig>>) {
    let mut reading = Vec::new();
    while !shared.dead.load(Ordering::Relaxed) && !shared.leaving.load(Ordering::Relaxed) {
        let accepted = if shared.stalled() { None } else { listener.accept().ok() };
        let Some((stream, _)) = accepted else {
            std::thread::sleep(TICK);
            continue;
        };
        let (theirs, tls) = (Arc::clone(shared), tls.cloned());
        reading.push(std::thread::spawn(move || {
            let number = theirs.begin();
            let error = session(stream, number, &theirs, tls).err().map(|error| format!("{error:#}"));
            theirs.change(number, |session| (session.error, session.ended) = (error, true));
        }));
    }
    // The kernel refuses further connections, and leaves none in a queue that ends by a reset.
    drop(listener);
    for thread in reading {
        drop(thread.join());
    }
}

/// The octets of a session, in clear or under TLS.
enum Octets {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Octets {
    fn read(&mut self, octets: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(octets),
            Self::Tls(stream) => stream.read(octets),
        }
    }

    /// Ends this side in order, and no more than this side.
    fn leave(&mut self) -> std::io::Result<()> {
        match self {
            Self::Clear(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.conn.write_tls(&mut stream.sock).map(|_| ())
            }
        }
    }
}

/// Reads until the end, an error or the order to die; then the socket closes.
fn session(stream: TcpStream, number: usize, shared: &Shared, tls: Option<Arc<ServerConfig>>) -> Result<()> {
    // An accepted socket blocks; so it looks for orders now and then.
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(TICK))?;
    let mut stream = match tls {
        Some(config) => Octets::Tls(Box::new(StreamOwned::new(ServerConnection::new(config)?, stream))),
        None => Octets::Clear(stream),
    };
    let (mut octets, mut left) = (vec![0; 1 << 16], false);
    while !shared.dead.load(Ordering::Relaxed) {
        if shared.stalled() {
            std::thread::sleep(TICK);
            continue;
        }
        if !left && shared.leaving.load(Ordering::Relaxed) {
            stream.leave()?;
            left = true;
        }
        match stream.read(&mut octets) {
            Ok(0) => return Ok(()),
            Ok(count) => shared.change(number, |session| session.octets.extend_from_slice(&octets[..count])),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
