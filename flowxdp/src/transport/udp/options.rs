//! How a UDP socket treats packets that are larger than the path MTU.

use std::{io, net::SocketAddr, os::fd::AsFd};

use socket2::Socket;

use crate::system;

/// linux/in6.h, which libc does not have for every system: as `IP_PMTUDISC_WANT`.
pub(super) const IPV6_PMTUDISC_WANT: libc::c_int = 1;
/// As `IP_PMTUDISC_DO`.
pub(super) const IPV6_PMTUDISC_DO: libc::c_int = 2;
/// As `IP_PMTUDISC_PROBE`.
pub(super) const IPV6_PMTUDISC_PROBE: libc::c_int = 3;

/// How the kernel treats a packet that is larger than the path MTU that it knows (ip(7)). A packet up to that size
/// is never to be fragmented on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Discovery {
    /// The datagram leaves in fragments.
    Fragments,
    /// The datagram is refused.
    Known,
    /// The datagram leaves whole if the device takes it: the sender keeps to the path MTU by itself.
    Whole,
}

/// Sets how packets are treated, whatever the system's default is.
pub(super) fn discover(socket: &Socket, address: SocketAddr, discovery: Discovery) -> io::Result<()> {
    let (level, option, values) = match address {
        SocketAddr::V4(_) => (
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            [libc::IP_PMTUDISC_WANT, libc::IP_PMTUDISC_DO, libc::IP_PMTUDISC_PROBE],
        ),
        SocketAddr::V6(_) => (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            [IPV6_PMTUDISC_WANT, IPV6_PMTUDISC_DO, IPV6_PMTUDISC_PROBE],
        ),
    };
    let [fragments, known, whole] = values;
    let value = match discovery {
        Discovery::Fragments => fragments,
        Discovery::Known => known,
        Discovery::Whole => whole,
    };
    system::set_option(socket.as_fd(), level, option, value)
}
