//! What keeps an array of programs filled when its agent is gone.
//!
//! The kernel empties an array of programs when the last descriptor and the last pin of it are gone, also
//! while a program on an interface still uses it. So each is pinned, in a folder of its own in a BPF file
//! system. The folder is locked while its agent runs: one that is there and not locked was left by a crash.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use aya::{maps::Map, programs::loaded_programs};
use rustix::fs::{FlockOperation, flock, statfs};

use super::others;

/// `f_type` of a BPF file system, from `uapi/linux/magic.h`.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
const PIN: &str = "array";

/// The pin of an array; it stays when this is dropped.
#[derive(Debug)]
pub(super) struct Keep {
    folder: PathBuf,
    /// Holds the lock.
    _lock: File,
}

/// What is known of an array's agent.
#[derive(Debug)]
pub(super) enum Owner {
    /// It runs.
    Runs,
    /// It is gone.
    Gone(Keep),
    /// There is no such pin.
    Unknown,
}

fn folder_of(pins: &Path, map: u32) -> PathBuf {
    pins.join(format!("chain-{map}"))
}

/// Opens and locks a folder; none if another process has the lock.
fn lock(folder: PathBuf) -> io::Result<Option<Keep>> {
    let file = File::open(&folder)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Keep { folder, _lock: file })),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Who has the array of this id.
///
/// # Errors
///
/// The file system's.
pub(super) fn owner(pins: &Path, map: u32) -> io::Result<Owner> {
    match lock(folder_of(pins, map)) {
        Ok(Some(keep)) => Ok(Owner::Gone(keep)),
        Ok(None) => Ok(Owner::Runs),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Owner::Unknown),
        Err(error) => Err(error),
    }
}

impl Keep {
    /// Pins an array below `pins`.
    ///
    /// # Errors
    ///
    /// One line that says what is missing and the remedy.
    pub(super) fn new(pins: &Path, map: &Map, id: u32) -> anyhow::Result<Self> {
        let shown = pins.display();
        if !is_bpf(pins)? {
            bail!(
                "--chain needs a BPF file system, and {shown} is in none: `mount -t bpf bpf /sys/fs/bpf`, or \
                 name a folder in another with --pin"
            );
        }
        let folder = folder_of(pins, id);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {} for --chain", folder.display()))?;
        let Some(keep) = lock(folder).with_context(|| format!("cannot lock a folder in {shown}"))? else {
            bail!("another agent keeps the same array of programs in {shown}: stop it");
        };
        let pin = keep.folder.join(PIN);
        if !pin.exists() {
            map.pin(&pin).with_context(|| format!("cannot pin {}", pin.display()))?;
        }
        Ok(keep)
    }

    /// Lets the array go.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub(super) fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(self.folder.join(PIN))?;
        std::fs::remove_dir(&self.folder)
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
            // Another start may have been quicker.
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
