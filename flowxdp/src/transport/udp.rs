//! UDP: one datagram a message, from one source port (RFC 7011 section 10.3).

mod segments;

use std::{
    io::{self, IoSlice},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsRawFd,
};

use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use socket2::{Domain, Protocol, Socket, Type};

use self::segments::Groups;

/// Octets of IPv4 and UDP headers.
const HEADERS_V4: usize = 28;
/// Octets of IPv6 and UDP headers.
const HEADERS_V6: usize = 48;

/// The largest packet where the path MTU cannot be known (RFC 7011 section 10.3.3).
const UNKNOWN: usize = 512;
/// The largest packet where it is larger: what Ethernet carries.
const ETHERNET: usize = 1500;

/// linux/in6.h, which libc does not have for every system: as `IP_PMTUDISC_WANT`.
const IPV6_PMTUDISC_WANT: libc::c_int = 1;
/// As `IP_PMTUDISC_DO`.
const IPV6_PMTUDISC_DO: libc::c_int = 2;

/// linux/udp.h: octets after which what is handed over becomes another datagram.
const UDP_SEGMENT: libc::c_int = 103;

/// Asked for as send buffer: a burst of the pace fits many times.
const SEND_BUFFER: usize = 1 << 20;

/// Messages that one system call takes.
pub const BATCH: usize = 32;

/// Messages that the kernel may take as one: two such groups, refused, are noted in a journal at once.
pub const MOST_SEGMENTS: usize = 16;

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
    /// Messages that the kernel may take as one.
    segments: usize,
    /// What UDP_SEGMENT is set to: octets, 0 for none.
    segment: usize,
    /// Messages in the last group that was handed over, and in the one before it.
    last: [usize; 2],
}

impl Udp {
    /// A socket for `address`, bound to `source` or to an address of the kernel's choice, and to `port` if
    /// it is not 0 and can be had: another socket of ours may have it.
    ///
    /// A new address needs a new socket: the local address of a connected one was chosen for its way.
    ///
    /// # Errors
    ///
    /// The system's: no route, or `source` is not an address of this machine.
    pub fn connect(address: SocketAddr, source: Option<IpAddr>, port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.set_reuse_address(true)?;
        discover(&socket, address, false)?;
        let source = source.unwrap_or(match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        });
        let bind = |port| socket.bind(&SocketAddr::new(source, port).into());
        if port == 0 || bind(port).is_err() {
            bind(0)?;
        }
        socket.connect(&address.into())?;
        Ok(Self { socket, address, segments: 1, segment: 0, last: [0; 2] })
    }

    /// From now on the kernel may take so many messages of one size as one, at most [`MOST_SEGMENTS`].
    pub fn take_together(&mut self, segments: usize) {
        self.segments = segments.clamp(1, MOST_SEGMENTS);
    }

    /// The messages that a refusal speaks of: those of the last group that was handed over.
    pub const fn last_group(&self) -> usize {
        self.last[0]
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
        let headers = if self.address.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
        self.path_mtu().unwrap_or(UNKNOWN).min(ETHERNET).saturating_sub(headers)
    }

    /// The kernel's path MTU for this destination.
    fn path_mtu(&self) -> Option<usize> {
        let (level, option) = match self.address {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU),
        };
        get(&self.socket, level, option).and_then(|mtu| usize::try_from(mtu).ok())
    }

    /// Hands messages to the kernel, in order, at most [`BATCH`] of them by one system call, and those only
    /// that can go with the first one.
    ///
    /// The errors: `ConnectionRefused` speaks of datagrams that were sent before; the next one was not.
    /// `WouldBlock`: the send buffer is full. [`is_too_large`]: either speaks of this message, or of one that
    /// was sent before, and then a smaller path MTU is known now.
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
                    Err(error) => Sent { handed: 0, error: Some(error), refused: 0 },
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
        set(&self.socket, libc::SOL_UDP, UDP_SEGMENT, value)?;
        let before = std::mem::replace(&mut self.segment, octets);
        if (before > 0) == (octets > 0) { Ok(()) } else { discover(&self.socket, self.address, octets > 0) }
    }

    fn send_groups(&mut self, messages: &[&[u8]], groups: &Groups) -> Sent {
        let sizes = groups.sizes();
        let handed = match self.send_many(messages, sizes) {
            Ok(handed) => handed,
            Err(error) => return Sent { handed: 0, error: Some(error), refused: self.last_group() },
        };
        let (done, left) = sizes.split_at_checked(handed).unwrap_or((sizes, &[]));
        done.iter().for_each(|&size| self.last = [size, self.last[0]]);
        let handed = done.iter().sum();
        let Some(&next) = left.first() else { return Sent { handed, error: None, refused: 0 } };
        // The kernel stopped at an error and does not tell which (sendmmsg(2), "Bugs"). One that lasts comes
        // again now; one that was told once, a refusal, comes again too if this message is refused like the
        // one before it.
        match self.send_many(messages.get(handed..).unwrap_or_default(), &[next]) {
            // What does not fit any more is no failure: the next call begins with it.
            Err(error) if self.segment > 0 && is_unfit(&error) => Sent { handed, error: None, refused: 0 },
            Err(error) => Sent { handed, error: Some(error), refused: self.last_group() },
            Ok(_) => {
                self.last = [next, self.last[0]];
                let refused = self.last.iter().sum();
                Sent { handed: handed + next, error: self.refused(), refused }
            }
        }
    }

    /// Hands groups of so many messages each to the kernel; gives the number of groups that it took.
    fn send_many(&self, messages: &[&[u8]], sizes: &[usize]) -> io::Result<usize> {
        if let ([message, ..], [1]) = (messages, sizes) {
            return self.socket.send(message).map(|_| 1);
        }
        // Arrays, so that nothing is allocated; what is behind the messages stays unused.
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

    /// The error that an ICMP message left behind since the last call, if any; that the path MTU is smaller
    /// is none.
    pub fn refused(&self) -> Option<io::Error> {
        self.socket.take_error().ok().flatten().filter(|error| !is_too_large(error))
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

/// Lets the kernel learn the path MTU whatever the system's default is: packets up to the one that it knows
/// are not to be fragmented on the way, and a larger one, made before a smaller MTU was known, still leaves
/// unless this is `strict`. What is to be cut apart needs that: larger than the path before it is cut, it would
/// leave with permission to fragment it.
fn discover(socket: &Socket, address: SocketAddr, strict: bool) -> io::Result<()> {
    let (level, option, want) = match (address, strict) {
        (SocketAddr::V4(_), false) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_WANT),
        (SocketAddr::V4(_), true) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO),
        (SocketAddr::V6(_), false) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT),
        (SocketAddr::V6(_), true) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO),
    };
    set(socket, level, option, want)
}

/// Sets an option of a socket whose value is a number.
fn set(socket: &Socket, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or_default();
    // SAFETY: the pointer is to a live value of the type that such an option has, and of that length.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// An option of a socket whose value is a number.
fn get(socket: &Socket, level: libc::c_int, option: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of::<libc::c_int>()).ok()?;
    // SAFETY: both pointers are to live values of the types that such an option has.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut value).cast(), &raw mut length)
    };
    (result == 0).then_some(value)
}

#[cfg(test)]
mod tests;
