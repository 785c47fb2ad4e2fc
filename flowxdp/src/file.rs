//! Files that the agent reads whole: certificates, keys, lists. Regular files only, of a bounded size.
//!
//! A FIFO without a writer would block the agent, and with it SIGTERM; a device may have no end.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context, bail, ensure};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};

/// Octets of the largest file that is read: a system's certificate authorities have a hundredth of it.
pub const LARGEST: u64 = 16 << 20;

/// Reads a file.
///
/// # Errors
///
/// The file cannot be opened or read, is no regular file, or has more than [`LARGEST`] octets.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    read_at_most(path, LARGEST)
}

/// Reads a file of at most `largest` octets.
///
/// # Errors
///
/// The file cannot be opened or read, is no regular file, or has more octets.
pub fn read_at_most(path: &Path, largest: u64) -> anyhow::Result<Vec<u8>> {
    let shown = path.display();
    let file = open_regular(path).with_context(|| format!("cannot read {shown}"))?;
    let mut octets = Vec::new();
    file.take(largest + 1).read_to_end(&mut octets).with_context(|| format!("cannot read {shown}"))?;
    ensure!(octets.len() as u64 <= largest, "cannot read {shown}: it has more than {largest} octets");
    Ok(octets)
}

/// Opens a regular file to be read, without waiting for the writer of a FIFO.
///
/// # Errors
///
/// The file cannot be opened, or is another kind of file.
pub fn open_regular(path: &Path) -> anyhow::Result<File> {
    // O_NOCTTY: a terminal must not become the agent's own.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::empty()).map_err(io::Error::from)?;
    match kind(&file)? {
        FileType::RegularFile => Ok(File::from(file)),
        FileType::Fifo => bail!("it is a pipe (FIFO): write its content to a regular file, and name that"),
        other => bail!("it is {}, and must be a regular file", named(other)),
    }
}

/// The kind of an open file.
///
/// # Errors
///
/// fstat(2)'s.
pub fn kind(file: &impl std::os::fd::AsFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(file)?.st_mode))
}

/// A kind of file in words.
pub const fn named(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a pipe (FIFO)",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of an unknown kind",
    }
}

#[cfg(test)]
mod tests {
    use super::{LARGEST, read};
    use rustix::fs::{CWD, Mode, mkfifoat};
    use std::path::Path;

    #[test]
    fn a_regular_file_is_read_and_others_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (file, fifo) = (folder.path().join("ca.pem"), folder.path().join("fifo"));
        std::fs::write(&file, "text").unwrap();
        assert_eq!(read(&file).unwrap(), b"text");
        mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
        for (path, word) in [
            (fifo.as_path(), "pipe"),
            (Path::new("/dev/zero"), "device"),
            (folder.path(), "folder"),
            (&folder.path().join("absent"), "No such file"),
        ] {
            let error = format!("{:#}", read(path).unwrap_err());
            assert!(error.contains(word) && error.contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(LARGEST + 1).unwrap();
        assert!(read(file.path()).unwrap_err().to_string().contains("16777216 octets"));
    }
}
