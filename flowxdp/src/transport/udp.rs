//! UDP: one datagram a message, from one source port (RFC 7011 section 10.3).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Octets of IPv4 and UDP headers.
const HEADERS_V4: usize = 28;
/// Octets of IPv6 and UDP headers.
const HEADERS_V6: usize = 48;

/// The largest message where the path MTU cannot be known (RFC 7011 section 10.3.3).
const UNKNOWN: usize = 512;

/// Asked for as send buffer: a burst of the pace fits many times.
const SEND_BUFFER: usize = 1 << 20;

/// A socket that sends to one collector.
#[derive(Debug)]
pub struct Udp {
    socket: Socket,
    address: SocketAddr,
}

impl Udp {
    /// A socket for `address`, bound to `source` or to an address of the kernel's choice.
    ///
    /// # Errors
    ///
    /// The system's: no route, or `source` is not an address of this machine.
    pub fn connect(address: SocketAddr, source: Option<IpAddr>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        let source = source.unwrap_or(match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        });
        // Bound before connected, so that the port stays when the collector's address changes.
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect(&address.into())?;
        Ok(Self { socket, address })
    }

    /// Sends to another address from the same port.
    ///
    /// # Errors
    ///
    /// The system's; an address of the other IP version needs a new socket.
    pub fn reconnect(&mut self, address: SocketAddr) -> io::Result<()> {
        self.socket.connect(&address.into())?;
        self.address = address;
        Ok(())
    }

    /// Where it sends to.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The local port, 0 if the system does not say.
    pub fn local_port(&self) -> u16 {
        let address = self.socket.local_addr().ok().and_then(|address| address.as_socket());
        address.map_or(0, |address| address.port())
    }

    /// The largest message that goes out unfragmented, octets, by the path MTU that the kernel knows, and at
    /// most what Ethernet carries.
    pub fn max_message(&self) -> usize {
        let (headers, ethernet) = match self.address {
            SocketAddr::V4(_) => (HEADERS_V4, 1500 - HEADERS_V4),
            SocketAddr::V6(_) => (HEADERS_V6, 1500 - HEADERS_V6),
        };
        self.path_mtu().map_or(UNKNOWN, |mtu| mtu.saturating_sub(headers).min(ethernet))
    }

    /// The kernel's path MTU for this destination.
    fn path_mtu(&self) -> Option<usize> {
        use std::os::fd::AsRawFd;
        let (level, option) = match self.address {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU),
        };
        let mut mtu: libc::c_int = 0;
        let mut length = libc::socklen_t::try_from(size_of::<libc::c_int>()).ok()?;
        // SAFETY: both pointers are to live values of the types that this option has.
        let result = unsafe {
            libc::getsockopt(self.socket.as_raw_fd(), level, option, (&raw mut mtu).cast(), &raw mut length)
        };
        if result == 0 { usize::try_from(mtu).ok() } else { None }
    }

    /// Hands one message to the kernel.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`: an earlier datagram was refused by the other side, and this one was not
    /// sent. `WouldBlock`: the send buffer is full.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        self.socket.send(message).map(drop)
    }

    /// The error that an ICMP message left behind since the last call, if any.
    pub fn refused(&self) -> Option<io::Error> {
        self.socket.take_error().ok().flatten()
    }
}
