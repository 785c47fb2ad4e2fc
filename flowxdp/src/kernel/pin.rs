//! Pins: the folder of a BPF file system that keeps table, counters and attachments when the agent ends.
//!
//! ```text
//! DIR/1/FLOWS_V4 …   the maps of a generation: those that one program is loaded with
//! DIR/2/FLOWS_V4 …   the next one: another size of the table, or another layout
//! DIR/link-7         the attachment of XDP to the interface with ifIndex 7
//! DIR/ingress-7      the attachment of a classifier there
//! ```
//!
//! Other entries of the folder are not ours: they stay, and are named once.
//!
//! Without `--pin` the folder is a BPF file system of the agent's and the loader's own, which ends with them:
//! see [`private`]. Attachments are not pinned then.
//!
//! A table of another size, or with other groups of fields, shares all maps but the table with the generation
//! before, which drains and is then removed. A table of another layout shares none.

mod kind;
mod private;
mod removal;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use aya::maps::MapData;
use bytemuck::Zeroable;
use flowxdp_common::{LAYOUT_VERSION, field::Groups, names, table};
use rustix::fs::fstatfs;

use self::kind::is_link;
pub use self::private::{FOLDER, mount};
use super::map::Mapped;
use crate::folder::{Folder, Owner};

/// `BPF_FS_MAGIC` of the kernel's `uapi/linux/magic.h`.
const BPF_FS: u64 = 0xcafe_4a11;

/// Where a program is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// XDP.
    Xdp,
    /// A classifier at ingress.
    Ingress,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Xdp, Self::Ingress];

    /// The prefix of an attachment's name; its ifIndex follows.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Xdp => "link-",
            Self::Ingress => "ingress-",
        }
    }
}

/// Maps that belong to one size of the table; a new one begins with none of them.
const OF_ONE_SIZE: [&str; 7] = [
    names::FLOWS_V4,
    names::FLOWS_V6,
    names::COLD_V4,
    names::COLD_V6,
    names::CPUS,
    names::TAKEN,
    names::SHAPE,
];

/// The map that a table of another size keeps if it has the same groups of fields.
const OF_SAME_GROUPS: &str = names::COLD_SPILL;

/// Maps that a table of another size goes on with.
const SHARED: [&str; 7] = [
    names::COUNTERS,
    names::ROWS,
    names::OVERFLOW,
    names::SPILL,
    names::INTENT,
    names::JOURNAL,
    names::NAMES,
];

/// Maps that no later agent continues with: pinned while the loader hands them over.
pub(super) const HANDED: [&str; 2] = [names::COPIES, names::COPIERS];

/// The folder, which no other agent has while this lives.
#[derive(Debug)]
pub struct Pins {
    /// Locked as long as it is open.
    folder: Folder,
    /// Pins of an earlier agent were in it.
    had_pins: bool,
    /// A file system that ends with the processes that have this open; `None` for one that is mounted.
    private: Option<OwnedFd>,
    /// Names in it that are not ours, as far as they were said.
    foreign: RefCell<BTreeSet<PathBuf>>,
}

/// The maps of one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number, from 1.
    pub number: u64,
    /// Its folder.
    pub directory: PathBuf,
    /// Its descriptor.
    pub descriptor: table::TableDescriptor,
}

impl Generation {
    /// Whether this agent knows its layout.
    pub fn is_known(&self) -> bool {
        self.descriptor.layout == LAYOUT_VERSION
            && self.descriptor.size == size_of::<table::TableDescriptor>() as u64
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
        let remedy = || {
            format!(
                "cannot use {shown} for pins: mount a BPF file system with `mount -t bpf bpf /sys/fs/bpf`, and \
                 name a folder in it"
            )
        };
        let above = directory.parent().filter(|above| !above.as_os_str().is_empty());
        ensure!(above.is_none_or(Path::is_dir), "{}: the folder above is not there", remedy());
        let folder = Folder::open(directory, Owner::AnyForRoot).with_context(remedy)?;
        let kind = fstatfs(&folder).with_context(|| shown.to_string())?.f_type;
        if u64::try_from(kind).ok() != Some(BPF_FS) {
            if folder.was_made() {
                drop(folder.remove_itself());
            }
            bail!(
                "{shown} is in no BPF file system, which pins need: name a folder in /sys/fs/bpf, or mount one \
                 with `mount -t bpf bpf /sys/fs/bpf`"
            );
        }
        ensure!(
            folder.try_lock().with_context(|| shown.to_string())?,
            "another agent has the pins in {shown}: stop it, or name another folder"
        );
        let mut pins = Self { folder, had_pins: false, private: None, foreign: RefCell::default() };
        let (generations, removed) = pins.sift()?;
        pins.had_pins = removed || !generations.is_empty() || !pins.links()?.is_empty();
        Ok(pins)
    }

    /// Whether no pins of an earlier agent were there when it was opened.
    pub const fn is_new(&self) -> bool {
        !self.had_pins
    }

    /// Whether the next agent finds them.
    pub const fn outlive_the_agent(&self) -> bool {
        self.private.is_none()
    }

    /// The folder.
    pub fn directory(&self) -> &Path {
        self.folder.path()
    }

