//! A BPF file system of the test's own, for pins.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// One that is mounted on a folder of its own, and gone with the test.
pub struct BpfFs {
    directory: TempDir,
}

impl BpfFs {
    /// Mounts it.
    pub fn mount() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        mount("bpf", directory.path(), "bpf", MountFlags::empty(), None)
            .context("mounting a BPF file system")?;
        Ok(Self { directory })
    }

    /// A folder for pins, which is not there yet.
    pub fn pins(&self) -> PathBuf {
        self.directory.path().join("flowxdp")
    }

    /// Fails unless no pin is left.
    pub fn expect_clean(&self) -> Result<()> {
        let entries = std::fs::read_dir(self.directory.path())?;
        let mut left = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
        // The kernel's own: lists of all programs and maps.
        left.retain(|path| path.extension().is_none_or(|extension| extension != "debug"));
        ensure!(left.is_empty(), "pins are left: {left:?}");
        Ok(())
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        // What still refers to it keeps it until that ends.
        let _ = unmount(self.directory.path(), UnmountFlags::DETACH);
    }
}
