//! No test passes or fails by how long something took: a test waits for a condition, with a generous limit.

use std::collections::BTreeMap;

use super::{Findings, Known, Tree};

/// The shortest limit that a test may wait for, milliseconds.
const GENEROUS: u64 = 10_000;

pub(super) fn check(tree: &Tree, _: &Known) -> Findings {
    let mut findings = Findings::default();
    for source in &tree.sources {
        let harness = source.path.starts_with("tests/");
        let limits: BTreeMap<&str, u64> = source.code.lines().filter_map(constant).collect();
        for (number, line) in source.code.lines().enumerate() {
            if (harness || source.in_tests(number + 1)) && is_timed(line, &limits) {
                findings.faults.push(format!(
                    "{}:{}: a test that measures time: wait for the condition, with a limit of {} s or more",
                    source.path,
                    number + 1,
                    GENEROUS / 1000
                ));
            }
        }
    }
    findings
}

/// `const NAME: Duration = Duration::from_...(N)`, in milliseconds.
fn constant(line: &str) -> Option<(&str, u64)> {
    let (_, rest) = line.split_once("const ")?;
    let (name, value) = rest.split_once(": Duration = ")?;
    Some((name, literal(value)?))
}

/// `Duration::from_secs(N)` and the like, in milliseconds.
fn literal(text: &str) -> Option<u64> {
    let (unit, rest) = text.strip_prefix("Duration::from_")?.split_once('(')?;
    let number: u64 = rest.split(')').next()?.replace('_', "").parse().ok()?;
    Some(match unit {
        "secs" => number * 1000,
        "millis" => number,
        _ => 0,
    })
}

/// Whether a line asserts that little time has passed, by a number or by a constant of the file.
fn is_timed(line: &str, limits: &BTreeMap<&str, u64>) -> bool {
    let asserts = ["assert!(", "ensure!("].iter().any(|macro_name| line.contains(macro_name));
    let Some((_, limit)) = line.split_once("elapsed() <").filter(|_| asserts) else { return false };
    let limit = limit.trim_start_matches('=').trim().trim_start_matches("patient(");
    let named = limit.split(|next: char| !next.is_alphanumeric() && next != '_').next().unwrap_or_default();
    literal(limit).or_else(|| limits.get(named).copied()).is_some_and(|limit| limit < GENEROUS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "//! A.
const SOON: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(20);
fn a() {
    assert!(begun.elapsed() < Duration::from_millis(5));
    ensure!(begun.elapsed() < patient(LIMIT));
    ensure!(begun.elapsed() < Duration::from_secs(60));
    assert!(begun.elapsed() >= Duration::from_millis(5));
    ensure!(begun.elapsed() < patient(SOON));
}
";

    #[test]
    fn a_test_with_a_short_limit_is_found() {
        let found =
            check(&Tree::of(&[("a/tests/a.rs", TEXT), ("a/src/a.rs", TEXT)]), &Known::default()).faults;
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("a/tests/a.rs:5:") && found[1].starts_with("a/tests/a.rs:9:"),
            "{found:?}"
        );
    }
}
