//! A copy of the sources under target/, which is built in a folder of its own: the tree itself is never changed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::shell;

/// The copy and its builds.
pub(super) struct Tree {
    root: PathBuf,
    target: PathBuf,
}

impl Tree {
    /// Brings the copy up to date. Files that are the same keep their time, so that little is built again.
    ///
    /// # Errors
    ///
    /// There is no git here to list the files, or the disk takes no more.
    pub(super) fn copy(from: &Path) -> Result<Self> {
        let folder = from.join("target/mutants");
        let tree = Self { root: folder.join("tree"), target: folder.join("target") };
        let mut git = std::process::Command::new("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(from);
        let files = shell::text(&mut git).context("the files of the project are git's to list")?;
        let files: Vec<&str> = files.split('\0').filter(|file| !file.is_empty()).collect();
        ensure!(!files.is_empty(), "git lists no file here");
        tree.remove_others(&tree.root, &files)?;
        for file in files {
            let (source, copy) = (from.join(file), tree.root.join(file));
            // A file that is deleted and not committed yet is listed still.
            if source.is_file() {
                update(&source, &copy).with_context(|| format!("cannot copy {file}"))?;
            }
        }
        Ok(tree)
    }

    /// Files of an earlier copy that are gone from the project.
    fn remove_others(&self, folder: &Path, files: &[&str]) -> Result<()> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        for entry in entries {
            let path = entry?.path();
            let name = path.strip_prefix(&self.root)?.to_string_lossy().into_owned();
            if path.is_dir() {
                self.remove_others(&path, files)?;
            } else if !files.contains(&name.as_str()) {
                fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Where the copy begins.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where it is built.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Puts another text into a file until [`Changed::restore`].
    pub(super) fn change(&self, file: &str, text: &str) -> Result<Changed> {
        let path = self.root.join(file);
        let before = fs::read(&path).with_context(|| format!("cannot read {file}"))?;
        fs::write(&path, text).with_context(|| format!("cannot write {file}"))?;
        Ok(Changed { path, before })
    }
}

/// A file of the copy that has another text now.
pub(super) struct Changed {
    path: PathBuf,
    before: Vec<u8>,
}

impl Changed {
    pub(super) fn restore(self) -> Result<()> {
        fs::write(&self.path, self.before).with_context(|| format!("cannot restore {}", self.path.display()))
    }
}

fn update(source: &Path, copy: &Path) -> Result<()> {
    let text = fs::read(source)?;
    if fs::read(copy).is_ok_and(|there| there == text) {
        return Ok(());
    }
    if let Some(folder) = copy.parent() {
        fs::create_dir_all(folder)?;
    }
    // The copy has the time of now, so cargo builds it again.
    fs::copy(source, copy)?;
    Ok(())
}
