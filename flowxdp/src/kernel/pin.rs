//! Pins: the folder of a BPF file system that keeps table, counters and attachments when the agent ends.
//!
//! ```text
//! DIR/1/FLOWS_V4 …   the maps of a generation: what one program is loaded with
//! DIR/2/FLOWS_V4 …   the next one: another size of the table, or another layout
//! DIR/link-7         the attachment to the interface with ifIndex 7
//! ```
//!
//! A table of another size shares everything but the table with the one before, which is emptied and then
//! removed. One of another layout shares nothing.

use std::{
    fs,
    io::ErrorKind,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use aya::maps::MapData;
use bytemuck::Zeroable;
use flowxdp_common::{LAYOUT_VERSION, names, table};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstatfs, open};

use super::map::Mapped;

/// `BPF_FS_MAGIC` of the kernel's `uapi/linux/magic.h`.
const BPF_FS: u64 = 0xcafe_4a11;

/// Maps that belong to one size of the table; a new one begins with none of them.
const OF_ONE_SIZE: [&str; 5] = [names::FLOWS_V4, names::FLOWS_V6, names::CPUS, names::TAKEN, names::SHAPE];

/// Maps that a table of another size goes on with.
const SHARED: [&str; 7] =
    [names::COUNTERS, names::ROWS, names::OVERFLOW, names::OWN, names::INTENT, names::JOURNAL, names::NAMES];

/// The folder, which no other agent has while this lives.
#[derive(Debug)]
pub struct Pins {
    directory: PathBuf,
    _lock: OwnedFd,
}

/// The maps of one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number, from 1.
    pub number: u64,
    /// Its folder.
    pub directory: PathBuf,
    /// What it says of itself.
    pub shape: table::Shape,
}

impl Generation {
    /// Whether this agent knows its layout.
    pub fn is_known(&self) -> bool {
        self.shape.layout == LAYOUT_VERSION && self.shape.size == size_of::<table::Shape>() as u64
    }
}

