//! Modules of a crate form no circle by the `crate::` paths that their files name.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::Source;
use super::{Findings, Known, Tree, known::FILE};

/// Folders of crates.
const CRATES: [&str; 6] = [
    "flowxdp-common/src/",
    "flowxdp-ebpf/src/",
    "flowxdp/core/src/",
    "flowxdp/src/",
    "tests/src/",
    "xtask/src/",
];

/// Which files each file names.
type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

pub(super) fn check(tree: &Tree, known: &Known) -> Findings {
    let mut findings = Findings::default();
    let mut found = Vec::new();
    for folder in CRATES {
        found.extend(circles(&graph(tree, folder)));
    }
    for circle in &found {
        let stands =
            known.circles.iter().any(|known| circle.iter().all(|file| known.iter().any(|it| it == file)));
        if !stands {
            let files = circle.join(", ");
            findings
                .faults
                .push(format!("a circle of modules: {files}: move what both need into a file of its own"));
        }
    }
    for circle in &known.circles {
        let largest =
            found.iter().filter(|found| found.iter().all(|file| circle.iter().any(|it| it == file)));
        let largest = largest.map(Vec::len).max().unwrap_or(0);
        if largest < circle.len() {
            findings.notes.push(format!("{FILE} lists a circle of {}, and {largest} are left", circle.len()));
        }
    }
    findings
}

fn graph<'a>(tree: &'a Tree, folder: &str) -> Graph<'a> {
    let sources: Vec<&Source> =
        tree.sources.iter().filter(|source| source.path.starts_with(folder) && !source.is_test()).collect();
    let modules: BTreeMap<Vec<&str>, &str> =
        sources.iter().map(|source| (module(&source.path, folder), source.path.as_str())).collect();
    let edges = sources.iter().map(|source| {
        let named = paths(source).into_iter().filter_map(|path| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            (1..=path.len()).rev().find_map(|length| modules.get(path.get(..length)?)).copied()
        });
        (source.path.as_str(), named.filter(|file| *file != source.path).collect())
    });
    edges.collect()
}

/// The module's path in its crate; a crate's first file has none.
fn module<'a>(path: &'a str, folder: &str) -> Vec<&'a str> {
    let name = path.strip_prefix(folder).and_then(|name| name.strip_suffix(".rs")).unwrap_or_default();
    let name = name.strip_suffix("/mod").unwrap_or(name);
    name.split('/').collect()
}

/// Every path behind `crate::` outside tests, with the branches of use trees.
fn paths(source: &Source) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, begin) in source.code.match_indices("crate::") {
        let before = source.code.get(..at).unwrap_or_default();
        let number = before.matches('\n').count() + 1;
        let inside = before.ends_with(|last: char| last.is_alphanumeric() || last == '_' || last == '$');
        if !inside && !source.in_tests(number) {
            branches(source.code.get(at + begin.len()..).unwrap_or_default(), &mut Vec::new(), &mut found);
        }
    }
    found
}

/// Reads one path of a use tree and gives the text behind it.
fn branches<'a>(text: &'a str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let depth = prefix.len();
    let mut rest = text.trim_start();
    loop {
        if let Some(mut inner) = rest.strip_prefix('{') {
            while !inner.trim_start().starts_with('}') && !inner.trim_start().is_empty() {
                let after = branches(inner, prefix, found).trim_start();
                let after = after.strip_prefix("as ").map_or(after, |alias| {
                    alias.trim_start_matches(|next: char| next.is_alphanumeric() || next == '_').trim_start()
                });
                // Anything else is no use tree.
                let Some(next) = after.strip_prefix(',') else {
                    inner = after;
                    break;
                };
                inner = next;
            }
            rest = inner.trim_start().strip_prefix('}').unwrap_or(inner);
            break;
        }
        let length = rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at(length);
        prefix.push(name.to_owned());
        found.push(prefix.clone());
        match after.strip_prefix("::") {
            Some(next) if !name.is_empty() => rest = next,
            _ => {
                rest = after.strip_prefix('*').unwrap_or(after);
                break;
            }
        }
    }
    prefix.truncate(depth);
    rest
}

/// Sets of files that reach each other, each sorted.
fn circles(graph: &Graph<'_>) -> Vec<Vec<String>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|file| (*file, reached(graph, file))).collect();
    let back = |from: &str, to: &str| reach.get(from).is_some_and(|all| all.contains(to));
    let sets: BTreeSet<Vec<String>> = reach
        .iter()
        .filter(|(file, all)| all.contains(*file))
        .map(|(file, all)| {
            all.iter().filter(|other| back(other, file)).map(|&other| other.to_owned()).collect()
        })
        .collect();
    sets.into_iter().collect()
}

/// All files that a file names, directly or through others.
fn reached<'a>(graph: &Graph<'a>, file: &str) -> BTreeSet<&'a str> {
    let (mut all, mut left) = (BTreeSet::new(), vec![file]);
    while let Some(file) = left.pop() {
        for &next in graph.get(file).into_iter().flatten() {
            if all.insert(next) {
                left.push(next);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: [(&str, &str); 4] = [
        ("xtask/src/a.rs", "//! A.\nuse crate::b::inner::{\n    One, Two,\n};\n"),
        ("xtask/src/b/inner.rs", "//! B.\nuse crate::{c::{self, Three}, d as e};\n"),
        ("xtask/src/c.rs", "//! C.\nfn f() { crate::a::g() }\n"),
        ("xtask/src/d.rs", "//! D.\n#[cfg(test)]\nmod tests {\n    use crate::a;\n}\n"),
    ];

    #[test]
    fn a_circle_over_three_files_is_found() {
        let found = check(&Tree::of(&TREE), &Known::default());
        let [fault] = found.faults.as_slice() else { panic!("{:?}", found.faults) };
        assert!(fault.contains("xtask/src/a.rs, xtask/src/b/inner.rs, xtask/src/c.rs:"), "{fault}");
    }

    #[test]
    fn a_listed_circle_may_only_shrink() {
        let files = ["xtask/src/a.rs", "xtask/src/b/inner.rs", "xtask/src/c.rs", "xtask/src/gone.rs"];
        let known = Known { circles: vec![files.map(str::to_owned).to_vec()], ..Known::default() };
        let found = check(&Tree::of(&TREE), &known);
        assert!(found.faults.is_empty() && found.notes.len() == 1, "{:?}", found.faults);
        let known = Known { circles: vec![vec!["xtask/src/a.rs".to_owned()]], ..Known::default() };
        assert_eq!(check(&Tree::of(&TREE), &known).faults.len(), 1);
    }

    #[test]
    fn a_use_tree_has_every_branch() {
        let tree =
            Tree::of(&[("xtask/src/a.rs", "//! A.\nuse crate::a::{b::{c, d as e}, f::*};\nlet x = 1;\n")]);
        let found: Vec<String> = paths(&tree.sources[0]).iter().map(|path| path.join("::")).collect();
        assert_eq!(found, ["a", "a::b", "a::b::c", "a::b::d", "a::f", "a::f::"]);
    }
}
