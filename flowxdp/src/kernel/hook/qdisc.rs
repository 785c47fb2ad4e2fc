//! The clsact qdisc of an interface, which holds netlink filters: made where there is none, and removed again.
//!
//! A filter outlives its process, and is found by its name. A qdisc that a killed process left may be of use to others,
//! and stays.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
};

use anyhow::{Context, bail};
use aya::programs::{
    TcAttachType,
    tc::{self, TcError},
};
use netlink_bindings::tc::{OptionsMsg, Request, Tcmsg};
use netlink_socket2::NetlinkSocket;

use crate::kernel::link::Link;

/// Handle and parent of the clsact qdisc, and the parents of its filters: `uapi/linux/pkt_sched.h`.
const HANDLE: u32 = 0xffff_0000;
const CLSACT: u32 = 0xffff_fff1;
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;

/// The owner of a filter.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct Whose {
    /// The filter's name, which is the program's.
    pub(in crate::kernel) filter: &'static str,
    /// The kind of process.
    pub(in crate::kernel) who: &'static str,
    /// The filter's direction.
    pub(in crate::kernel) at: TcAttachType,
}

impl Whose {
    const fn parent(&self) -> u32 {
        match self.at {
            TcAttachType::Ingress => INGRESS,
            TcAttachType::Egress => EGRESS,
            TcAttachType::Custom(parent) => parent,
        }
    }
}

/// A clsact qdisc in use.
pub(in crate::kernel) struct Qdisc {
    name: String,
    whose: Whose,
    index: i32,
    /// There was none before.
    was_made: bool,
    /// Held as long as the filter is: another process would take the filter for one that was left. `None` in a
    /// confined process.
    _lock: Option<UnixListener>,
}

impl Qdisc {
    /// The qdisc of an interface.
    ///
    /// # Errors
    ///
    /// Another process has a filter there; or the kernel's.
    pub(in crate::kernel) fn clsact(link: &Link, whose: Whose) -> anyhow::Result<Self> {
        let name = link.name.clone();
        let lock = match lock(whose.filter, link.index) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => bail!("{name}: another {} has a filter there: end that one first", whose.who),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
            Err(error) => return Err(error).with_context(|| format!("{name}: cannot lock the filter")),
        };
        let was_made = match tc::qdisc_add_clsact(&name) {
            Ok(()) => true,
            Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => false,
            Err(error) => bail!("{name}: cannot make a clsact qdisc: {error}"),
        };
        Ok(Self { name, whose, index: link.index.cast_signed(), was_made, _lock: lock })
    }

    /// The same, without a filter that a killed process left.
    ///
    /// # Errors
    ///
    /// As of [`Qdisc::clsact`].
    pub(in crate::kernel) fn cleared(link: &Link, whose: Whose) -> anyhow::Result<Self> {
        let qdisc = Self::clsact(link, whose)?;
        if let Err(error) = qdisc.clear() {
            qdisc.remove()?;
            return Err(error);
        }
        Ok(qdisc)
    }

    /// Removes the filters that killed processes left.
    pub(in crate::kernel) fn clear(&self) -> anyhow::Result<()> {
        let (name, who) = (&self.name, self.whose.who);
        match tc::qdisc_detach_program(name, self.whose.at, self.whose.filter) {
            Ok(()) => log::warn!("{name}: the filter of a killed {who} is removed"),
            Err(TcError::IoError(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => bail!("{name}: cannot remove the filter of a killed {who}: {error}"),
        }
        Ok(())
    }

    /// The filter of the owner's name: priority and handle.
    pub(in crate::kernel) fn filter(&self) -> io::Result<Option<(u16, u32)>> {
        find(self.index.cast_unsigned(), &self.whose)
    }

    /// Removes the qdisc if [`Qdisc::clsact`] made it and it has no filter.
    ///
    /// # Errors
    ///
    /// Netlink's; an interface or a qdisc that is gone is none.
    pub(in crate::kernel) fn remove(self) -> anyhow::Result<()> {
        if self.was_made { self.remove_unused() } else { Ok(()) }
    }

    /// Removes the qdisc if it has no filter.
    ///
    /// # Errors
    ///
    /// As of [`Qdisc::remove`].
    pub(in crate::kernel) fn remove_unused(self) -> anyhow::Result<()> {
        let removed = self.is_used().and_then(|is_used| if is_used { Ok(()) } else { self.delete() });
        match removed {
            Err(error) if error.raw_os_error().is_some_and(is_gone) => Ok(()),
            removed => removed.with_context(|| format!("{}: cannot remove the clsact qdisc", self.name)),
        }
    }

    /// Whether a filter is in it.
    fn is_used(&self) -> io::Result<bool> {
        for parent in [INGRESS, EGRESS] {
            let header = Tcmsg { ifindex: self.index, parent, ..Tcmsg::default() };
            let mut socket = NetlinkSocket::new();
            let request = Request::new().op_gettfilter_dump(&header);
            let mut replies = socket.request(&request)?;
            let mut is_used = false;
            while let Some(reply) = replies.recv() {
                reply?;
                is_used = true;
            }
            if is_used {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn delete(&self) -> io::Result<()> {
        let header = Tcmsg { ifindex: self.index, handle: HANDLE, parent: CLSACT, ..Tcmsg::default() };
        let mut socket = NetlinkSocket::new();
        let request = Request::new().op_delqdisc_do(&header);
        socket.request(&request)?.recv_ack().map_err(io::Error::from)
    }
}

/// The filter of an owner's name on an interface: priority and handle.
///
/// # Errors
///
/// Netlink's; an interface without a clsact qdisc has none.
pub(in crate::kernel) fn find(index: u32, whose: &Whose) -> io::Result<Option<(u16, u32)>> {
    let header = Tcmsg { ifindex: index.cast_signed(), parent: whose.parent(), ..Tcmsg::default() };
    let mut socket = NetlinkSocket::new();
    let request = Request::new().op_gettfilter_dump(&header);
    let mut replies = socket.request(&request)?;
    let mut found = None;
    while let Some(reply) = replies.recv() {
        let (header, attributes) = match reply.map_err(io::Error::from) {
            Err(error) if error.raw_os_error().is_some_and(is_gone) => return Ok(None),
            reply => reply?,
        };
        let Ok(OptionsMsg::Bpf(options)) = attributes.get_options() else { continue };
        if header.handle != 0
            && options.get_name().is_ok_and(|name| name.to_bytes() == whose.filter.as_bytes())
        {
            found = Some(((header.info >> 16) as u16, header.handle));
        }
    }
    Ok(found)
}

/// Whether an error number says that the interface, the qdisc or the filter is not there any more.
pub(in crate::kernel) const fn is_gone(errno: i32) -> bool {
    matches!(errno, libc::ENODEV | libc::ENOENT | libc::EINVAL)
}

/// An abstract socket, which this network namespace alone knows and which ends with the process; none if another
/// process holds it.
fn lock(filter: &str, index: u32) -> io::Result<Option<UnixListener>> {
    let address = SocketAddr::from_abstract_name(format!("{filter}-{index}"))?;
    match UnixListener::bind_addr(&address) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
    }
}
