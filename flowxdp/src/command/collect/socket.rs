//! The socket that messages come in on.

use std::net::{SocketAddr, SocketAddrV6, ToSocketAddrs as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;

use anyhow::Context as _;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::collector_url::{Host, ListenUrl};

/// Receive buffer to ask for, octets.
const RECEIVE_BUFFER: usize = 32 << 20;

/// Opens the socket of `url`, inside a tokio runtime.
///
/// # Errors
/// When the host is no address of this machine, or the port is taken or not allowed.
pub async fn bind(url: &ListenUrl) -> anyhow::Result<UdpSocket> {
    let address = resolve(url)?;
    let socket = open(address).with_context(|| match address.port() {
        0 => format!("cannot listen on {url}: is the address one of this machine?"),
        port => format!("cannot listen on {url}: is the address one of this machine, and port {port} free?"),
    })?;
    let socket = UdpSocket::from_std(socket.into())?;
    log::info!("listening on udp://{}", socket.local_addr()?);
    Ok(socket)
}

/// Blocks while a name is resolved: nothing else is under way yet, and a thread might not be had.
fn resolve(url: &ListenUrl) -> anyhow::Result<SocketAddr> {
    match url.host() {
        Host::V4(address) => Ok((*address, url.port()).into()),
        Host::V6 { address, zone } => {
            let zone = zone.as_deref().map_or(Ok(0), interface_index)?;
            Ok(SocketAddrV6::new(*address, url.port(), 0, zone).into())
        }
        Host::Name(name) => (name.as_str(), url.port())
            .to_socket_addrs()
            .with_context(|| format!("cannot resolve {name}"))?
            .next()
            .with_context(|| format!("{name} has no address")),
    }
}

/// The index of an interface by name, or the index itself.
fn interface_index(zone: &str) -> anyhow::Result<u32> {
    if let Ok(index) = zone.parse() {
        return Ok(index);
    }
    let path = format!("/sys/class/net/{zone}/ifindex");
    let index = std::fs::read_to_string(path).with_context(|| format!("there is no interface {zone}"))?;
    index.trim().parse().with_context(|| format!("interface {zone} has no index"))
}

fn open(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    // Root may go above net.core.rmem_max; for others less than asked for is no error.
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Messages that the kernel dropped because the buffer of `socket` was full.
pub(super) fn dropped(socket: &UdpSocket) -> Option<u64> {
    let descriptor = format!("/proc/self/fd/{}", socket.as_raw_fd());
    let inode = std::fs::metadata(descriptor).ok()?.ino().to_string();
    ["/proc/self/net/udp", "/proc/self/net/udp6"].into_iter().find_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        // The tenth column is the inode, the last the drops.
        let line = text.lines().find(|line| line.split_whitespace().nth(9) == Some(&inode))?;
        line.split_whitespace().last()?.parse().ok()
    })
}
