//! A BPF file system that is mounted nowhere, for tables of a running agent that are not to outlive it.

use std::os::fd::OwnedFd;

use anyhow::Context;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use super::Pins;
use crate::folder::Folder;

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
    /// The root of such a file system as the folder of pins.
    ///
    /// # Errors
    ///
    /// The process has too many descriptors open.
    pub fn private(mount: OwnedFd) -> Self {
        let folder = Folder::opened(mount);
        Self { folder, had_pins: false, is_private: true, foreign: std::cell::RefCell::default() }
    }
}
