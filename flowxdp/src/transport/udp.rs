//! UDP: one datagram a message, from one source port (RFC 7011 section 10.3).

mod options;
pub mod reports;
mod segments;

use std::{
    io::{self, IoSlice},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsFd,
};

use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use socket2::{Domain, Protocol, Socket, Type};

use self::{options::Discovery, reports::Report, segments::Groups};
use crate::system;

/// Octets of IPv4 and UDP headers.
const HEADERS_V4: usize = 28;
/// Octets of IPv6 and UDP headers.
const HEADERS_V6: usize = 48;

/// The largest packet where the path MTU cannot be known (RFC 7011 section 10.3.3).
const UNKNOWN: usize = 512;
/// The largest packet where the path has a larger MTU: Ethernet's.
const ETHERNET: usize = 1500;

/// linux/udp.h: octets of each datagram that a larger send is cut into.
const UDP_SEGMENT: libc::c_int = 103;

/// Asked for as send buffer: a burst of the pace fits many times.
const SEND_BUFFER: usize = 1 << 20;

/// Messages that one system call takes.
pub const BATCH: usize = 32;

/// Messages that the kernel may take as one.
pub const MOST_SEGMENTS: usize = 16;

/// The outcome of messages.
#[derive(Debug)]
pub struct Sent {
    /// So many of them, from the first on, are handed to the kernel.
    pub handed: usize,
    /// Why the first one is not; or the error of an ICMP message, which is in the error queue too.
    pub error: Option<io::Error>,
}

/// A socket that sends to one collector.
#[derive(Debug)]
pub struct Udp {
    socket: Socket,
    address: SocketAddr,
    /// Messages that the kernel may take as one.
    segments: usize,
    /// The value of UDP_SEGMENT: octets, 0 for none.
    segment: usize,
    /// Who may fragment datagrams.
    discovery: Discovery,
}

