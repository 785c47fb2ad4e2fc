//! The VM's first and only file system: a newc archive that the kernel unpacks into memory.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cpio::newc::{Builder, ModeFileType, trailer};

use crate::shell;

/// Folders that are links below usr, as Debian has them.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// An archive that is written. Every path is absolute.
pub(crate) struct Archive {
    file: BufWriter<File>,
    entries: BTreeSet<PathBuf>,
}

impl Archive {
    /// A new archive, with the folders that every system has.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let mut archive = Self { file: BufWriter::with_capacity(1 << 20, file), entries: BTreeSet::new() };
        for folder in ["dev", "proc", "sys", "tmp", "run", "etc", "root", "var/lib"] {
            archive.folder(&Path::new("/").join(folder))?;
        }
        for name in MERGED {
            archive.folder(&Path::new("/usr").join(name))?;
            archive.link(&Path::new("/").join(name), &format!("usr/{name}"))?;
        }
        archive.link(Path::new("/var/run"), "/run")?;
        archive.link(Path::new("/var/tmp"), "/tmp")?;
        Ok(archive)
    }

    /// Where a path truly is: not through the links at the top.
    fn place(path: &Path) -> PathBuf {
        match MERGED.iter().find(|name| path.starts_with(Path::new("/").join(name))) {
            Some(_) => Path::new("/usr").join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    fn entry(&mut self, path: &Path, kind: ModeFileType, mode: u32, content: &[u8]) -> Result<()> {
        self.entries.insert(path.to_owned());
        let name = path.strip_prefix("/").unwrap_or(path).to_str().context("a path that is no text")?;
        let number = u32::try_from(self.entries.len())?;
        let entry = Builder::new(name).ino(number).mode(mode).set_mode_file_type(kind);
        let size = u32::try_from(content.len()).with_context(|| format!("{name} is too large"))?;
        let mut writer = entry.write(&mut self.file, size);
        writer.write_all(content)?;
        writer.finish().with_context(|| format!("cannot pack {name}"))?;
        Ok(())
    }

    /// A folder, and those above it.
    pub(crate) fn folder(&mut self, path: &Path) -> Result<()> {
        let path = Self::place(path);
        if path == Path::new("/") || self.entries.contains(&path) {
            return Ok(());
        }
        if let Some(above) = path.parent() {
            self.folder(above)?;
        }
        self.entry(&path, ModeFileType::Directory, 0o755, &[])
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, path: &Path, to: &str) -> Result<()> {
        if let Some(above) = path.parent() {
            self.folder(above)?;
        }
        self.entry(path, ModeFileType::Symlink, 0o777, to.as_bytes())
    }

    /// A file that is written here.
    pub(crate) fn text(&mut self, path: &str, mode: u32, content: &str) -> Result<()> {
        self.bytes(Path::new(path), mode, content.as_bytes())
    }

    fn bytes(&mut self, path: &Path, mode: u32, content: &[u8]) -> Result<()> {
        let path = Self::place(path);
        if self.entries.contains(&path) {
            return Ok(());
        }
        if let Some(above) = path.parent() {
            self.folder(above)?;
        }
        self.entry(&path, ModeFileType::Regular, mode, content)
    }

    /// A file of this machine, at a place.
    pub(crate) fn copy(&mut self, from: &Path, to: &Path, mode: u32) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.bytes(to, mode, &content)
    }

    /// A folder of this machine with all that is in it, where it is here.
    pub(crate) fn tree(&mut self, folder: &Path) -> Result<()> {
        self.folder(folder)?;
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() { self.tree(&path)? } else { self.copy(&path, &path, 0o755)? }
        }
        Ok(())
    }

    /// A program of this machine, at a place, with the libraries and the loader that it needs.
    pub(crate) fn program(&mut self, from: &Path, to: &Path) -> Result<()> {
        self.copy(from, to, 0o755)?;
        // A script or a static program has none, and then ldd fails.
        let listed = Command::new("ldd").arg(from).output().context("cannot run ldd")?;
        for library in String::from_utf8_lossy(&listed.stdout).split_whitespace() {
            if library.starts_with('/') {
                let library = Path::new(library);
                self.copy(library, library, 0o755)?;
            }
        }
        Ok(())
    }

    /// A program found by its name, in the folder of programs.
    pub(crate) fn named(&mut self, name: &str) -> Result<()> {
        let from = shell::find(name).with_context(|| format!("there is no program {name} to take along"))?;
        self.program(&from, &Path::new("/usr/bin").join(name))
    }

    /// Ends it.
    pub(crate) fn close(mut self) -> Result<()> {
        ensure!(!self.entries.is_empty(), "an empty archive");
        trailer(&mut self.file)?;
        Ok(self.file.flush()?)
    }
}
