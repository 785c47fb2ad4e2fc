//! ICMP messages that came for sent datagrams, as the socket's error queue has them (ip(7), `IP_RECVERR`).
//!
//! The kernel hands a message over only if it quotes our address and port and the collector's. Of the quoted
//! datagram the queue has the octets behind the UDP header: none, where a router quotes 8 octets (RFC 792).

use std::{
    fmt,
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsRawFd,
};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use socket2::Socket;

/// Quoted octets that are kept: all that a message quotes at least where it has extensions behind them (RFC
/// 4884: 128 octets with the IP header).
pub const QUOTED: usize = 80;

/// ICMP and ICMPv6: destination unreachable, and ICMPv6: packet too big (RFC 792, RFC 4443).
const UNREACHABLE_V4: u8 = 3;
const UNREACHABLE_V6: u8 = 1;
const TOO_BIG_V6: u8 = 2;
/// Codes of an unreachable port and of a packet that would have to be fragmented.
const PORT_V4: u8 = 3;
const TOO_BIG_V4: u8 = 4;
const PORT_V6: u8 = 4;

/// An ICMP message about a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// A link behind the sender takes packets of so many octets.
    TooLarge(usize),
    /// No socket is bound to the port.
    Port,
    /// There is no way to the host, or none for this packet: type and code.
    Unreachable(u8, u8),
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(mtu) => write!(f, "packets of {mtu} octets at most"),
            Self::Port => f.write_str("port unreachable"),
            Self::Unreachable(UNREACHABLE_V4, 0) | Self::Unreachable(UNREACHABLE_V6, 0) => {
                f.write_str("network unreachable")
            }
            Self::Unreachable(UNREACHABLE_V4, 1) | Self::Unreachable(UNREACHABLE_V6, 3) => {
                f.write_str("host unreachable")
            }
            Self::Unreachable(UNREACHABLE_V4, 9 | 10 | 13) | Self::Unreachable(UNREACHABLE_V6, 1 | 5 | 6) => {
                f.write_str("administratively prohibited")
            }
            Self::Unreachable(kind, code) => write!(f, "unreachable (ICMP type {kind}, code {code})"),
        }
    }
}

/// One ICMP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The message's kind.
    pub said: Said,
    /// The address that it came from.
    pub offender: IpAddr,
    /// The first octets of the message that it quotes, at most [`QUOTED`].
    pub quoted: Vec<u8>,
}

/// Asks the kernel to queue ICMP messages for this socket.
pub(super) fn ask_for(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(())
}

/// The next ICMP message of the queue. Errors of this machine are in it too, and are passed over: the call that
/// failed has told them.
pub(super) fn next(socket: &Socket) -> Option<Report> {
    loop {
        let mut octets = [0; QUOTED];
        let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
        let (length, found) = {
            let mut slices = [IoSliceMut::new(&mut octets)];
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let read = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags).ok()?;
            (read.bytes, read.cmsgs().ok().and_then(|mut messages| messages.find_map(|it| understood(&it))))
        };
        if let Some((said, offender)) = found {
            let quoted = octets.get(..length).unwrap_or_default().to_vec();
            return Some(Report { said, offender, quoted });
        }
    }
}

fn understood(message: &ControlMessageOwned) -> Option<(Said, IpAddr)> {
    let (error, offender) = match message {
        ControlMessageOwned::Ipv4RecvErr(error, Some(offender)) => {
            (error, IpAddr::from(Ipv4Addr::from(u32::from_be(offender.sin_addr.s_addr))))
        }
        ControlMessageOwned::Ipv6RecvErr(error, Some(offender)) => {
            (error, IpAddr::from(Ipv6Addr::from(offender.sin6_addr.s6_addr)))
        }
        _ => return None,
    };
    let mtu = usize::try_from(error.ee_info).unwrap_or(usize::MAX);
    let said = match (error.ee_origin, error.ee_type, error.ee_code) {
        (libc::SO_EE_ORIGIN_ICMP, UNREACHABLE_V4, TOO_BIG_V4) => Said::TooLarge(mtu),
        (libc::SO_EE_ORIGIN_ICMP, UNREACHABLE_V4, PORT_V4) => Said::Port,
        (libc::SO_EE_ORIGIN_ICMP6, TOO_BIG_V6, _) => Said::TooLarge(mtu),
        (libc::SO_EE_ORIGIN_ICMP6, UNREACHABLE_V6, PORT_V6) => Said::Port,
        (libc::SO_EE_ORIGIN_ICMP, kind @ UNREACHABLE_V4, code)
        | (libc::SO_EE_ORIGIN_ICMP6, kind @ UNREACHABLE_V6, code) => Said::Unreachable(kind, code),
        _ => return None,
    };
    Some((said, offender))
}
