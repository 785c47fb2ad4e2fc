//! xtask/tidy.toml: exceptions that stand, and ceilings.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The file, from the top of the workspace.
pub(super) const FILE: &str = "xtask/tidy.toml";

/// What the rules let pass.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Known {
    /// Figures over all files, none of which may rise.
    #[serde(default)]
    pub(super) ceilings: BTreeMap<String, f64>,
    /// Lines of files above the budget.
    #[serde(default)]
    pub(super) files: BTreeMap<String, usize>,
    /// Lines of functions above the budget, by `PATH::NAME`.
    #[serde(default)]
    pub(super) functions: BTreeMap<String, usize>,
    /// Files that may hold unsafe code; a folder ends in a slash.
    #[serde(default, rename = "unsafe")]
    pub(super) with_unsafe: Vec<String>,
    /// Files of the agent outside the kernel's folder that know aya.
    #[serde(default)]
    pub(super) aya: Vec<String>,
    /// Circles of modules that stand, each a list of files.
    #[serde(default)]
    pub(super) circles: Vec<Vec<String>>,
    /// Flags of other programs in README and manual.
    #[serde(default)]
    pub(super) foreign_flags: Vec<String>,
    /// Flags of the agent that README and manual leave to `--help`.
    #[serde(default)]
    pub(super) flags_of_help: Vec<String>,
}

impl Known {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(root.join(FILE)).with_context(|| format!("cannot read {FILE}"))?;
        toml::from_str(&text).with_context(|| FILE.to_owned())
    }

    /// The ceiling of a figure; none is listed for a rule that bears no breach.
    pub(super) fn ceiling(&self, name: &str) -> f64 {
        self.ceilings.get(name).copied().unwrap_or(0.0)
    }

    /// Ceilings that are higher than in an earlier commit. Without git's history there is nothing to compare with.
    pub(super) fn risen(&self, root: &Path) -> Vec<String> {
        let git = |arguments: &[&str]| {
            let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let commits = git(&["log", "--format=%h", "--", FILE]).unwrap_or_default();
        let earlier = commits.lines().filter_map(|commit| {
            let text = git(&["show", &format!("{commit}:{FILE}")])?;
            Some((commit.to_owned(), toml::from_str::<Self>(&text).ok()?.ceilings))
        });
        risen(&self.ceilings, earlier)
    }
}

fn risen(
    now: &BTreeMap<String, f64>,
    earlier: impl IntoIterator<Item = (String, BTreeMap<String, f64>)>,
) -> Vec<String> {
    let mut lowest: BTreeMap<String, (f64, String)> = BTreeMap::new();
    for (commit, ceilings) in earlier {
        for (name, value) in ceilings {
            let known = lowest.entry(name).or_insert_with(|| (value, commit.clone()));
            if value < known.0 {
                *known = (value, commit.clone());
            }
        }
    }
    let higher = now.iter().filter_map(|(name, value)| {
        let (before, commit) = lowest.get(name)?;
        (value > before).then(|| {
            format!("{FILE}: the ceiling {name} rose from {before} (commit {commit}) to {value}: put it back")
        })
    });
    higher.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_that_rose_is_a_fault() {
        let of = |value: f64| BTreeMap::from([("what".to_owned(), value)]);
        let earlier = || [("b".to_owned(), of(3.0)), ("a".to_owned(), of(4.0))];
        assert_eq!(risen(&of(3.0), earlier()), [""; 0]);
        assert_eq!(risen(&of(4.0), []), [""; 0]);
        let faults = risen(&of(3.5), earlier());
        assert!(faults.len() == 1 && faults[0].contains("rose from 3 (commit b) to 3.5"), "{faults:?}");
    }

    #[test]
    fn the_committed_list_is_read() {
        Known::read(crate::shell::root()).unwrap();
    }
}
