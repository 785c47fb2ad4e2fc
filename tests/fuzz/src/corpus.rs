//! The inputs that fuzzers found worth keeping, as they are committed: one file an input.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

/// Where the inputs of a target are.
#[must_use]
pub fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The inputs of a target by name, in the order of their names; none at all is an error.
///
/// # Errors
///
/// A file that cannot be read.
pub fn read(target: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let path = directory(target);
    let entries = fs::read_dir(&path).with_context(|| format!("the corpus in {}", path.display()))?;
    let mut inputs = Vec::new();
    for entry in entries {
        let entry = entry?;
        let data = fs::read(entry.path()).with_context(|| entry.path().display().to_string())?;
        inputs.push((entry.file_name().to_string_lossy().into_owned(), data));
    }
    ensure!(!inputs.is_empty(), "there is no input in {}", path.display());
    inputs.sort();
    Ok(inputs)
}