impl Udp {
    /// A socket for `address`, bound to `source` or to an address of the kernel's choice, and to `port` if
    /// it is not 0 and can be had: another socket of ours may have it.
    ///
    /// No router may fragment its datagrams. With `fragments` this machine may, where a message is larger
    /// than the path MTU; without, such a message leaves whole as long as the device takes it.
    ///
    /// A new address needs a new socket: the local address of a connected one was chosen for its way.
    ///
    /// # Errors
    ///
    /// The system's: no route, or `source` is not an address of this machine.
    pub fn connect(
        address: SocketAddr,
        source: Option<IpAddr>,
        port: u16,
        fragments: bool,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.set_reuse_address(true)?;
        let discovery = if fragments { Discovery::Fragments } else { Discovery::Whole };
        options::discover(&socket, address, discovery)?;
        reports::ask_for(&socket, address)?;
        let source = source.unwrap_or(match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        });
        let bind = |port| socket.bind(&SocketAddr::new(source, port).into());
        if port == 0 || bind(port).is_err() {
            bind(0)?;
        }
        socket.connect(&address.into())?;
        Ok(Self { socket, address, segments: 1, segment: 0, discovery })
    }

    /// From now on this machine fragments a message that is larger than the path.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn allow_fragments(&mut self) -> io::Result<()> {
        if self.discovery == Discovery::Whole {
            self.discovery = Discovery::Fragments;
            self.set_segment(0)?;
            options::discover(&self.socket, self.address, self.discovery)?;
        }
        Ok(())
    }

    /// From now on the kernel may take so many messages of one size as one, at most [`MOST_SEGMENTS`].
    pub fn take_together(&mut self, segments: usize) {
        self.segments = segments.clamp(1, MOST_SEGMENTS);
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

    /// Octets of the IP and UDP headers in front of a message.
    pub const fn headers(&self) -> usize {
        if self.address.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 }
    }

    /// The largest packet that leaves unfragmented, octets, by the path MTU that the kernel knows now, and at
    /// most Ethernet's MTU. The kernel forgets a smaller one after a while (10 minutes).
    pub fn max_packet(&self) -> usize {
        self.path_mtu().unwrap_or(UNKNOWN).min(ETHERNET)
    }

    /// The kernel's path MTU for this destination.
    fn path_mtu(&self) -> Option<usize> {
        let (level, option) = match self.address {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU),
        };
        system::option(self.socket.as_fd(), level, option).and_then(|mtu| usize::try_from(mtu).ok())
    }

    /// The next ICMP message about a sent datagram, if any.
    pub fn report(&self) -> Option<Report> {
        reports::next(&self.socket)
    }

    /// Hands messages to the kernel, in order, at most [`BATCH`] of them by one system call, and those only
    /// that can go with the first one.
    ///
    /// The errors: `WouldBlock` if the send buffer is full; [`is_too_large`] if the device does not take a
    /// message of that size. After an ICMP message the kernel answers one call with its error in place of
    /// sending: [`Udp::report`] says more.
    pub fn send(&mut self, messages: &[&[u8]]) -> Sent {
        let groups = self.group(messages);
        let sent = self.send_groups(messages, &groups);
        match &sent.error {
            Some(error) if sent.handed == 0 && self.segment > 0 && is_unfit(error) => {
                // Each by itself then, now and, if the device cannot cut them apart, from now on.
                if error.raw_os_error() == Some(libc::EIO) {
                    self.segments = 1;
                }
                let alone = messages.get(..1).unwrap_or_default();
                match self.set_segment(0) {
                    Ok(()) => self.send_groups(alone, &Groups::of(alone, 1)),
                    Err(error) => Sent { handed: 0, error: Some(error) },
                }
            }
            _ => sent,
        }
    }

    /// Groups messages, and makes the socket ready to cut these apart.
    fn group(&mut self, messages: &[&[u8]]) -> Groups {
        let messages = messages.get(..BATCH).unwrap_or(messages);
        let groups = Groups::of(messages, self.segments);
        let count = groups.sizes().iter().sum();
        let longest = messages.iter().take(count).map(|message| message.len()).max().unwrap_or(0);
        let ready = match groups.segment {
            0 if self.segment == 0 || longest <= self.segment => Ok(()),
            segment => self.set_segment(segment),
        };
        if ready.is_ok() {
            return groups;
        }
        // A kernel from before Linux 4.18.
        self.segments = 1;
        Groups::of(messages, 1)
    }

    fn set_segment(&mut self, octets: usize) -> io::Result<()> {
        if octets == self.segment {
            return Ok(());
        }
        let value = libc::c_int::try_from(octets).map_err(io::Error::other)?;
        system::set_option(self.socket.as_fd(), libc::SOL_UDP, UDP_SEGMENT, value)?;
        let before = std::mem::replace(&mut self.segment, octets);
        if (before > 0) == (octets > 0) || self.discovery == Discovery::Whole {
            return Ok(());
        }
        // Larger than the path before it is cut apart, it would leave with permission to fragment it.
        let discovery = if octets > 0 { Discovery::Known } else { self.discovery };
        options::discover(&self.socket, self.address, discovery)
    }

    fn send_groups(&self, messages: &[&[u8]], groups: &Groups) -> Sent {
        let sizes = groups.sizes();
        match self.send_many(messages, sizes) {
            // Where it stopped, it does not say why (sendmmsg(2), "Bugs"): the next call does, or sends.
            Ok(groups) => Sent { handed: sizes.iter().take(groups).sum(), error: None },
            Err(error) => Sent { handed: 0, error: Some(error) },
        }
    }

    /// Hands groups of so many messages each to the kernel; gives the number of groups that it took.
    fn send_many(&self, messages: &[&[u8]], sizes: &[usize]) -> io::Result<usize> {
        if let ([message, ..], [1]) = (messages, sizes) {
            return self.socket.send(message).map(|_| 1);
        }
        // Arrays, so that nothing is allocated; entries behind the messages stay unused.
        let octets: [IoSlice<'_>; BATCH] =
            std::array::from_fn(|at| IoSlice::new(messages.get(at).copied().unwrap_or_default()));
        let mut control: [SendAncillaryBuffer<'_, '_, '_>; BATCH] = Default::default();
        let (mut left, mut size) = (octets.as_slice(), sizes.iter());
        let mut headers = control.each_mut().map(|control| {
            let count = size.next().copied().unwrap_or(0);
            let (group, behind) = left.split_at_checked(count).unwrap_or_default();
            left = behind;
            MMsgHdr::new(group, control)
        });
        let headers = headers.get_mut(..sizes.len()).unwrap_or_default();
        Ok(sendmmsg(&self.socket, headers, SendFlags::empty())?)
    }
}

/// Whether messages cannot leave where the kernel cuts them apart: a segment is larger than the path, even if
/// the message is not (before Linux 6.14), or no device can cut.
fn is_unfit(error: &io::Error) -> bool {
    is_too_large(error) || matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EIO))
}

/// Whether a datagram was larger than it may be.
pub fn is_too_large(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}

/// Whether an ICMP message can have left this error behind (ip(7), icmp(7)).
pub fn is_icmp(error: &io::Error) -> bool {
    let errors = [
        libc::ECONNREFUSED,
        libc::EHOSTUNREACH,
        libc::ENETUNREACH,
        libc::EHOSTDOWN,
        libc::ENONET,
        libc::ENOPROTOOPT,
        libc::EOPNOTSUPP,
        libc::EPROTO,
        libc::EACCES,
        libc::EMSGSIZE,
    ];
    error.raw_os_error().is_some_and(|number| errors.contains(&number))
}

#[cfg(test)]
mod tests;
