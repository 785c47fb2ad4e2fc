//! `cargo xtask touched REVISIONS`: the product files that each commit touches; tests, golden files and manual apart.
//!
//! A house that grows adds a field or a reason in few files: `--most N` fails where a commit needs more.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::shell;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Commits, as git names them: COMMIT or FROM..TO
    #[arg(required = true)]
    revisions: Vec<String>,
    /// Product files that one commit may touch
    #[arg(long, value_name = "N")]
    most: Option<usize>,
}

/// A commit, by its short name and subject, and the files with lines that it adds or changes.
#[derive(Debug, PartialEq, Eq)]
struct Commit {
    name: String,
    files: Vec<String>,
}

/// Prints each commit's files.
///
/// # Errors
///
/// git knows no such revision, or a commit touches more files than it may.
pub(crate) fn run(options: &Options) -> Result<()> {
    let revisions: Vec<&str> = options.revisions.iter().map(String::as_str).collect();
    let commits = product(&revisions)?;
    let mut above = Vec::new();
    for Commit { name, files } in &commits {
        println!("{:>3}  {name}", files.len());
        files.iter().for_each(|file| println!("       {file}"));
        if options.most.is_some_and(|most| files.len() > most) {
            above.push(format!("{name}: {} files", files.len()));
        }
    }
    ensure!(above.is_empty(), "more product files than one commit may touch: {}", above.join("; "));
    Ok(())
}

/// The commits with their product files.
fn product(revisions: &[&str]) -> Result<Vec<Commit>> {
    let mut git = git(&["log", "--reverse", "--format=commit %h %s", "--patch", "--unified=0"]);
    git.args(["--no-color", "--no-renames", "--no-ext-diff", "--diff-filter=AM"]);
    // One commit is that commit alone, and not its history.
    if !revisions.iter().any(|revision| revision.contains("..")) {
        git.arg("--no-walk");
    }
    let log = shell::text(git.args(revisions).arg("--")).context("git knows no such commits")?;
    let commits = commits(&log, |commit, path| {
        let hash = commit.split(' ').next().unwrap_or_default();
        shell::text(&mut self::git(&["show", &format!("{hash}:{path}")]))
            .map_or(usize::MAX, |text| tests_at(&text))
    });
    ensure!(!commits.is_empty(), "there is no commit in {}", revisions.join(" "));
    Ok(commits)
}

fn git(arguments: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(shell::root());
    git
}

/// The line from which on a file has tests alone.
fn tests_at(text: &str) -> usize {
    text.lines().position(|line| line == "#[cfg(test)]").map_or(usize::MAX, |line| line + 1)
}

/// Each commit of git's log with its product files. `tests` gives the line of a commit's file at which tests begin.
fn commits(log: &str, tests: impl Fn(&str, &str) -> usize) -> Vec<Commit> {
    let mut commits: Vec<Commit> = Vec::new();
    let (mut path, mut tests_from) = ("", usize::MAX);
    for line in log.lines() {
        if let Some(name) = line.strip_prefix("commit ") {
            commits.push(Commit { name: name.to_owned(), files: Vec::new() });
            path = "";
        }
        let Some(commit) = commits.last_mut() else { continue };
        if let Some(changed) = line.strip_prefix("+++ b/") {
            path = if is_product(changed) { changed } else { "" };
            tests_from = if path.is_empty() { 0 } else { tests(&commit.name, path) };
        } else if let Some(at) = line.strip_prefix("@@ ").and_then(hunk)
            && at < tests_from
            && commit.files.last().is_none_or(|last| last != path)
        {
            commit.files.push(path.to_owned());
        }
    }
    commits
}

/// The first line of a hunk in the new file: 7 of "-3,2 +7,4 @@ fn a()".
fn hunk(head: &str) -> Option<usize> {
    let (_, new) = head.split_once(" +")?;
    new.split([',', ' ']).next()?.parse().ok()
}

