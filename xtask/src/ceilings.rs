//! Ceilings that may only fall: figures of a file, compared with every commit of the file.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Figures by name.
pub(crate) type Figures = BTreeMap<String, f64>;

/// Ceilings of `file` that are higher than in an earlier commit. Without git's history there is nothing to compare with.
pub(crate) fn risen(
    root: &Path,
    file: &str,
    now: &Figures,
    read: impl Fn(&str) -> Option<Figures>,
) -> Vec<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let commits = git(&["log", "--format=%h", "--", file]).unwrap_or_default();
    let earlier = commits.lines().filter_map(|commit| {
        let text = git(&["show", &format!("{commit}:{file}")])?;
        Some((commit.to_owned(), read(&text)?))
    });
    let faults = above(now, earlier).into_iter();
    faults.map(|fault| format!("{file}: {fault}: put it back")).collect()
}

fn above(now: &Figures, earlier: impl IntoIterator<Item = (String, Figures)>) -> Vec<String> {
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
        (value > before)
            .then(|| format!("the ceiling {name} rose from {before} (commit {commit}) to {value}"))
    });
    higher.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_that_rose_is_a_fault() {
        let of = |value: f64| Figures::from([("what".to_owned(), value)]);
        let earlier = || [("b".to_owned(), of(3.0)), ("a".to_owned(), of(4.0))];
        assert_eq!(above(&of(3.0), earlier()), [""; 0]);
        assert_eq!(above(&of(4.0), []), [""; 0]);
        assert_eq!(above(&of(3.5), earlier()), ["the ceiling what rose from 3 (commit b) to 3.5"]);
    }
}
