//! A capture file by its path, or standard input: opened once, also a pipe.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal};
use std::os::fd::AsFd;
use std::path::Path;

use super::{CaptureError, Reader};

/// The path that means standard input.
const STDIN: &str = "-";

/// Octets read from a file at once.
const AT_ONCE: usize = 1 << 16;

/// A file that is open and not read yet.
#[derive(Debug)]
pub struct CaptureFile {
    name: String,
    file: File,
    /// Octets, where the file is a regular one.
    octets: Option<u64>,
}

impl CaptureFile {
    /// Opens the file at `path`; `-` is standard input. A FIFO waits for its writer.
    ///
    /// # Errors
    /// The file cannot be opened, is a directory, or is standard input at a terminal.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        let path = path.as_ref();
        let is_stdin = path.as_os_str() == STDIN;
        let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
        let opened = if is_stdin { stdin() } else { File::open(path) };
        let opened = opened.and_then(|file| match file.metadata()? {
            metadata if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            metadata => Ok((file, metadata.is_file().then_some(metadata.len()))),
        });
        match opened {
            Ok((file, octets)) => Ok(Self { name, file, octets }),
            Err(error) => Err(CaptureError::Open { file: name, error }),
        }
    }

    /// Reads the capture's header.
    ///
    /// # Errors
    /// The file cannot be read, is no capture, or is of a version that is not supported.
    pub fn read(self) -> Result<Reader, CaptureError> {
        let mut reader = Reader::new(self.name, BufReader::with_capacity(AT_ONCE, self.file))?;
        reader.octets = self.octets;
        Ok(reader)
    }
}

fn stdin() -> io::Result<File> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(io::Error::other("it is a terminal: pipe a capture into it, or name a file"));
    }
    Ok(File::from(stdin.as_fd().try_clone_to_owned()?))
}