fn is_product(path: &str) -> bool {
    let ours = ["flowxdp/src/", "flowxdp/core/src/", "flowxdp-common/src/", "flowxdp-ebpf/src/"];
    let tests = path.contains("/tests/") || path.ends_with("/tests.rs");
    path.ends_with(".rs") && !tests && ours.iter().any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "commit a1 A field

diff --git a/flowxdp-common/src/field.rs b/flowxdp-common/src/field.rs
--- a/flowxdp-common/src/field.rs
+++ b/flowxdp-common/src/field.rs
@@ -3,0 +4,2 @@ cold! {
+    /// A field.
@@ -90 +92 @@ mod tests {
diff --git a/flowxdp-common/src/key.rs b/flowxdp-common/src/key.rs
--- a/flowxdp-common/src/key.rs
+++ b/flowxdp-common/src/key.rs
@@ -80 +82 @@ mod tests {
diff --git a/flowxdp/core/golden/ipfix.hex b/flowxdp/core/golden/ipfix.hex
--- a/flowxdp/core/golden/ipfix.hex
+++ b/flowxdp/core/golden/ipfix.hex
@@ -1 +1 @@
diff --git a/flowxdp/src/capture/tests/build.rs b/flowxdp/src/capture/tests/build.rs
--- /dev/null
+++ b/flowxdp/src/capture/tests/build.rs
@@ -0,0 +1,9 @@
commit b2 A test

diff --git a/tests/src/a.rs b/tests/src/a.rs
+++ b/tests/src/a.rs
@@ -1 +1 @@
";

    #[test]
    fn product_files_are_counted_by_commit_and_tests_in_them_are_not() {
        let commit = |name: &str, files: &[&str]| Commit {
            name: name.to_owned(),
            files: files.iter().map(|file| (*file).to_owned()).collect(),
        };
        assert_eq!(
            commits(LOG, |_, _| 60),
            [commit("a1 A field", &["flowxdp-common/src/field.rs"]), commit("b2 A test", &[])]
        );
        assert_eq!(tests_at("//! A.\n\n#[cfg(test)]\nmod tests {}\n"), 3);
        assert_eq!(tests_at("//! A.\n"), usize::MAX);
    }

    /// Commits that added fields of records, each with the recipe of CONTRIBUTING.md that it followed.
    const FIELDS: [(&str, &str); 5] = [
        ("b6c7f2f", "A field that the agent knows"),
        ("0eb0f7b", "A field that the kernel must see"),
        ("17b8bb8", "A field that the kernel must see"),
        ("10479ae", "A field that the kernel must see"),
        ("c0c65db", "A field that the kernel must see"),
    ];

    /// The number in brackets behind a recipe's title, and the paths in its steps.
    fn recipe<'a>(contributing: &'a str, title: &str) -> Option<(usize, Vec<&'a str>)> {
        let (_, section) = contributing.split_once(&format!("### {title} ("))?;
        let (most, steps) = section.split_once(")\n")?;
        let steps = steps.split("\n##").next()?;
        let paths = steps.split('`').skip(1).step_by(2).filter(|word| word.ends_with(".rs"));
        Some((most.parse().ok()?, paths.collect()))
    }

    #[test]
    fn commits_of_fields_touch_the_files_of_their_recipe_alone() {
        let contributing = std::fs::read_to_string(shell::root().join("CONTRIBUTING.md")).unwrap();
        for (name, title) in FIELDS {
            let (most, paths) = recipe(&contributing, title).unwrap();
            // Sources without their history have no commits to count.
            let Ok(commits) = product(&[name]) else { continue };
            let [Commit { files, .. }] = &commits[..] else { panic!("{name}: {commits:?}") };
            assert!(!files.is_empty() && files.len() <= most, "{name}, {title}, at most {most}: {files:?}");
            assert!(
                files.iter().all(|file| paths.contains(&file.as_str())),
                "{name}: {files:?}, not {paths:?}"
            );
        }
    }
}
