//! Unsafe code is in listed files, and aya in the kernel's folder of the agent.

use super::tree::Source;
use super::{Findings, Known, Tree, known::FILE};

/// The agent's files, and the only ones of them that may know aya.
const AGENT: &str = "flowxdp/src/";
const KERNEL: [&str; 2] = ["flowxdp/src/kernel/", "flowxdp/src/kernel.rs"];

pub(super) fn unsafe_code(tree: &Tree, known: &Known) -> Findings {
    let holds = |source: &Source| has_word(&source.code, "unsafe");
    listed(tree, &known.with_unsafe, &holds, "unsafe code: do without, or list the file under `unsafe`")
}

pub(super) fn aya(tree: &Tree, known: &Known) -> Findings {
    let holds = |source: &Source| {
        let outside =
            source.path.starts_with(AGENT) && !KERNEL.iter().any(|path| source.path.starts_with(path));
        outside && ["aya", "aya_obj"].iter().any(|word| has_word(&source.code, word))
    };
    listed(tree, &known.aya, &holds, "aya outside src/kernel: move it there, or list the file under `aya`")
}

/// Files that hold something and are not listed, and entries of the list that no file needs.
fn listed(tree: &Tree, list: &[String], holds: &dyn Fn(&Source) -> bool, fault: &str) -> Findings {
    let mut findings = Findings::default();
    let matches = |entry: &str, path: &str| entry == path || entry.ends_with('/') && path.starts_with(entry);
    let holding: Vec<&str> =
        tree.sources.iter().filter(|source| holds(source)).map(|source| source.path.as_str()).collect();
    let missing = holding.iter().filter(|path| !list.iter().any(|entry| matches(entry, path)));
    findings.faults.extend(missing.map(|path| format!("{path}: {fault} of {FILE}")));
    let stale = list.iter().filter(|entry| !holding.iter().any(|path| matches(entry, path)));
    findings
        .notes
        .extend(stale.map(|entry| format!("{entry} holds nothing of the kind: take it out of {FILE}")));
    findings
}

fn has_word(code: &str, word: &str) -> bool {
    let part = |next: Option<char>| next.is_some_and(|next| next.is_alphanumeric() || next == '_');
    code.match_indices(word).any(|(at, found)| {
        let (before, after) =
            (code.get(..at).unwrap_or_default(), code.get(at + found.len()..).unwrap_or_default());
        !part(before.chars().next_back()) && !part(after.chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_code_in_a_file_that_is_not_listed_is_found() {
        let tree = Tree::of(&[
            ("a/src/a.rs", "//! A.\n#![deny(unsafe_code)]\n// unsafe\nlet a = \"unsafe\";\n"),
            ("a/src/b.rs", "//! B.\nunsafe { c() }\n"),
            ("a/src/b/c.rs", "//! C.\nunsafe { c() }\n"),
        ]);
        assert_eq!(unsafe_code(&tree, &Known::default()).faults.len(), 2);
        let list = ["a/src/b.rs", "a/src/b/", "a/src/a.rs"].map(str::to_owned).to_vec();
        let known = Known { with_unsafe: list, ..Known::default() };
        let found = unsafe_code(&tree, &known);
        assert!(found.faults.is_empty() && found.notes.len() == 1, "{:?}", found.notes);
    }

    #[test]
    fn aya_outside_the_kernels_folder_is_found() {
        let text = "//! A.\nuse aya::maps::Map;\n";
        let tree = Tree::of(&[
            ("flowxdp/src/kernel/map.rs", text),
            ("flowxdp/src/meter.rs", text),
            ("flowxdp/src/player.rs", "//! P.\nlet players = 1;\n"),
            ("tests/src/generator.rs", text),
        ]);
        let found = aya(&tree, &Known::default());
        assert!(found.faults.len() == 1 && found.faults[0].starts_with("flowxdp/src/meter.rs:"));
    }
}
