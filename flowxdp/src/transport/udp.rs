//! UDP: one datagram a message, from one source port (RFC 7011 section 10.3).

use std::{
    io::{self, IoSlice},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    slice,
};

use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use socket2::{Domain, Protocol, Socket, Type};

/// Octets of IPv4 and UDP headers.
const HEADERS_V4: usize = 28;
/// Octets of IPv6 and UDP headers.
const HEADERS_V6: usize = 48;

/// The largest message where the path MTU cannot be known (RFC 7011 section 10.3.3).
const UNKNOWN: usize = 512;

/// Asked for as send buffer: a burst of the pace fits many times.
const SEND_BUFFER: usize = 1 << 20;

/// Messages that one system call takes.
pub const BATCH: usize = 32;

/// What became of messages.
#[derive(Debug)]
pub struct Sent {
    /// So many of them, from the first on, are handed to the kernel.
    pub handed: usize,
    /// Why the next one is not, or what was learned of those before.
    pub error: Option<io::Error>,
    /// If that is `ConnectionRefused`: the other side refused so many that were handed last, those of
    /// earlier calls included.
    pub refused: usize,
}

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

    /// Hands messages to the kernel, in order, at most [`BATCH`] of them by one system call.
    ///
    /// The errors: `ConnectionRefused` speaks of datagrams that were sent before; the next one was not.
    /// `WouldBlock`: the send buffer is full.
    pub fn send(&self, messages: &[&[u8]]) -> Sent {
        let messages = &messages[..messages.len().min(BATCH)];
        let handed = match self.send_many(messages) {
            Ok(handed) if handed == messages.len() => return Sent { handed, error: None, refused: 0 },
            Ok(handed) => handed,
            Err(error) => return Sent { handed: 0, error: Some(error), refused: 1 },
        };
        // The kernel stopped at an error and does not tell which (sendmmsg(2), "Bugs"). One that lasts comes
        // again now; one that was told once, a refusal, comes again too if this message is refused like the
        // one before it.
        match self.socket.send(messages[handed]) {
            Err(error) => Sent { handed, error: Some(error), refused: 1 },
            Ok(_) => Sent { handed: handed + 1, error: self.refused(), refused: 2 },
        }
    }

    fn send_many(&self, messages: &[&[u8]]) -> io::Result<usize> {
        if let [message] = messages {
            return self.socket.send(message).map(|_| 1);
        }
        // Arrays, so that nothing is allocated; what is behind the messages stays unused.
        let octets: [IoSlice<'_>; BATCH] =
            std::array::from_fn(|at| IoSlice::new(messages.get(at).copied().unwrap_or_default()));
        let mut control: [SendAncillaryBuffer<'_, '_, '_>; BATCH] = Default::default();
        let mut each = octets.iter();
        let mut headers =
            control.each_mut().map(|control| MMsgHdr::new(each.next().map_or(&[], slice::from_ref), control));
        Ok(sendmmsg(&self.socket, &mut headers[..messages.len()], SendFlags::empty())?)
    }

    /// The error that an ICMP message left behind since the last call, if any.
    pub fn refused(&self) -> Option<io::Error> {
        self.socket.take_error().ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn messages(count: u8) -> Vec<Vec<u8>> {
        (0..count).map(|nth| vec![nth; 100 * usize::from(nth) + 1]).collect()
    }

    fn send(udp: &Udp, messages: &[Vec<u8>]) -> Sent {
        udp.send(&messages.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    #[test]
    fn messages_of_many_sizes_arrive_whole_and_in_order() {
        let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
        collector.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        let udp = Udp::connect(collector.local_addr().unwrap(), None).unwrap();
        let messages = messages(14);
        for batch in [&messages[..], &messages[..1], &messages[3..5]] {
            let sent = send(&udp, batch);
            assert_eq!((sent.handed, sent.error.is_some()), (batch.len(), false));
            for message in batch {
                let mut octets = [0; 2000];
                let length = collector.recv(&mut octets).unwrap();
                assert_eq!(&octets[..length], message);
            }
        }
    }

    #[test]
    fn no_more_than_a_batch_is_taken() {
        let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
        let udp = Udp::connect(collector.local_addr().unwrap(), None).unwrap();
        assert_eq!(send(&udp, &vec![vec![7; 10]; BATCH + 9]).handed, BATCH);
    }

    /// Loopback answers before the next datagram of the same call.
    #[test]
    fn a_refusal_within_a_call_tells_which_messages_come_back() {
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let udp = Udp::connect(closed, None).unwrap();
        let sent = send(&udp, &messages(5));
        assert_eq!((sent.handed, sent.refused), (2, 2));
        assert_eq!(sent.error.unwrap().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(send(&udp, &messages(1)).handed, 1);
        let sent = send(&udp, &messages(5));
        assert_eq!((sent.handed, sent.refused), (0, 1));
        assert_eq!(sent.error.unwrap().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_message_that_is_too_large_stops_the_ones_behind_it_alone() {
        let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
        let udp = Udp::connect(collector.local_addr().unwrap(), None).unwrap();
        let sent = send(&udp, &[vec![1; 10], vec![2; 10], vec![3; 65_535], vec![4; 10]]);
        assert_eq!((sent.handed, sent.refused), (2, 1));
        assert_eq!(sent.error.unwrap().raw_os_error(), Some(libc::EMSGSIZE));
    }
}
