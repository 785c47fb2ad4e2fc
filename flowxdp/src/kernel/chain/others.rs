//! Programs, maps and links of other processes, found by their ids.

use std::{
    cell::Cell,
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use aya::{
    maps::{HashMap, Map, MapData, MapError, MapInfo},
    programs::{ProgramInfo, loaded_programs},
};

use crate::kernel::bpf;

/// bpf(2) commands and constants, from the kernel's `uapi/linux/bpf.h`.
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const LINK_UPDATE: libc::c_long = 29;
const LINK_GET_FD_BY_ID: libc::c_long = 30;
const LINK_GET_NEXT_ID: libc::c_long = 31;
const LINK_TYPE_XDP: u32 = 6;
const F_REPLACE: u32 = 1 << 2;

/// A loaded program, if the kernel still has the program and shows it to this process.
pub(in crate::kernel) fn program(id: u32) -> Option<ProgramInfo> {
    loaded_programs().flatten().find(|program| program.id() == id)
}

/// A program's name and id, for messages.
pub(super) fn title(program: &ProgramInfo) -> String {
    let name = program.name_as_str().filter(|name| !name.is_empty()).unwrap_or("unnamed");
    format!("{name} (id {})", program.id())
}

/// The same by its id.
pub(in crate::kernel) fn title_of(id: u32) -> String {
    program(id).map_or_else(|| format!("unnamed (id {id})"), |program| title(&program))
}

/// The ids of the maps that a program uses.
pub(super) fn maps_of(program: &ProgramInfo) -> Vec<u32> {
    program.map_ids().ok().flatten().unwrap_or_default()
}

/// A program's map with this name.
pub(in crate::kernel) fn map_of(program: &ProgramInfo, name: &str) -> Option<MapInfo> {
    maps_of(program)
        .into_iter()
        .filter_map(|id| MapInfo::from_id(id).ok())
        .find(|map| map.name_as_str().is_some_and(|its| its == name))
}

/// A number in a map from numbers to numbers; an array of programs has their ids.
///
/// # Errors
///
/// The map is of another shape, or cannot be read.
pub(super) fn number(map: &MapInfo, key: u32) -> Result<Option<u32>, MapError> {
    let map = HashMap::<_, u32, u32>::try_from(Map::HashMap(MapData::from_id(map.id())?))?;
    match map.get(&key, 0) {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An attachment of an XDP program that ends with the last descriptor of it.
#[derive(Debug)]
pub(super) struct XdpLink {
    /// Descriptor of the link.
    fd: OwnedFd,
    /// Its id.
    pub(super) id: u32,
    /// ifIndex of its interface, in an unknown network namespace.
    pub(super) index: u32,
    /// The program.
    pub(super) program: u32,
}

#[repr(C)]
#[derive(Default)]
struct IdAttr {
    id: u32,
    /// The kernel writes this field.
    next: Cell<u32>,
    open_flags: u32,
}

#[repr(C)]
struct InfoAttr {
    fd: u32,
    length: u32,
    info: u64,
}

#[repr(C, align(8))]
#[derive(Default)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    pad: u32,
    index: u32,
    rest: u32,
}

#[repr(C)]
struct UpdateAttr {
    link: u32,
    new: u32,
    flags: u32,
    old: u32,
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

impl XdpLink {
    /// All XDP links.
    ///
    /// # Errors
    ///
    /// EPERM: this process lacks CAP_SYS_ADMIN.
    pub(super) fn all() -> io::Result<Vec<Self>> {
        let (mut all, mut id) = (Vec::new(), 0);
        loop {
            let attr = IdAttr { id, ..IdAttr::default() };
            match bpf::call(LINK_GET_NEXT_ID, &attr) {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(all),
                other => drop(other?),
            }
            id = attr.next.get();
            match Self::open(id) {
                Ok(link) => all.extend(link),
                // The link ended meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The link of an id; none if the link is of another kind. The link lives at least as long as the result.
    ///
    /// # Errors
    ///
    /// ENOENT: the link is gone.
    pub(super) fn open(id: u32) -> io::Result<Option<Self>> {
        let fd = bpf::open(LINK_GET_FD_BY_ID, &IdAttr { id, ..IdAttr::default() })?;
        let mut info = LinkInfo::default();
        let attr = InfoAttr {
            fd: fd.as_raw_fd().cast_unsigned(),
            length: u32::try_from(size_of::<LinkInfo>()).map_err(io::Error::other)?,
            info: std::ptr::from_mut(&mut info).expose_provenance() as u64,
        };
        bpf::call(OBJ_GET_INFO_BY_FD, &attr)?;
        let link = Self { fd, id, index: info.index, program: info.program };
        Ok((info.kind == LINK_TYPE_XDP).then_some(link))
    }

    /// Replaces the link's program, if that is the expected one; the interface always has one of the two.
    ///
    /// # Errors
    ///
    /// EPERM: the link has another program; ENOLINK: its interface is gone; EINVAL: the link takes no such program.
    pub(super) fn replace(&self, old: BorrowedFd<'_>, new: BorrowedFd<'_>) -> io::Result<()> {
        let link = self.fd.as_raw_fd().cast_unsigned();
        bpf::call(LINK_UPDATE, &UpdateAttr { link, new: raw(new), flags: F_REPLACE, old: raw(old) }).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::{IdAttr, InfoAttr, LinkInfo, UpdateAttr};

    #[test]
    fn attributes_have_the_sizes_of_the_interface() {
        assert_eq!(size_of::<IdAttr>(), 12);
        assert_eq!(size_of::<InfoAttr>(), 16);
        assert_eq!(size_of::<UpdateAttr>(), 16);
        assert_eq!((size_of::<LinkInfo>(), std::mem::offset_of!(LinkInfo, index)), (24, 16));
    }
}
