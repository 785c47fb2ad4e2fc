//! The folder of one collector's spool: its name, its modes, its lock and the names in it.

use std::{
    fmt,
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use rustix::fs::OFlags;

use crate::folder;

/// The file that an agent holds a lock on.
const LOCK: &str = "lock";
/// The file of the position.
const POSITION: &str = "position";
/// The end of a segment's name.
const SUFFIX: &str = ".ipfix";
/// Digits of a segment's number in its name.
const DIGITS: usize = 16;
/// The longest readable part of a folder's name: with the rest it is far below 255 octets.
const LONGEST_NAME: usize = 100;

/// A folder of the agent's own.
#[derive(Debug)]
pub(super) struct Folder {
    folder: folder::Folder,
    /// The file is locked as long as this descriptor is open.
    _lock: File,
}

impl Folder {
    /// Makes the folder of `collector` where there is none, and locks it. Only the agent's user may
    /// read flows.
    pub(super) fn open(directory: &Path, collector: &str) -> anyhow::Result<Self> {
        let folder = folder::Folder::open_in(directory, &name(collector)).context("a spool")?;
        let what = || format!("the spool in {}", folder.path().display());
        folder.close_to_others().with_context(what)?;
        let lock = folder.file(LOCK, OFlags::RDWR | OFlags::CREATE).context(LOCK).with_context(what)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!("{} is in use by another agent", what()),
            Err(TryLockError::Error(error)) => Err(error).with_context(what),
        }
    }

    /// Gives the folder the name of another collector's.
    pub(super) fn rename(&mut self, directory: &Path, collector: &str) -> io::Result<()> {
        self.folder.rename_in(directory, name(collector).as_ref())
    }

    /// Removes the folder with the files in it that are not segments; an unknown file stays, and the folder with it.
    pub(super) fn remove_itself(&self) -> io::Result<()> {
        for file in [POSITION, LOCK] {
            self.folder.remove(file.as_ref())?;
        }
        self.folder.remove_itself()
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Opens the file of the position, which is made if there is none.
    pub(super) fn position(&self) -> io::Result<File> {
        self.folder.file(POSITION, OFlags::RDWR | OFlags::CREATE)
    }

    /// Makes the file of a new segment.
    pub(super) fn create(&self, number: u64) -> io::Result<File> {
        self.folder.file(&segment(number), OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    /// Opens a segment to be read.
    pub(super) fn read(&self, number: u64) -> io::Result<File> {
        self.folder.file(&segment(number), OFlags::RDONLY)
    }

    /// Cuts a segment to its first `length` octets.
    pub(super) fn cut(&self, number: u64, length: u64) -> io::Result<()> {
        self.folder.file(&segment(number), OFlags::RDWR)?.set_len(length)
    }

    /// Removes a segment; a missing segment is no error.
    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        match self.folder.remove(segment(number).as_ref()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The numbers of the segments, in order. The log names other files, which stay.
    pub(super) fn segments(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for file in self.folder.names()? {
            match file.to_str().map(|file| (number(file), file)) {
                Some((Some(number), _)) => numbers.push(number),
                Some((None, LOCK | POSITION)) => {}
                _ => log::warn!("spool {self}: {} is no part of it and is left alone", file.display()),
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The path of a segment, for messages.
    pub(super) fn segment(&self, number: u64) -> PathBuf {
        self.path().join(segment(number))
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}

/// The name of a segment.
fn segment(number: u64) -> String {
    format!("{number:0DIGITS$}{SUFFIX}")
}

/// The number in the name of a segment.
fn number(file: &str) -> Option<u64> {
    let digits = file.strip_suffix(SUFFIX)?;
    let is_ours = digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_ours { digits.parse().ok() } else { None }
}

/// The name of a collector's folder: readable, and another one for another collector.
///
/// Characters with a meaning to a shell or a file system become underscores; a hash behind them makes the name
/// unique: FNV-1a of 64 bits, the same in every version.
fn name(collector: &str) -> String {
    let safe = |it: char| if it.is_ascii_alphanumeric() || matches!(it, '.' | '-') { it } else { '_' };
    let readable: String = collector.chars().take(LONGEST_NAME).map(safe).collect();
    let hash = collector.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{readable}-{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::{name, number};

    #[test]
    fn names_are_safe_short_and_unique() {
        assert_eq!(name("tcp://[::1]:4739"), "tcp______1__4739-3107829fec1b1b92");
        assert_ne!(name("tcp://a:1?b"), name("tcp://a:1/b"));
        assert!(name(&"ä/".repeat(500)).len() < 200);
        assert!(name("../..").starts_with(".._..-"));
    }

    #[test]
    fn numbers_are_those_of_whole_names() {
        assert_eq!(number("0000000000000012.ipfix"), Some(12));
        for other in ["12.ipfix", "0000000000000012.ipfix~", "+000000000000012.ipfix", "position"] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
