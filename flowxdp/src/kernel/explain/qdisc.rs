//! The clsact qdisc of an interface, which holds netlink filters: made where there is none, and removed again.
//!
//! A netlink filter outlives its process. A filter that a killed process left is found by its name and removed
//! before another one is attached; a qdisc that it left stays, since it may be of use to others by then.

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
use flowxdp_common::names;
use netlink_bindings::tc::{Request, Tcmsg};
use netlink_socket2::NetlinkSocket;

use crate::kernel::link::Link;

/// Handle and parent of the clsact qdisc, and the parents of its filters: `uapi/linux/pkt_sched.h`.
const HANDLE: u32 = 0xffff_0000;
const CLSACT: u32 = 0xffff_fff1;
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;

/// A clsact qdisc in use.
pub(super) struct Qdisc {
    name: String,
    index: i32,
    /// There was none before.
    was_made: bool,
    /// Held as long as the filter is: another process would take the filter for one that was left.
    _lock: UnixListener,
}

impl Qdisc {
    /// The qdisc of an interface, without a filter that an earlier process left.
    ///
    /// # Errors
    ///
    /// Another process has a filter there; or the kernel's.
    pub(super) fn clsact(link: &Link) -> anyhow::Result<Self> {
        let name = link.name.clone();
        let lock = lock(link.index).with_context(|| format!("{name}: cannot lock the filter"))?;
        let Some(lock) = lock else {
            bail!("{name}: another flowxdp explain has a filter there: end that one first");
        };
        let was_made = match tc::qdisc_add_clsact(&name) {
            Ok(()) => true,
            Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => false,
            Err(error) => bail!("{name}: cannot make a clsact qdisc: {error}"),
        };
        let qdisc = Self { name, index: link.index.cast_signed(), was_made, _lock: lock };
        if let Err(error) = qdisc.clear() {
            qdisc.remove()?;
            return Err(error);
        }
        Ok(qdisc)
    }

    /// Removes the filters that killed processes left.
    fn clear(&self) -> anyhow::Result<()> {
        let name = &self.name;
        match tc::qdisc_detach_program(name, TcAttachType::Ingress, names::EXPLAIN_CLASSIFIER) {
            Ok(()) => log::warn!("{name}: the filter of a killed flowxdp explain is removed"),
            Err(TcError::IoError(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => bail!("{name}: cannot remove the filter of a killed flowxdp explain: {error}"),
        }
        Ok(())
    }

    /// Removes the qdisc if [`Qdisc::clsact`] made it and it has no filter.
    ///
    /// # Errors
    ///
    /// Netlink's; an interface or a qdisc that is gone is none.
    pub(super) fn remove(self) -> anyhow::Result<()> {
        if !self.was_made {
            return Ok(());
        }
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

/// Whether an error number says that the interface, the qdisc or the filter is not there any more.
pub(super) const fn is_gone(errno: i32) -> bool {
    matches!(errno, libc::ENODEV | libc::ENOENT | libc::EINVAL)
}

/// An abstract socket, which this network namespace alone knows and which ends with the process; none if another
/// process holds it.
fn lock(index: u32) -> io::Result<Option<UnixListener>> {
    let address = SocketAddr::from_abstract_name(format!("{}-{index}", names::EXPLAIN_CLASSIFIER))?;
    match UnixListener::bind_addr(&address) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
    }
}
