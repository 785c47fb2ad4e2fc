//! Confines itself as the agent does, or as its loader does, and then tries the calls that neither must be able to make.
//!
//! `flowxdp-confined on|loader|off READ WRITTEN FORBIDDEN`: a file that is read again, a folder that is
//! written, and a folder that is neither, with a file `secret`. One line for each try: its name, and `done`
//! or the kernel's error.

use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use flowxdp::agent::confine::{Needs, confine, confine_loader};
use flowxdp::kernel::load::{TableSize, load};
use flowxdp_common::names;
use rustix::io::ioctl_fioclex;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::process::{Pid, Resource, chroot, getppid, getrlimit, setrlimit, test_kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [confined, read, written, forbidden] = arguments.as_slice() else {
        anyhow::bail!("on|loader|off READ WRITTEN FORBIDDEN");
    };
    let [read, written, forbidden] = [read, written, forbidden].map(Path::new);
    // Opened in advance: the test is not about opening it.
    let namespace = File::open("/proc/self/ns/net")?;
    let machine = Machine::new(forbidden)?;
    let files = vec![read.into()];
    match confined.as_str() {
        "on" => {
            let (written, removed) = (vec![written.into()], vec![written.join("socket")]);
            confine(&Needs { files, written, removed, ..Needs::default() })?;
        }
        "loader" => {
            confine_loader(&Needs { files, pinned: vec![written.into()], ..Needs::default() })?;
        }
        _ => {}
    }
    wanted(read, written, &machine);
    told("a file beside its own", fs::write(read.with_file_name("beside"), "1"));
    unwanted(forbidden, &namespace);
    machine.unwanted();
    limits_and_requests(&namespace);
    if confined == "loader" {
        return Ok(());
    }
    let secret = forbidden.join("secret");
    std::thread::spawn(|| told("a file, in a thread", fs::read(secret))).join().ok().context("a panic")
}

/// Unix sockets of the machine: a file's, an abstract one, and one for datagrams with a socket that is
/// connected to it already.
struct Machine {
    file: UnixListener,
    hidden: UnixListener,
    datagrams: UnixDatagram,
    connected: UnixDatagram,
}

impl Machine {
    fn new(folder: &Path) -> Result<Self> {
        let name = SocketAddr::from_abstract_name(format!("flowxdp-confined-{}", std::process::id()))?;
        let datagrams = UnixDatagram::bind(folder.join("datagrams"))?;
        let connected = UnixDatagram::unbound()?;
        connected.connect_addr(&datagrams.local_addr()?)?;
        let file = UnixListener::bind(folder.join("listening"))?;
        Ok(Self { file, hidden: UnixListener::bind_addr(&name)?, datagrams, connected })
    }

    fn unwanted(&self) {
        let stream = |of: &UnixListener| UnixStream::connect_addr(&of.local_addr()?);
        told("a Unix socket", stream(&self.file));
        told("an abstract Unix socket", stream(&self.hidden));
        let datagram = || UnixDatagram::unbound()?.send_to_addr(b"1", &self.datagrams.local_addr()?);
        told("a datagram to a Unix socket", datagram());
        told("a pair of Unix sockets", UnixDatagram::pair());
    }
}

/// Calls that are refused by their arguments.
fn limits_and_requests(file: &File) {
    told("a limit of another process", getppid().ok_or(io::ErrorKind::NotFound.into()).and_then(limit));
    told("a new limit", setrlimit(Resource::Core, getrlimit(Resource::Core)));
    told("another request of ioctl", ioctl_fioclex(file));
    told("another process", fork());
}

/// Reads a limit of a process.
fn limit(of: Pid) -> io::Result<()> {
    let (pid, none) = (of.as_raw_nonzero().get(), std::ptr::null());
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: no new limit is given, and the old one is written into a live value.
    let result = unsafe { libc::prlimit(pid, libc::RLIMIT_CORE, none, &raw mut limit) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Starts a process that ends at once.
fn fork() -> io::Result<()> {
    // SAFETY: this process has one thread, and the new one does nothing but end.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: ends the new process without running the old one's destructors.
        0 => unsafe { libc::_exit(0) },
        _ => Ok(()),
    }
}

/// The calls that the agent still makes.
fn wanted(read: &Path, written: &Path, machine: &Machine) {
    told("its file", fs::read(read));
    let (new, kept) = (written.join("new"), written.join("kept"));
    told("a new file", fs::write(&new, "1"));
    told("a new folder", fs::create_dir(written.join("folder")));
    told("a new name", fs::rename(new, &kept));
    told("a shorter file", File::options().write(true).open(&kept).and_then(|file| file.set_len(0)));
    told("no file any more", fs::remove_file(kept));
    told("no folder any more", fs::remove_dir(written.join("folder")));
    told("a thread", std::thread::Builder::new().spawn(|| ()).map(|thread| drop(thread.join())));
    told("a note to the service manager", machine.connected.send(b"1"));
    let socket = UdpSocket::bind("127.0.0.1:0");
    told("a socket that does not block", socket.and_then(|socket| socket.set_nonblocking(true)));
    told("its own limits", io::Result::Ok(getrlimit(Resource::Stack)));
}

/// Attempts that a taken-over process must fail at. A run without confinement shows that the system itself
/// allows them.
fn unwanted(forbidden: &Path, namespace: &File) {
    told("another file", fs::read(forbidden.join("secret")));
    told("another folder", fs::read_dir(forbidden));
    told("a file elsewhere", fs::write(forbidden.join("file"), "1"));
    told("a link elsewhere", std::os::unix::fs::symlink("/", forbidden.join("link")));
    told("another program", Command::new("/bin/sh").args(["-c", ":"]).status());
    told("another namespace", move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)));
    told("another root", chroot("/"));
    told("a signal", getppid().ok_or(io::ErrorKind::NotFound.into()).and_then(signal));
    told("a packet socket", socket(AddressFamily::PACKET, SocketType::RAW, None));
    told("a server", TcpListener::bind("127.0.0.1:0"));
    let size = TableSize { flows_v4: 16, flows_v6: 16, partitions: 1, ring: 1 << 16, ..TableSize::default() };
    let program = load(&size).and_then(|mut loaded| loaded.program(names::PROGRAM).map(drop));
    told("an XDP program", program.map_err(|error| io::Error::other(format!("{error:#}"))));
}

fn told<T, E: Into<io::Error>>(what: &str, result: Result<T, E>) {
    match result {
        Ok(_) => println!("{what}: done"),
        Err(error) => println!("{what}: {}", error.into()),
    }
}

/// Whether a process could be sent a signal.
fn signal(to: Pid) -> io::Result<()> {
    Ok(test_kill_process(to)?)
}
