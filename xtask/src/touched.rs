//! `cargo xtask touched REVISIONS`: the product files that each commit touches, tests, golden files and manual apart.
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

/// Prints each commit's files.
///
/// # Errors
///
/// git knows no such revision, or a commit touches more files than it may.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut git = Command::new("git");
    git.args([
        "log",
        "--reverse",
        "--format=commit %h %s",
        "--name-only",
        "--no-renames",
        "--diff-filter=AM",
    ]);
    // One commit is that commit alone, and not its history.
    if !options.revisions.iter().any(|revision| revision.contains("..")) {
        git.arg("--no-walk");
    }
    let log = shell::text(git.args(&options.revisions).arg("--").current_dir(shell::root()))
        .context("git knows no such commits")?;
    let commits = commits(&log);
    ensure!(!commits.is_empty(), "there is no commit in {}", options.revisions.join(" "));
    let mut above = Vec::new();
    for (commit, files) in &commits {
        println!("{:>3}  {commit}", files.len());
        files.iter().for_each(|file| println!("       {file}"));
        if options.most.is_some_and(|most| files.len() > most) {
            above.push(format!("{commit}: {} files", files.len()));
        }
    }
    ensure!(above.is_empty(), "more product files than one commit may touch: {}", above.join("; "));
    Ok(())
}

/// Each commit of git's log with its product files.
fn commits(log: &str) -> Vec<(&str, Vec<&str>)> {
    let mut commits: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in log.lines() {
        if let Some(commit) = line.strip_prefix("commit ") {
            commits.push((commit, Vec::new()));
        } else if let Some((_, files)) = commits.last_mut()
            && is_product(line)
        {
            files.push(line);
        }
    }
    commits
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

flowxdp-common/src/field.rs
flowxdp/core/golden/ipfix.hex
flowxdp/src/capture/tests/build.rs
flowxdp/manual/elements.md
commit b2 A test

tests/src/a.rs
";

    #[test]
    fn product_files_are_counted_by_commit() {
        assert_eq!(
            commits(LOG),
            [("a1 A field", vec!["flowxdp-common/src/field.rs"]), ("b2 A test", vec![])]
        );
    }
}
