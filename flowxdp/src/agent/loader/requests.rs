//! Requests, checked against the configuration that the loader has read: a file or table that it does not name is refused.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use flowxdp_common::{LAYOUT_VERSION, switch::BEHIND_CHAIN};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::protocol::{Answer, Request, Table};
use crate::{
    agent::confine::Needs,
    file,
    kernel::{
        cpus,
        load::{self, Pinned, TableSize},
        pin::{self, Generation},
        preflight,
    },
};

/// Octets of the longest file of a configuration.
const LONGEST: u64 = 1 << 20;

/// The most octets of a ring buffer.
const RING: u32 = 1 << 26;

/// Requests that a configuration allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The table; its partitions and ring are those of a request.
    pub table: TableSize,
    /// Files that it names.
    pub files: Vec<PathBuf>,
}

/// How the text of a configuration, with the flags beside it, is read.
type Reader = Box<dyn Fn(Option<&str>) -> anyhow::Result<Allowed>>;

/// The configuration of this run.
pub struct Configuration {
    /// Its file, if there is one.
    pub file: Option<PathBuf>,
    /// Requests that the text of the file, and the flags beside it, allow.
    pub read: Reader,
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configuration").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Who answers requests.
#[derive(Debug)]
pub(super) struct Requests {
    configuration: Configuration,
    /// By the file as it was read last.
    allowed: Allowed,
    /// The folder of pins.
    folder: Option<PathBuf>,
}

impl Requests {
    /// Reads the configuration for the first time.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub(super) fn new(configuration: Configuration, folder: Option<PathBuf>) -> anyhow::Result<Self> {
        let mut requests = Self { configuration, allowed: Allowed::default(), folder };
        requests.read()?;
        Ok(requests)
    }

    /// The files that answers need.
    pub(super) fn needs(&self) -> Needs {
        let btf = PathBuf::from("/sys/kernel/btf/vmlinux");
        let files = self.allowed.files.iter().chain(&self.configuration.file).cloned();
        Needs {
            files: files.chain([btf]).collect(),
            pinned: self.folder.iter().cloned().collect(),
            ..Needs::default()
        }
    }

    /// Answers a request.
    pub(super) fn answer(&mut self, request: &Request) -> (Answer, Option<OwnedFd>) {
        let answer = match request {
            Request::Table(table) => self.table(table).map(|()| (Answer::Done, None)),
            Request::Configuration => self.configuration(),
            Request::File { path } => self.file(path).map(|file| (Answer::File, Some(file))),
        };
        answer.unwrap_or_else(|error| (Answer::Refused(format!("{error:#}")), None))
    }

    fn configuration(&mut self) -> anyhow::Result<(Answer, Option<OwnedFd>)> {
        Ok(match self.read()? {
            Some(text) => (Answer::File, Some(memory(&text).context("no memory for a text")?)),
            None => (Answer::NoFile, None),
        })
    }

    /// The text of the file, which holds from now on.
    fn read(&mut self) -> anyhow::Result<Option<String>> {
        let text = self.configuration.file.as_deref().map(text).transpose()?;
        self.allowed = (self.configuration.read)(text.as_deref())?;
        Ok(text)
    }

    fn file(&self, path: &Path) -> anyhow::Result<OwnedFd> {
        let shown = path.display();
        ensure!(
            self.allowed.files.iter().any(|file| file == path),
            "{shown} is no file that the configuration names: add it there first"
        );
        Ok(file::open_regular(path).with_context(|| format!("cannot read {shown}"))?.into())
    }

    fn table(&self, table: &Table) -> anyhow::Result<()> {
        let Some(folder) = &self.folder else {
            bail!(
                "without CAP_SYS_ADMIN at the start, a table of another size needs a folder for pins: restart \
                 with --pin"
            );
        };
        let size = TableSize { partitions: table.partitions, ring: table.ring, ..self.allowed.table };
        ensure!(
            (1..=cpus::possible()?).contains(&size.partitions) && size.ring <= RING,
            "a table with {} partitions and a ring of {} octets is none of an agent's",
            size.partitions,
            size.ring
        );
        preflight::memory(&size)?;
        let (last, next) = (folder.join(table.last.to_string()), folder.join(table.generation.to_string()));
        let before = pin::descriptor(&last).filter(|descriptor| descriptor.layout == LAYOUT_VERSION);
        let before = before.with_context(|| format!("no table of this version in {}", last.display()))?;
        ensure!(
            table.generation > table.last && pin::descriptor(&next).is_none(),
            "{} is no folder for the next table",
            next.display()
        );
        let shares_chain = size.switches.behind == BEHIND_CHAIN;
        let last = Generation { number: table.last, directory: last, descriptor: before };
        load::make(
            &size,
            &Pinned { pins: None, directory: next, seed: None, before, last: Some(last), shares_chain },
        )
    }
}

/// Reads a configuration's file whole.
///
/// # Errors
///
/// It is no regular file, no UTF-8, or longer than [`LONGEST`].
fn text(path: &Path) -> anyhow::Result<String> {
    let read = || -> anyhow::Result<String> {
        let mut text = String::new();
        let file: File = file::open_regular(path)?;
        file.take(LONGEST + 1).read_to_string(&mut text)?;
        ensure!(text.len() as u64 <= LONGEST, "it has more than {LONGEST} octets");
        Ok(text)
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

/// A text in memory that cannot be changed any more: the agent reads the same octets that were checked.
fn memory(text: &str) -> io::Result<OwnedFd> {
    let memory = memfd_create("configuration", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut memory = File::from(memory);
    memory.write_all(text.as_bytes())?;
    memory.rewind()?;
    fcntl_add_seals(&memory, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(memory.into())
}

#[cfg(test)]
mod tests;
