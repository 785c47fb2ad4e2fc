//! Notifications over netlink that a link came, went or changed.
//!
//! The change itself is not read from the messages, which can be lost when many come at once and arrive after
//! the change. Each message is the occasion to read all links again, which is right after any loss.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use anyhow::Context;
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink::SocketAddrNetlink, recv,
        socket_with,
    },
};
use tokio::io::unix::AsyncFd;

use crate::system;

/// `RTMGRP_LINK`, from the kernel's `uapi/linux/rtnetlink.h`: links of this network namespace.
const LINKS: u32 = 1;

/// `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR`: addresses of interfaces.
const ADDRESSES: u32 = 0x10 | 0x100;

/// A subscription to changes of links.
#[derive(Debug)]
pub struct Follow(AsyncFd<OwnedFd>);

impl Follow {
    /// Listens from now on; also to changes of `addresses`.
    ///
    /// # Errors
    ///
    /// Netlink's.
    pub fn new(addresses: bool) -> anyhow::Result<Self> {
        Self::subscribe(if addresses { LINKS | ADDRESSES } else { LINKS })
            .context("cannot follow the interfaces over netlink")
    }

    fn subscribe(groups: u32) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // The default protocol is NETLINK_ROUTE.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self(system::readable(socket)?))
    }

    /// Waits for a change, then consumes all pending notifications.
    ///
    /// # Errors
    ///
    /// Netlink's.
    pub async fn changed(&self) -> io::Result<()> {
        self.0.readable().await?.clear_ready();
        drain(&self.0)
    }
}

fn drain(socket: &impl AsFd) -> io::Result<()> {
    let mut octets = [MaybeUninit::uninit(); 64];
    loop {
        match recv(socket, &mut octets, RecvFlags::empty()) {
            // Some were lost for want of room: as good as any other word.
            Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
