//! A BPF file system that vanishes with the test, however it ends.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::process::{Program, find};

/// One of this test's own.
pub struct Bpffs {
    folder: TempDir,
    janitor: Child,
}

impl Bpffs {
    /// Mounts one. Programs that are started afterwards see it, also those in network namespaces.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mount = Program::find("mount")?.args(["-t", "bpf", "bpf"]).arg(folder.path());
        mount.run(Duration::from_secs(10))?.success()?;
        // As with a namespace: the end of this pipe is the order to clean up.
        let janitor = Command::new("/bin/sh")
            .args(["-c", r#"trap "" INT TERM HUP; read -r _; "$0" "$1""#])
            .arg(find("umount")?)
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting the shell that unmounts")?;
        Ok(Self { folder, janitor })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A folder for pins, which is not there yet.
    pub fn pins(&self) -> PathBuf {
        self.join("flowxdp")
    }

    /// Fails unless no pin is left, nor a folder for them.
    pub fn expect_clean(&self) -> Result<()> {
        let mut left = self.left_in("")?;
        // The kernel's own lists, and folders that iproute2 makes in the first BPF file system that it finds.
        left.retain(|name| !name.ends_with(".debug") && !["ip", "tc", "xdp"].contains(&name.as_str()));
        ensure!(left.is_empty(), "pins are left: {left:?}");
        Ok(())
    }

    /// The names left in a folder of it.
    pub fn left_in(&self, folder: &str) -> Result<Vec<String>> {
        let Ok(entries) = std::fs::read_dir(self.join(folder)) else { return Ok(Vec::new()) };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // Closes the pipe, and waits until it is unmounted: the folder under it goes after that.
        let _ = self.janitor.wait();
    }
}
