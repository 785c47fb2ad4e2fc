//! The pin that keeps an array of programs filled after its agent's death.
//!
//! The kernel empties an array of programs when its last descriptor and its last pin are gone, also while a program
//! on an interface still uses the array. So each array is pinned, in a folder of its own in a BPF file system. The
//! agent locks the folder while it runs: a folder without a lock was left by a crash.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use aya::{maps::Map, programs::loaded_programs};
use rustix::fs::statfs;

use super::others;
use crate::folder::{self, Folder};

/// `f_type` of a BPF file system, from `uapi/linux/magic.h`.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
const PIN: &str = "array";

/// The pin of an array, which outlives this value.
#[derive(Debug)]
pub(super) struct Keep {
    /// The folder is locked as long as this descriptor is open.
    folder: Folder,
}

/// The state of an array's agent.
#[derive(Debug)]
pub(super) enum Owner {
    /// The agent runs.
    Runs,
    /// The agent is gone.
    Gone(Keep),
    /// There is no such pin.
    Unknown,
}

fn folder_of(pins: &Path, map: u32) -> PathBuf {
    pins.join(format!("chain-{map}"))
}

/// Locks a folder; none if another process has the lock.
fn lock(folder: Folder) -> io::Result<Option<Keep>> {
    Ok(folder.try_lock()?.then_some(Keep { folder }))
}

/// The agent that has the array of this id.
///
/// # Errors
///
/// The file system's.
pub(super) fn owner(pins: &Path, map: u32) -> anyhow::Result<Owner> {
    let Some(folder) = Folder::find(&folder_of(pins, map), folder::Owner::AnyForRoot)? else {
        return Ok(Owner::Unknown);
    };
    Ok(lock(folder)?.map_or(Owner::Runs, Owner::Gone))
}

impl Keep {
    /// Pins an array below `pins`.
    ///
    /// # Errors
    ///
    /// One line that names the missing part and the remedy.
    pub(super) fn new(pins: &Path, map: &Map, id: u32) -> anyhow::Result<Self> {
        let shown = pins.display();
        if !is_bpf(pins)? {
            bail!(
                "--chain needs a BPF file system, and {shown} is in none: `mount -t bpf bpf /sys/fs/bpf`, or \
                 name a folder in another with --pin"
            );
        }
        let folder = Folder::open(&folder_of(pins, id), folder::Owner::AnyForRoot).context("--chain")?;
        let Some(keep) = lock(folder).with_context(|| format!("cannot lock a folder in {shown}"))? else {
            bail!("another agent keeps the same array of programs in {shown}: stop it");
        };
        let pin = keep.folder.path().join(PIN);
        if !pin.exists() {
            map.pin(&pin).with_context(|| format!("cannot pin {}", pin.display()))?;
        }
        Ok(keep)
    }

    /// Removes the array's pin.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub(super) fn remove(&self) -> io::Result<()> {
        self.folder.remove(OsStr::new(PIN))?;
        self.folder.remove_itself()
    }
}

/// Removes pins whose agent was killed after it had put the others back: no program uses their array.
pub fn sweep(pins: &Path) {
    let names = std::fs::read_dir(pins).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let ids = names.filter_map(|name| name.to_str()?.strip_prefix("chain-")?.parse::<u32>().ok());
    let mut ids: Vec<u32> = ids.collect();
    if ids.is_empty() {
        return;
    }
    for program in loaded_programs().flatten() {
        let used = others::maps_of(&program);
        ids.retain(|id| !used.contains(id));
    }
    for id in ids {
        if let Ok(Owner::Gone(keep)) = owner(pins, id) {
            // Another start may have removed the pin meanwhile.
            drop(keep.remove());
        }
    }
}

/// Whether a path is, or will be, in a BPF file system.
fn is_bpf(path: &Path) -> anyhow::Result<bool> {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let kind = statfs(there).with_context(|| there.display().to_string())?.f_type;
    Ok(u64::try_from(kind).is_ok_and(|kind| kind == BPF_FS_MAGIC))
}
