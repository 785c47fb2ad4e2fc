//! Promiscuous interfaces, for as long as one packet socket is open.
//!
//! A membership of a packet socket (packet(7)) ends with its socket, so that the kernel takes it back however the
//! agent ends. Joining needs no capability; the socket needs CAP_NET_RAW.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use anyhow::{Context, bail};
use nix::sys::socket::{
    setsockopt,
    sockopt::{SetBool, SetStruct},
};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
};
use socket2::{SockFilter, Socket};

#[derive(Clone, Copy)]
struct Add;

#[derive(Clone, Copy)]
struct Remove;

type Value<'a> = SetStruct<'a, libc::packet_mreq>;

#[derive(Clone, Copy)]
struct Lock;

nix::setsockopt_impl!(Add, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, libc::packet_mreq, Value<'_>);
nix::setsockopt_impl!(Remove, libc::SOL_PACKET, libc::PACKET_DROP_MEMBERSHIP, libc::packet_mreq, Value<'_>);
nix::setsockopt_impl!(Lock, libc::SOL_SOCKET, libc::SO_LOCK_FILTER, bool, SetBool);

/// Classic BPF of one instruction: `ret #0`, so that the socket takes no octet of any packet.
const NOTHING: SockFilter = SockFilter::new(6, 0, 0, 0);

/// The packet socket that holds the memberships.
#[derive(Debug)]
pub struct Promiscuous(OwnedFd);

impl Promiscuous {
    /// Opens the socket, which has no protocol and a filter, so that no packet is received.
    ///
    /// # Errors
    ///
    /// One line that names the missing privilege, or the kernel's refusal.
    pub fn open() -> anyhow::Result<Self> {
        match socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None) {
            Ok(socket) => Ok(Self(deaf(socket).context("cannot limit a packet socket")?)),
            Err(Errno::PERM | Errno::ACCESS) => bail!(
                "no privilege to make interfaces promiscuous for --tap: run as root (sudo), or with CAP_NET_RAW as well"
            ),
            Err(Errno::AFNOSUPPORT) => bail!(
                "no packet socket can be opened, which --tap needs to make interfaces promiscuous: allow AF_PACKET \
                 where the service restricts address families"
            ),
            Err(error) => bail!("cannot open a packet socket: {error}"),
        }
    }

    /// Makes an interface promiscuous.
    ///
    /// # Errors
    ///
    /// ENODEV where the interface is gone.
    pub fn join(&self, index: u32) -> io::Result<()> {
        Ok(setsockopt(&self.0, Add, &membership(index))?)
    }

    /// Takes it back.
    ///
    /// # Errors
    ///
    /// EADDRNOTAVAIL where the kernel took it back already, as it does when the interface goes.
    pub fn leave(&self, index: u32) -> io::Result<()> {
        Ok(setsockopt(&self.0, Remove, &membership(index))?)
    }
}

/// The socket without a way to read packets, which is locked: the confined agent keeps it.
fn deaf(socket: OwnedFd) -> io::Result<OwnedFd> {
    let socket = Socket::from(socket);
    socket.attach_filter(&[NOTHING])?;
    setsockopt(&socket.as_fd(), Lock, &true)?;
    Ok(socket.into())
}

fn membership(index: u32) -> libc::packet_mreq {
    libc::packet_mreq {
        mr_ifindex: index.cast_signed(),
        mr_type: u16::try_from(libc::PACKET_MR_PROMISC).unwrap_or_default(),
        mr_alen: 0,
        mr_address: [0; 8],
    }
}
