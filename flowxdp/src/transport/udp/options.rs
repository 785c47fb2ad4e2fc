//! Options of a UDP socket whose value is a number.

use std::{io, net::SocketAddr, os::fd::AsRawFd};

use socket2::Socket;

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
    set(socket, level, option, value)
}

/// Sets an option.
pub(super) fn set(
    socket: &Socket,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or_default();
    // SAFETY: the pointer is to a live value of the type that such an option has, and of that length.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The value of an option.
pub(super) fn get(socket: &Socket, level: libc::c_int, option: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of::<libc::c_int>()).ok()?;
    // SAFETY: both pointers are to live values of the types that such an option has.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut value).cast(), &raw mut length)
    };
    (result == 0).then_some(value)
}