    /// The names in the folder.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn names(&self) -> anyhow::Result<Vec<OsString>> {
        self.folder.names().with_context(|| self.directory().display().to_string())
    }

    /// Numbers of folders, which may be generations.
    fn numbers(&self) -> anyhow::Result<Vec<u64>> {
        let mut numbers: Vec<u64> = self.names()?.iter().filter_map(|name| number(name, "")).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Whole generations, the oldest first. Generations that an agent left unfinished are removed.
    ///
    /// # Errors
    ///
    /// The folder cannot be read, or a pin of ours not be removed.
    pub fn generations(&self) -> anyhow::Result<Vec<Generation>> {
        Ok(self.sift()?.0)
    }

    /// The whole generation of this number.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn generation(&self, number: u64) -> anyhow::Result<Generation> {
        let directory = self.directory().join(number.to_string());
        let descriptor = descriptor(&directory).filter(|descriptor| descriptor.layout != 0);
        let descriptor = descriptor.with_context(|| format!("no table in {}", directory.display()))?;
        Ok(Generation { number, directory, descriptor })
    }

    /// The same, and whether something was removed.
    fn sift(&self) -> anyhow::Result<(Vec<Generation>, bool)> {
        let (mut found, mut removed) = (Vec::new(), false);
        for number in self.numbers()? {
            let directory = self.directory().join(number.to_string());
            match descriptor(&directory) {
                Some(descriptor) if descriptor.layout != 0 => {
                    found.push(Generation { number, directory, descriptor })
                }
                _ => removed |= self.remove_maps(number)?,
            }
        }
        Ok((found, removed))
    }

    /// The first number from `least` on of which there is no folder.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn free(&self, least: u64) -> anyhow::Result<u64> {
        let taken = self.numbers()?;
        Ok((least..).find(|number| !taken.contains(number)).unwrap_or(least))
    }

    /// A folder for the generation behind `last`; with `last`, all maps but the table are shared with it.
    /// `groups` are the groups of the new one's cold fields.
    ///
    /// The folder counts as a generation once [`finish`] was called.
    ///
    /// # Errors
    ///
    /// The kernel refuses a pin.
    pub fn begin(&self, last: Option<&Generation>, number: u64, groups: Groups) -> anyhow::Result<PathBuf> {
        let name = number.to_string();
        let directory = self.directory().join(&name);
        self.folder.make(&name).with_context(|| format!("cannot make {}", directory.display()))?;
        let same =
            last.filter(|last| last.descriptor.groups == u64::from(groups.bits())).map(|_| OF_SAME_GROUPS);
        for name in last.iter().flat_map(|_| SHARED).chain(same) {
            let Some(last) = last else { break };
            let map =
                MapData::from_pin(last.directory.join(name)).with_context(|| format!("pin of {name}"))?;
            map.pin(directory.join(name)).with_context(|| format!("cannot pin {name}"))?;
        }
        Ok(directory)
    }

    /// Attachments, by place and ifIndex.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn links(&self) -> anyhow::Result<Vec<(Place, u32)>> {
        let mut links = Vec::new();
        for name in self.names()? {
            let of = |place: Place| Some((place, u32::try_from(number(&name, place.prefix())?).ok()?));
            let Some((place, index)) = Place::ALL.into_iter().find_map(of) else { continue };
            let path = self.link(place, index);
            if is_link(&path, place) {
                links.push((place, index));
            } else {
                self.stays(path);
            }
        }
        Ok(links)
    }

    /// Whether the attachment to an interface is pinned.
    ///
    /// # Errors
    ///
    /// The pin of that name is not ours.
    pub fn has_link(&self, place: Place, index: u32) -> anyhow::Result<bool> {
        let path = self.link(place, index);
        if self.private.is_some() || self.folder.state(OsStr::new(&link(place, index)))?.is_none() {
            return Ok(false);
        }
        let shown = path.display();
        ensure!(
            is_link(&path, place),
            "{shown} is no pin of flowxdp's: remove it, or name another folder with --pin"
        );
        Ok(true)
    }

    /// Where the attachment to an interface is pinned: the kernel takes a path.
    pub fn link(&self, place: Place, index: u32) -> PathBuf {
        self.directory().join(link(place, index))
    }
}

/// Writes a generation's descriptor; from then on the generation counts.
pub fn finish(descriptor: &mut Mapped<table::TableDescriptor>, mut what: table::TableDescriptor) {
    what.size = size_of::<table::TableDescriptor>() as u64;
    what.fields = table::FIELDS;
    what.layout = 0;
    descriptor.write(0, &what);
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    what.layout = LAYOUT_VERSION;
    descriptor.write(0, &what);
}

/// Every map of a generation.
pub fn all() -> impl Iterator<Item = &'static str> {
    OF_ONE_SIZE.into_iter().chain([OF_SAME_GROUPS]).chain(SHARED)
}

/// The name of an interface's attachment.
fn link(place: Place, index: u32) -> String {
    format!("{}{index}", place.prefix())
}

/// The number in a file's name, as we write it.
fn number(name: &OsStr, prefix: &str) -> Option<u64> {
    let digits = name.to_str()?.strip_prefix(prefix)?;
    digits.parse().ok().filter(|number: &u64| *number > 0 && number.to_string() == digits)
}

/// A generation's descriptor, as far as it is there.
pub(crate) fn descriptor(directory: &Path) -> Option<table::TableDescriptor> {
    let map = MapData::from_pin(directory.join(names::SHAPE)).ok()?;
    let size = map.info().ok()?.value_size() as usize;
    if size < size_of::<table::TableDescriptor>() {
        // A shorter descriptor still has the fields that never change.
        let words: Mapped<u64> = Mapped::new(map.fd(), size / 8).ok()?;
        let mut descriptor = table::TableDescriptor::zeroed();
        let octets = bytemuck::bytes_of_mut(&mut descriptor);
        for (word, place) in octets.chunks_exact_mut(8).take(size / 8).enumerate() {
            place.copy_from_slice(&words.read(word).to_ne_bytes());
        }
        return (size >= std::mem::offset_of!(table::TableDescriptor, flows_v4)).then_some(descriptor);
    }
    Mapped::<table::TableDescriptor>::new(map.fd(), 1).ok().map(|mapped| mapped.read(0))
}
