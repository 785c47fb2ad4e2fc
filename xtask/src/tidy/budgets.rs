//! A file has at most 500 lines apart from its tests, a function at most 80.

use super::tree::Source;
use super::{Findings, Known, Tree, known::FILE};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 80;

pub(super) fn check(tree: &Tree, known: &Known) -> Findings {
    let mut findings = Findings::default();
    let mut used = Vec::new();
    let mut judge = |name: String, lines: usize, budget: usize, listed: Option<&usize>, place: String| {
        let limit = listed.copied().unwrap_or(budget);
        if lines > limit {
            findings
                .faults
                .push(format!("{place}: {lines} lines, and at most {limit} are allowed: split it"));
        } else if lines < limit && listed.is_some() {
            findings.notes.push(format!("{name}: {lines} lines, {FILE} allows {limit}"));
        }
        if lines > budget {
            used.push(name);
        }
    };
    for source in &tree.sources {
        let path = &source.path;
        if !source.is_test() {
            judge(path.clone(), source.length(), FILE_LINES, known.files.get(path), format!("{path}:1"));
        }
        for (name, line, lines) in functions(source) {
            let full = format!("{path}::{name}");
            let listed = known.functions.get(&full);
            judge(full, lines, FUNCTION_LINES, listed, format!("{path}:{line}: fn {name}"));
        }
    }
    let listed = known.files.keys().chain(known.functions.keys());
    let stale = listed.filter(|name| !used.contains(name));
    findings.notes.extend(stale.map(|name| format!("{name} is within the budget: take it out of {FILE}")));
    findings
}

/// Name, first line and lines of each function with a body, by rustfmt's indentation.
fn functions(source: &Source) -> Vec<(&str, usize, usize)> {
    let lines: Vec<&str> = source.code.lines().collect();
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let Some(name) = name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let rest = lines.get(first..).unwrap_or_default();
        let end = rest.iter().enumerate().find_map(|(offset, line)| {
            let own = line.len() - line.trim_start().len() == indent;
            let trimmed = line.trim();
            // The body ends at its brace; a function without one ends at a semicolon.
            let ends = own && (trimmed == "}" || offset == 0 && trimmed.ends_with('}'));
            (ends || own && trimmed.ends_with(';')).then_some(offset)
        });
        if let Some(offset) = end {
            found.push((name, first + 1, offset + 1));
        }
    }
    found
}

/// The name of the function that a line declares.
fn name(line: &str) -> Option<&str> {
    let (before, after) = line.trim_start().split_once("fn ")?;
    let mut words = before.split_whitespace();
    let declares = words.all(|word| {
        ["const", "async", "unsafe", "extern", "pub"].contains(&word) || word.starts_with("pub(")
    });
    let length = after.find(|next: char| !next.is_alphanumeric() && next != '_')?;
    (declares && length > 0).then(|| after.get(..length)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_and_a_long_function_are_found() {
        let long =
            format!("//! A.\nfn long(\n    a: u8,\n) {{\n{}}}\nfn short() {{}}\n", "    a();\n".repeat(80));
        let tree = Tree::of(&[("a/src/a.rs", &long), ("a/src/b.rs", &"//! B.\n".repeat(501))]);
        let found = check(&tree, &Known::default());
        assert_eq!(found.faults.len(), 2, "{:?}", found.faults);
        assert!(found.faults[0].starts_with("a/src/a.rs:2: fn long: 84 lines"), "{:?}", found.faults);
        assert!(found.faults[1].starts_with("a/src/b.rs:1: 501 lines"), "{:?}", found.faults);
    }

    #[test]
    fn an_exception_is_as_long_as_it_is_listed() {
        let tree = Tree::of(&[("a/src/b.rs", &"//! B.\n".repeat(501))]);
        let known = |lines| Known { files: [("a/src/b.rs".to_owned(), lines)].into(), ..Known::default() };
        assert!(check(&tree, &known(501)).notes.is_empty() && check(&tree, &known(501)).faults.is_empty());
        assert_eq!(check(&tree, &known(500)).faults.len(), 1);
        assert_eq!(check(&tree, &known(510)).notes.len(), 1);
    }

    #[test]
    fn tests_may_be_many() {
        let tests = format!("//! B.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "    // A.\n".repeat(600));
        let tree = Tree::of(&[("a/src/b.rs", &tests), ("a/tests/c.rs", &"//! C.\n".repeat(600))]);
        assert_eq!(check(&tree, &Known::default()).faults, [""; 0]);
    }
}
