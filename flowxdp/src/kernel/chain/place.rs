//! The place of a program on an interface, in which the kernel replaces one program by another in one step.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use netlink_bindings::rt_link;
use netlink_socket2::NetlinkSocket;

use super::others::XdpLink;

/// The modes of a program in netlink's answers and requests, from `uapi/linux/if_link.h`.
const ATTACHED_DRV: u8 = 1;
const ATTACHED_SKB: u8 = 2;
const FLAGS_SKB_MODE: u32 = 1 << 1;
const FLAGS_DRV_MODE: u32 = 1 << 2;
const FLAGS_REPLACE: u32 = 1 << 4;
/// No program.
const NONE: i32 = -1;

/// The program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Running {
    /// The program's id.
    pub(super) program: u32,
    /// The program runs in the driver; else in the kernel's stack.
    pub(super) native: bool,
}

/// The program on the interface of an ifIndex.
///
/// # Errors
///
/// ENODEV: there is no such interface. Or the NIC itself runs the program, and no other program runs beside it.
pub(super) fn running(index: u32) -> io::Result<Option<Running>> {
    let header = rt_link::Ifinfomsg { ifi_index: index.cast_signed(), ..Default::default() };
    let mut socket = NetlinkSocket::new();
    let request = rt_link::Request::new().op_getlink_do(&header);
    let mut replies = socket.request(&request)?;
    let (_, attributes) = replies.recv_one().map_err(io::Error::from)?;
    let Ok(xdp) = attributes.get_xdp() else { return Ok(None) };
    let native = match xdp.get_attached() {
        Ok(ATTACHED_DRV) => true,
        Ok(ATTACHED_SKB) => false,
        Ok(0) | Err(_) => return Ok(None),
        Ok(_) => return Err(io::Error::other("an XDP program runs in the NIC itself")),
    };
    let program = xdp.get_prog_id().ok().filter(|&id| id != 0);
    Ok(program.map(|program| Running { program, native }))
}

/// The attachment of a program.
#[derive(Debug)]
pub(super) enum Place {
    /// On the interface itself, where the program stays until a process detaches it.
    Interface {
        /// ifIndex.
        index: u32,
        /// Mode.
        native: bool,
    },
    /// In the link of this id. Its owner may replace the program, and the link ends with its owner. No descriptor
    /// of it stays open here: the link would outlive its owner, and the kernel would refuse the owner's next one.
    Link(u32),
}

/// The reason why a program was not replaced.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The interface has another program by now.
    Changed,
    /// The interface or the link is gone.
    Gone,
    /// The program is in a link.
    InLink,
    /// The kernel's error.
    Other(String),
}

impl Place {
    /// Replaces `old` by `new` in one step. On an interface itself `new` may be none.
    pub(super) fn replace(&self, old: BorrowedFd<'_>, new: Option<BorrowedFd<'_>>) -> Result<(), Refusal> {
        match (self, new) {
            (Self::Interface { index, native }, new) => set(*index, *native, old, new),
            (Self::Link(_), None) => Err(Refusal::InLink),
            (Self::Link(id), Some(new)) => {
                let replaced = XdpLink::open(*id).and_then(|link| {
                    link.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?.replace(old, new)
                });
                replaced.map_err(|error| match error.raw_os_error() {
                    Some(libc::EPERM) => Refusal::Changed,
                    Some(libc::ENOLINK | libc::ENOENT) => Refusal::Gone,
                    Some(libc::EINVAL) => {
                        Refusal::Other("its link takes none that was loaded as ours is".to_owned())
                    }
                    _ => Refusal::Other(error.to_string()),
                })
            }
        }
    }
}

/// Replaces `old`, which is `running`, by `new`, and gives the place.
pub(super) fn exchange(
    index: u32,
    running: Running,
    old: BorrowedFd<'_>,
    new: Option<BorrowedFd<'_>>,
) -> Result<Place, Refusal> {
    let mut place = Place::Interface { index, native: running.native };
    let mut result = place.replace(old, new);
    if matches!(result, Err(Refusal::InLink)) && new.is_some() {
        place = link(index, running.program)?;
        result = place.replace(old, new);
    }
    result.map(|()| place)
}

fn set(index: u32, native: bool, old: BorrowedFd<'_>, new: Option<BorrowedFd<'_>>) -> Result<(), Refusal> {
    let header = rt_link::Ifinfomsg { ifi_index: index.cast_signed(), ..Default::default() };
    let mut request = rt_link::Request::new().op_setlink_do(&header);
    let mode = if native { FLAGS_DRV_MODE } else { FLAGS_SKB_MODE };
    request
        .encode()
        .nested_xdp()
        .push_fd(new.map_or(NONE, |new| new.as_raw_fd()))
        .push_flags(mode | FLAGS_REPLACE)
        .push_expected_fd(old.as_raw_fd())
        .end_nested();
    let mut socket = NetlinkSocket::new();
    let mut replies = socket.request(&request).map_err(|error| Refusal::Other(error.to_string()))?;
    replies.recv_ack().map_err(|error| match error.as_io_error().raw_os_error() {
        Some(libc::EBUSY) => Refusal::InLink,
        Some(libc::EEXIST) => Refusal::Changed,
        Some(libc::ENODEV) => Refusal::Gone,
        _ => Refusal::Other(error.to_string()),
    })
}

/// The link that holds a program on the interface of an ifIndex.
///
/// # Errors
///
/// No link does, or more than one: the kernel does not say to which network namespace a link's ifIndex belongs.
fn link(index: u32, program: u32) -> Result<Place, Refusal> {
    let all = XdpLink::all().map_err(|error| Refusal::Other(error.to_string()))?;
    let mut fitting = all.into_iter().filter(|link| link.index == index && link.program == program);
    match (fitting.next(), fitting.next()) {
        (Some(link), None) => Ok(Place::Link(link.id)),
        (None, _) => Err(Refusal::Changed),
        (Some(_), Some(_)) => Err(Refusal::Other(
            "interfaces of other network namespaces have the same ifIndex and program, and the kernel does \
             not tell their links apart"
                .to_owned(),
        )),
    }
}