impl Pins {
    /// Takes the folder, which is made if its parent is there.
    ///
    /// # Errors
    ///
    /// It is in no BPF file system, or another agent has it.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        let shown = directory.display();
        match fs::create_dir(directory) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| {
                    format!(
                        "cannot make {shown} for pins: mount a BPF file system with `mount -t bpf bpf \
                         /sys/fs/bpf`, and name a folder in it"
                    )
                });
            }
        }
        let lock = open(directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .with_context(|| format!("cannot open {shown}"))?;
        let kind = fstatfs(&lock).with_context(|| shown.to_string())?.f_type;
        if u64::try_from(kind).ok() != Some(BPF_FS) {
            // Not ours to leave there, if it was made just now.
            drop(fs::remove_dir(directory));
            bail!(
                "{shown} is in no BPF file system, which pins need: name a folder in /sys/fs/bpf, or mount one \
                 with `mount -t bpf bpf /sys/fs/bpf`"
            );
        }
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            anyhow::anyhow!("another agent has the pins in {shown}: stop it, or name another folder")
        })?;
        Ok(Self { directory: directory.to_owned(), _lock: lock })
    }

    /// Whether nothing is pinned there.
    pub fn is_new(&self) -> bool {
        fs::read_dir(&self.directory).is_ok_and(|mut entries| entries.next().is_none())
    }

    /// The folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn entries(&self, directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    }

    /// Whole generations, the oldest first. What an agent did not finish to make is removed.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn generations(&self) -> anyhow::Result<Vec<Generation>> {
        let mut found = Vec::new();
        for directory in self.entries(&self.directory)? {
            let Some(number) = number(&directory, "") else { continue };
            match shape(&directory) {
                Some(shape) if shape.layout != 0 => found.push(Generation { number, directory, shape }),
                _ => self.remove_folder(&directory)?,
            }
        }
        found.sort_by_key(|generation| generation.number);
        Ok(found)
    }

    /// A folder for the generation behind `last`; with `last`, everything but the table is shared with it.
    ///
    /// It is one once [`finish`] was called.
    ///
    /// # Errors
    ///
    /// The kernel refuses a pin.
    pub fn begin(&self, last: Option<&Generation>, number: u64) -> anyhow::Result<PathBuf> {
        let directory = self.directory.join(number.to_string());
        fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        for name in last.iter().flat_map(|_| SHARED) {
            let Some(last) = last else { break };
            let map =
                MapData::from_pin(last.directory.join(name)).with_context(|| format!("pin of {name}"))?;
            map.pin(directory.join(name)).with_context(|| format!("cannot pin {name}"))?;
        }
        Ok(directory)
    }

    /// Removes a generation that is empty.
    ///
    /// # Errors
    ///
    /// A pin cannot be removed.
    pub fn remove(&self, generation: &Generation) -> anyhow::Result<()> {
        // Its shape first: what is left without one is no generation.
        let shape = generation.directory.join(names::SHAPE);
        fs::remove_file(&shape).with_context(|| format!("cannot remove {}", shape.display()))?;
        self.remove_folder(&generation.directory)
    }

    fn remove_folder(&self, directory: &Path) -> anyhow::Result<()> {
        for path in self.entries(directory)? {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        fs::remove_dir(directory).with_context(|| format!("cannot remove {}", directory.display()))
    }

    /// Attachments: ifIndex and path.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn links(&self) -> anyhow::Result<Vec<(u32, PathBuf)>> {
        let paths = self.entries(&self.directory)?;
        let links = paths.into_iter().filter_map(|path| {
            let index = u32::try_from(number(&path, "link-")?).ok()?;
            Some((index, path))
        });
        Ok(links.collect())
    }

    /// Where the attachment to an interface is pinned.
    pub fn link(&self, index: u32) -> PathBuf {
        self.directory.join(format!("link-{index}"))
    }

    /// Removes everything: attachments first, so that no program runs on what is gone.
    ///
    /// # Errors
    ///
    /// A pin cannot be removed.
    pub fn clear(&self) -> anyhow::Result<()> {
        for (_, path) in self.links()? {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        for directory in self.entries(&self.directory)?.into_iter().filter(|it| number(it, "").is_some()) {
            self.remove_folder(&directory)?;
        }
        match fs::remove_dir(&self.directory) {
            // Made for us in a folder of somebody else's, it stays.
            Err(error) if error.kind() != ErrorKind::PermissionDenied => {
                Err(error).with_context(|| format!("cannot remove {}", self.directory.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Says what a generation is: from now on it counts.
pub fn finish(shape: &mut Mapped<table::Shape>, mut what: table::Shape) {
    what.size = size_of::<table::Shape>() as u64;
    what.fields = table::FIELDS;
    what.layout = 0;
    shape.write(0, &what);
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    what.layout = LAYOUT_VERSION;
    shape.write(0, &what);
}

/// Whether a map belongs to one size of the table.
pub fn is_of_one_size(name: &str) -> bool {
    OF_ONE_SIZE.contains(&name)
}

/// Every map of a generation.
pub fn all() -> impl Iterator<Item = &'static str> {
    OF_ONE_SIZE.into_iter().chain(SHARED)
}

/// The number in a file's name.
fn number(path: &Path, prefix: &str) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(prefix)?.parse().ok().filter(|number| *number > 0)
}

/// What a generation says of itself, as far as it is there.
fn shape(directory: &Path) -> Option<table::Shape> {
    let map = MapData::from_pin(directory.join(names::SHAPE)).ok()?;
    let size = map.info().ok()?.value_size() as usize;
    if size < size_of::<table::Shape>() {
        // Of a shorter one, what never changes is there.
        let words: Mapped<u64> = Mapped::new(map.fd(), size / 8).ok()?;
        let mut shape = table::Shape::zeroed();
        let octets = bytemuck::bytes_of_mut(&mut shape);
        for (word, place) in octets.chunks_exact_mut(8).take(size / 8).enumerate() {
            place.copy_from_slice(&words.read(word).to_ne_bytes());
        }
        return (size >= std::mem::offset_of!(table::Shape, flows_v4)).then_some(shape);
    }
    Mapped::<table::Shape>::new(map.fd(), 1).ok().map(|mapped| mapped.read(0))
}
