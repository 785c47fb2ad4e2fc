//! A BPF file system that is mounted nowhere, for tables of a running agent that are not to outlive it.

use std::os::fd::OwnedFd;

use anyhow::Context;
use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use super::Pins;
use crate::folder::Folder;

/// The folder of pins in it.
pub const FOLDER: &str = "flowxdp";

/// Makes one (fsopen(2), Linux 5.2). The kernel frees it with the last descriptor of it.
///
/// # Errors
///
/// EPERM without CAP_SYS_ADMIN.
pub fn mount() -> anyhow::Result<OwnedFd> {
    let made = || {
        let context = fsopen("bpf", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    made().context("cannot make a BPF file system")
}

impl Pins {
    /// A folder of such a file system as the folder of pins.
    ///
    /// # Errors
    ///
    /// The process has too many descriptors open.
    pub fn private(mount: OwnedFd) -> anyhow::Result<Self> {
        // The mount's own descriptor is a place and no open folder.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // In the root are files of the kernel's own, which root alone reads.
        let opened = mkdirat(&mount, FOLDER, Mode::RWXU)
            .and_then(|()| openat(&mount, FOLDER, flags, Mode::empty()))
            .context("cannot open a BPF file system")?;
        let folder = Folder::opened(opened);
        Ok(Self { folder, had_pins: false, private: Some(mount), foreign: std::cell::RefCell::default() })
    }
}
