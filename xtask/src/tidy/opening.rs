//! Every file opens with a line that says its job.

use super::{Findings, Known, Tree};

pub(super) fn check(tree: &Tree, _: &Known) -> Findings {
    let faults = tree.sources.iter().filter(|source| !source.text.starts_with("//! "));
    let faults = faults.map(|source| format!("{}:1: no `//!` line: say the file's job in one", source.path));
    Findings { faults: faults.collect(), notes: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_opening_line_is_found() {
        let tree = Tree::of(&[("a/src/good.rs", "//! A.\n"), ("a/src/bad.rs", "use a::b;\n")]);
        let found = check(&tree, &Known::default());
        assert_eq!(found.faults, ["a/src/bad.rs:1: no `//!` line: say the file's job in one"]);
    }
}
