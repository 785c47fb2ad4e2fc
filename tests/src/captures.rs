//! The captures that tests replay: the project's own, and those of further directories.
//!
//! The environment variable `FLOWXDP_CAPTURES` names further directories, separated by colons. Truth files
//! lie in a folder `truth` beside the captures, or right beside them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::truth::Truth;

/// A capture file and its truth.
#[derive(Clone, Debug)]
pub struct Capture {
    /// File name without its ending.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// The flows in it.
    pub truth: Truth,
}

/// All captures of one directory.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Where it is.
    pub path: PathBuf,
    /// The captures in it, by name; never empty.
    pub captures: Vec<Capture>,
}

/// The project's own captures and those that the environment names. A directory without any is an error.
pub fn directories() -> Result<Vec<Directory>> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let further = std::env::var_os("FLOWXDP_CAPTURES").unwrap_or_default();
    let further = std::env::split_paths(&further).filter(|path| !path.as_os_str().is_empty());
    [own].into_iter().chain(further).map(|path| read(&path)).collect()
}

/// All captures of all directories.
pub fn all() -> Result<Vec<Capture>> {
    Ok(directories()?.into_iter().flat_map(|directory| directory.captures).collect())
}

/// Reads one directory.
pub fn read(path: &Path) -> Result<Directory> {
    let entries = std::fs::read_dir(path).with_context(|| format!("the captures in {}", path.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut captures = Vec::new();
    for file in files.iter().filter(|file| is_capture(file)) {
        let name = file.file_stem().context("a file without a name")?.to_string_lossy().into_owned();
        let beside =
            if path.join(format!("{name}.5.csv")).exists() { path.to_owned() } else { path.join("truth") };
        captures.push(Capture { truth: Truth::read(&beside, &name)?, path: file.clone(), name });
    }
    ensure!(!captures.is_empty(), "there is no capture in {}", path.display());
    Ok(Directory { path: path.to_owned(), captures })
}

fn is_capture(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "pcap" || ending == "pcapng")
}
