//! The TCP socket under a stream: made, watched and asked without ever blocking.

use std::{
    io::{self, Read},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::Broken;

/// A dead peer is found after 10 + 3 × 5 seconds without traffic …
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(10))
    .with_interval(Duration::from_secs(5))
    .with_retries(3);

/// … and after 30 seconds without an acknowledgement with traffic; otherwise TCP tries for a quarter of an hour.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// A socket on its way to `address`: the connection stands when [`connected`] says so.
pub(super) fn connect(address: SocketAddr, source: Option<IpAddr>) -> Result<Socket, Broken> {
    let socket = open(address).map_err(|error| Broken::unreachable(&error))?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into()).map_err(|error| match error.kind() {
            io::ErrorKind::AddrNotAvailable => {
                Broken::new(format!("cannot be reached from {source}: that is no address of this machine"))
            }
            _ => Broken::new(format!("cannot be reached from {source}: {error}")),
        })?;
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(Broken::unreachable(&error)),
        _ => Ok(socket),
    }
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // Messages are as large as they get: a part-filled one has waited long enough.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(socket)
}

/// Whether the connection stands.
pub(super) fn connected(socket: &Socket) -> Result<bool, Broken> {
    if let Some(error) = socket.take_error().map_err(|error| Broken::unreachable(&error))? {
        return Err(Broken::unreachable(&error));
    }
    match (socket.peer_addr(), socket.local_addr()) {
        // Where nobody listens on a port of the ephemeral range, TCP can meet itself there (RFC 9293
        // section 3.5, simultaneous open).
        (Ok(peer), Ok(local)) if peer == local => Err(Broken::new("refuses connections")),
        (Ok(_), _) => Ok(true),
        (Err(error), _) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        (Err(error), _) => Err(Broken::unreachable(&error)),
    }
}

/// Hands octets to the kernel; gives how many it took, 0 when it has no room.
pub(super) fn send(socket: &Socket, octets: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < octets.len() {
        match socket.send_with_flags(&octets[taken..], libc::MSG_NOSIGNAL) {
            Ok(count) => taken += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // This call reports the octets sent before the error, the next call the error.
            Err(_) if taken > 0 => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

/// A reader that is not stopped by signals.
pub(super) struct Reader<'a>(pub(super) &'a Socket);

impl Read for Reader<'_> {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(octets) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}
