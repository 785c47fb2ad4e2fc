//! The files that the rules read: tracked by git, or new and not ignored.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::scan::{self, Line};
use crate::shell;

/// All files.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) sources: Vec<Source>,
    /// Other texts: path and contents.
    pub(super) texts: Vec<(String, String)>,
}

/// A Rust file.
pub(super) struct Source {
    /// From the top of the workspace.
    pub(super) path: String,
    pub(super) text: String,
    /// Without comments and contents of strings, line for line.
    pub(super) code: String,
    pub(super) comments: Vec<Line>,
    /// Lines, from 1, of modules that are built for tests only.
    tests: Vec<(usize, usize)>,
}

impl Tree {
    /// # Errors
    ///
    /// There is no git here, or a file cannot be read.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut git = Command::new("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
        let list = shell::text(&mut git).context("the files of the project are git's to list")?;
        let mut paths: Vec<&str> = list.split('\0').filter(|path| !path.is_empty()).collect();
        paths.sort_unstable();
        paths.dedup();
        let mut tree = Self::default();
        for path in paths.into_iter().filter(|path| root.join(path).is_file()) {
            let octets = std::fs::read(root.join(path)).with_context(|| format!("cannot read {path}"))?;
            // Captures and the fuzzers' inputs are no text.
            if let Ok(text) = String::from_utf8(octets) {
                tree.add(path, text);
            }
        }
        ensure!(!tree.sources.is_empty(), "git lists no Rust file here");
        Ok(tree)
    }

    pub(super) fn add(&mut self, path: &str, text: String) {
        if path.ends_with(".rs") {
            self.sources.push(Source::new(path, text));
        } else {
            self.texts.push((path.to_owned(), text));
        }
    }

    /// A tree of a test.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        files.iter().for_each(|(path, text)| tree.add(path, (*text).to_owned()));
        tree
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts.iter().find(|(found, _)| found == path).map(|(_, text)| text.as_str())
    }
}

impl Source {
    fn new(path: &str, text: String) -> Self {
        let (code, comments) = scan::split(&text);
        let tests = test_modules(&code);
        Self { path: path.to_owned(), text, code, comments, tests }
    }

    /// Whether the whole file is built for tests only.
    pub(super) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// Whether a line, from 1, is built for tests only.
    pub(super) fn in_tests(&self, number: usize) -> bool {
        self.is_test() || self.tests.iter().any(|&(first, last)| (first..=last).contains(&number))
    }

    /// Lines of the file that are no tests.
    pub(super) fn length(&self) -> usize {
        let tests: usize = self.tests.iter().map(|(first, last)| last + 1 - first).sum();
        self.text.lines().count() - tests
    }
}

/// First and last lines of modules behind `#[cfg(test)]`, by rustfmt's indentation.
fn test_modules(code: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut lines = code.lines().enumerate();
    while let Some((first, line)) = lines.next() {
        if !line.starts_with("#[cfg(test)]") {
            continue;
        }
        let opens = lines.by_ref().find(|(_, line)| !line.starts_with("#["));
        if opens.is_some_and(|(_, line)| line.contains("mod ") && line.trim_end().ends_with('{'))
            && let Some((last, _)) = lines.by_ref().find(|(_, line)| line.starts_with('}'))
        {
            found.push((first + 1, last + 1));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_tests_are_left_out() {
        let text = "//! A.\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
        let source = Source::new("a/src/a.rs", text.to_owned());
        assert_eq!((source.length(), source.in_tests(2), source.in_tests(6)), (3, false, true));
        assert!(Source::new("a/src/a/tests/b.rs", String::new()).is_test());
        // A module in a file of its own is that file's affair.
        assert!(test_modules("#[cfg(test)]\nmod tests;\nfn a() {\n}\n").is_empty());
    }
}
