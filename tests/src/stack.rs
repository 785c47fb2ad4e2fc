//! UDP datagrams from the kernel's own stack: of any size that the link takes, and while the link flaps.

use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::netns::Netns;

/// Octets of IPv4 and UDP headers.
pub const HEADERS: u64 = 28;
/// Datagrams that a veth's queue takes at once, many times.
const BURST: u64 = 16;
const PAUSE: Duration = Duration::from_millis(1);

/// Gives an interface an address and a neighbour to send to, which need not exist.
pub fn prepare(netns: &Netns, interface: &str) -> Result<()> {
    netns.ip(&format!("addr add 10.99.0.1/24 dev {interface}"))?;
    netns.ip(&format!("neigh add 10.99.0.2 lladdr 02:00:00:00:ff:02 dev {interface} nud permanent"))?;
    Ok(())
}

/// Sends datagrams of so many octets of payload, without fragments, until `most` are out or `done` is set;
/// gives how many the stack took. Datagrams that a link refuses while it is down are left out.
pub fn send(netns: &Netns, payload: usize, most: u64, done: &AtomicBool) -> Result<u64> {
    let namespace = File::open(Path::new("/run/netns").join(netns.name()))?;
    // A thread of its own moves into the namespace, and ends there.
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            let socket = UdpSocket::bind("0.0.0.0:4096").context("a socket to send from")?;
            let (datagram, mut sent) = (vec![0_u8; payload], 0);
            while sent < most && !done.load(Ordering::Relaxed) {
                for _ in 0..BURST.min(most - sent) {
                    sent += u64::from(socket.send_to(&datagram, "10.99.0.2:443").is_ok());
                }
                std::thread::sleep(PAUSE);
            }
            anyhow::Ok(sent)
        });
        sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))?
    })
}
