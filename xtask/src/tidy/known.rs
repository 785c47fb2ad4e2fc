//! xtask/tidy.toml: exceptions that stand, and ceilings.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::ceilings::{self, Figures};

/// The file, from the top of the workspace.
pub(super) const FILE: &str = "xtask/tidy.toml";

/// Exceptions to the rules.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Known {
    /// Figures over all files, none of which may rise.
    #[serde(default)]
    pub(super) ceilings: Figures,
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
    /// Public items that nothing but tests uses, by `PATH::NAME`.
    #[serde(default)]
    pub(super) unused: Vec<String>,
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

    /// Ceilings that are higher than in an earlier commit.
    pub(super) fn risen(&self, root: &Path) -> Vec<String> {
        ceilings::risen(root, FILE, &self.ceilings, |text| Some(toml::from_str::<Self>(text).ok()?.ceilings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_list_is_read() {
        Known::read(crate::shell::root()).unwrap();
    }
}
