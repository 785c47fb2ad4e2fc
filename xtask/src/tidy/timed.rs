//! No test passes or fails by how long something took: a test waits for a condition, with a generous limit.

use super::{Findings, Known, Tree};

/// The shortest limit that a test may wait for, seconds.
const GENEROUS: u64 = 30;

pub(super) fn check(tree: &Tree, _: &Known) -> Findings {
    let mut findings = Findings::default();
    for source in &tree.sources {
        let harness = source.path.starts_with("tests/");
        for (number, line) in source.code.lines().enumerate() {
            if (harness || source.in_tests(number + 1)) && is_timed(line) {
                findings.faults.push(format!(
                    "{}:{}: a test that measures time: wait for the condition, with a limit of {GENEROUS} s or more",
                    source.path,
                    number + 1
                ));
            }
        }
    }
    findings
}

/// Whether a line asserts that little time has passed, by a literal limit.
fn is_timed(line: &str) -> bool {
    let asserts = ["assert!(", "ensure!("].iter().any(|macro_name| line.contains(macro_name));
    let Some((_, limit)) = line.split_once("elapsed() <").filter(|_| asserts) else { return false };
    let limit = limit.trim_start_matches('=').trim();
    let number =
        |limit: &str| limit.split(')').next().and_then(|number| number.replace('_', "").parse().ok());
    match limit.strip_prefix("Duration::from_secs(") {
        Some(seconds) => number(seconds).is_some_and(|seconds: u64| seconds < GENEROUS),
        None => limit.starts_with("Duration::from_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_with_a_short_limit_is_found() {
        let text = "//! A.\nfn a() {\n    assert!(begun.elapsed() < Duration::from_millis(5));\n    \
                    ensure!(begun.elapsed() < LIMIT);\n    ensure!(begun.elapsed() < Duration::from_secs(60));\n    \
                    assert!(begun.elapsed() >= Duration::from_millis(5));\n}\n";
        let found =
            check(&Tree::of(&[("a/tests/a.rs", text), ("a/src/a.rs", text)]), &Known::default()).faults;
        assert!(found.len() == 1 && found[0].starts_with("a/tests/a.rs:3:"), "{found:?}");
    }
}
