//! Confines itself as the agent does and then tries what the agent must not be able to do.
//!
//! `flowxdp-confined on|off READ WRITTEN FORBIDDEN`: a file that is read again, a folder that is written, and
//! a folder that is
//! neither, with a file `secret`. One line for each try: its name, and `done` or what the kernel said.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use flowxdp::confine::{Needs, confine};
use flowxdp::kernel::load::{Shape, load};
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::process::{Pid, chroot, getppid, test_kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [confined, read, written, forbidden] = arguments.as_slice() else {
        anyhow::bail!("on|off READ WRITTEN FORBIDDEN");
    };
    let [read, written, forbidden] = [read, written, forbidden].map(Path::new);
    // Open already: that it can be is not what is asked.
    let namespace = File::open("/proc/self/ns/net")?;
    if confined == "on" {
        let removed = vec![written.join("socket")];
        confine(&Needs {
            files: vec![read.into()],
            written: vec![written.into()],
            removed,
            ..Needs::default()
        })?;
    }
    wanted(read, written);
    told("a file beside its own", fs::write(read.with_file_name("beside"), "1"));
    unwanted(forbidden, &namespace);
    let secret = forbidden.join("secret");
    std::thread::spawn(|| told("a file, in a thread", fs::read(secret))).join().ok().context("a panic")
}

/// What the agent goes on to do.
fn wanted(read: &Path, written: &Path) {
    told("its file", fs::read(read));
    let (new, kept) = (written.join("new"), written.join("kept"));
    told("a new file", fs::write(&new, "1"));
    told("a new folder", fs::create_dir(written.join("folder")));
    told("a new name", fs::rename(new, &kept));
    told("a shorter file", File::options().write(true).open(&kept).and_then(|file| file.set_len(0)));
    told("no file any more", fs::remove_file(kept));
    told("no folder any more", fs::remove_dir(written.join("folder")));
    told("a thread", std::thread::Builder::new().spawn(|| ()));
}

/// What nobody who got hold of it may do. That the system itself allows it is shown without confinement.
fn unwanted(forbidden: &Path, namespace: &File) {
    told("another file", fs::read(forbidden.join("secret")));
    told("another folder", fs::read_dir(forbidden));
    told("a file elsewhere", fs::write(forbidden.join("file"), "1"));
    told("a link elsewhere", std::os::unix::fs::symlink("/", forbidden.join("link")));
    told("another program", Command::new("/bin/sh").args(["-c", ":"]).status());
    told("another namespace", move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)));
    told("another root", chroot("/"));
    told("a signal", getppid().ok_or(std::io::ErrorKind::NotFound.into()).and_then(signal));
    told("a packet socket", socket(AddressFamily::PACKET, SocketType::RAW, None));
    told("a server", TcpListener::bind("127.0.0.1:0"));
    let shape =
        Shape { flows_v4: 16, flows_v6: 16, partitions: 1, ring: 1 << 16, replay: false, chained: false };
    told("an XDP program", load(&shape).map_err(|error| std::io::Error::other(format!("{error:#}"))));
}

fn told<T, E: Into<std::io::Error>>(what: &str, result: Result<T, E>) {
    match result {
        Ok(_) => println!("{what}: done"),
        Err(error) => println!("{what}: {}", error.into()),
    }
}

/// Whether a process could be sent a signal.
fn signal(to: Pid) -> std::io::Result<()> {
    Ok(test_kill_process(to)?)
}
