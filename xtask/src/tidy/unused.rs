//! No public item of the product is there for its own tests alone: the compiler warns of private ones only.

use std::collections::BTreeMap;

use super::tree::Source;
use super::{Findings, Known, Tree, known::FILE};

/// Crates whose items are judged; items of the harness and of the jobs are their own users.
const PRODUCT: [&str; 3] = ["flowxdp/", "flowxdp-common/", "flowxdp-ebpf/src/"];
/// Programs that only the harness loads, by their symbols.
const PROGRAMS: &str = "flowxdp-ebpf/src/bin/";

pub(super) fn check(tree: &Tree, known: &Known) -> Findings {
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for source in &tree.sources {
        let harness = source.path.starts_with("tests/");
        for (number, line) in source.code.lines().enumerate() {
            if harness || !source.in_tests(number + 1) {
                words(line).for_each(|word| *uses.entry(word).or_default() += 1);
            }
        }
    }
    let mut findings = Findings::default();
    let judged = |source: &&Source| {
        PRODUCT.iter().any(|start| source.path.starts_with(start)) && !source.path.starts_with(PROGRAMS)
    };
    let mut found = Vec::new();
    for source in tree.sources.iter().filter(judged) {
        for (number, line) in
            source.code.lines().enumerate().filter(|(number, _)| !source.in_tests(number + 1))
        {
            let Some(name) = item(line).filter(|name| uses.get(name) == Some(&1)) else { continue };
            let full = format!("{}::{name}", source.path);
            if !known.unused.contains(&full) {
                let place = format!("{}:{}", source.path, number + 1);
                findings
                    .faults
                    .push(format!("{place}: nothing but tests uses {name}: take it out, or move it to them"));
            }
            found.push(full);
        }
    }
    let stale = known.unused.iter().filter(|name| !found.contains(name));
    findings.notes.extend(stale.map(|name| format!("{name} is used or gone: take it out of {FILE}")));
    findings
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|next: char| !next.is_alphanumeric() && next != '_').filter(|word| !word.is_empty())
}

/// The name of the public item that a line declares.
fn item(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub")?;
    let rest = if rest.starts_with('(') { rest.split_once(')')?.1 } else { rest };
    let mut words = words(rest);
    let modifiers = ["const", "async", "unsafe", "extern"];
    let kinds = ["fn", "static", "struct", "enum", "type", "trait"];
    let mut last = "";
    for word in words.by_ref() {
        if kinds.contains(&word) {
            return words.next();
        }
        if !modifiers.contains(&word) {
            // `pub const NAME` has no further word of its kind.
            return (last == "const").then_some(word);
        }
        last = word;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_that_only_tests_use_is_found() {
        let tree = Tree::of(&[
            (
                "flowxdp/src/a.rs",
                "//! A.\npub fn used() {}\npub(crate) const fn tried() {}\npub const LEFT: u8 = 1;\n#[cfg(test)]\nmod \
                 tests {\n    use super::tried;\n}\n",
            ),
            ("flowxdp/src/b.rs", "//! B.\nuse crate::a::used;\n// LEFT\n"),
        ]);
        let found = check(&tree, &Known::default()).faults;
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("flowxdp/src/a.rs:3:") && found[1].contains("LEFT"), "{found:?}");
    }

    #[test]
    fn an_item_of_the_harness_is_used_by_tests() {
        let tree = Tree::of(&[
            ("flowxdp/src/a.rs", "//! A.\npub struct A;\n"),
            ("tests/src/b.rs", "//! B.\npub fn b(a: A) {}\n"),
        ]);
        assert_eq!(check(&tree, &Known::default()).faults, [""; 0]);
    }
}
