//! `cargo xtask ledger`: each rule of the RFCs that binds an exporter, beside the tests that prove it.
//!
//! The rules are in tests/ledger, a file for each RFC. A row that names no test says why, and a test that
//! is named must be there to run. Only sources are read: nothing is built.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{shell, source};

/// The folder of the rules, from the top of the workspace.
const FOLDER: &str = "tests/ledger";

/// The rules of one RFC.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rfc {
    rfc: u16,
    title: String,
    #[serde(rename = "row")]
    rows: Vec<Row>,
}

/// A rule, with its tests or the reason why it has none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    section: String,
    level: Level,
    rule: String,
    /// Tests that see the rule kept.
    #[serde(default)]
    tests: Vec<String>,
    /// Tests that prove that a breach is noticed, refused or left out.
    #[serde(default)]
    negative: Vec<String>,
    /// Why we depart from it.
    not_done: Option<String>,
    /// Why it does not bind us.
    not_ours: Option<String>,
    /// The part that is still to be tested.
    pending: Option<String>,
}

/// How strongly a rule binds. The plain rules of an RFC without keywords count as "must".
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
enum Level {
    Must,
    Should,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Must => "must",
            Self::Should => "should",
        })
    }
}

/// Prints the ledger; if `brief`, only the open rules and the counts.
///
/// # Errors
///
/// A row has neither test nor reason, a test that it names is not there, or a test is still to be written.
pub(crate) fn run(brief: bool) -> Result<()> {
    let rfcs = read(&shell::root().join(FOLDER))?;
    let faults = faults(&rfcs, &|test| source::find(shell::root(), test).map(drop));
    print!("{}", report(&rfcs, brief));
    for fault in &faults {
        eprintln!("xtask: {fault}");
    }
    ensure!(faults.is_empty(), "{} rows of the ledger are not proved", faults.len());
    Ok(())
}

/// All files of the folder, by the number of their RFC.
fn read(folder: &Path) -> Result<Vec<Rfc>> {
    let cannot = || format!("cannot read {}", folder.display());
    let mut rfcs = Vec::new();
    for entry in folder.read_dir().with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let rfc: Rfc = toml::from_str(&text).with_context(|| path.display().to_string())?;
            rfcs.push(rfc);
        }
    }
    ensure!(!rfcs.is_empty(), "there is no rule in {}", folder.display());
    rfcs.sort_by_key(|rfc| rfc.rfc);
    Ok(rfcs)
}

/// The table as text.
fn report(rfcs: &[Rfc], brief: bool) -> String {
    let mut table = String::new();
    pending(rfcs, &mut table);
    for rfc in rfcs.iter().filter(|_| !brief) {
        table += &format!("RFC {}: {}\n\n", rfc.rfc, rfc.title);
        table.extend(rfc.rows.iter().map(|row| row.lines(rfc.rfc)));
        table.push('\n');
    }
    counts(rfcs, &mut table);
    table
}

/// One line for each fault; `exists` looks a test up.
fn faults(rfcs: &[Rfc], exists: &dyn Fn(&str) -> Result<()>) -> Vec<String> {
    let rows = rfcs.iter().flat_map(|rfc| rfc.rows.iter().map(move |row| (rfc.rfc, row)));
    let faults = rows.flat_map(|(rfc, row)| {
        row.faults(exists).map(move |fault| format!("RFC {rfc} {}: {fault}", row.section))
    });
    faults.collect()
}

/// The open rules, before all else.
fn pending(rfcs: &[Rfc], table: &mut String) {
    let rows = rfcs.iter().flat_map(|rfc| rfc.rows.iter().map(move |row| (rfc.rfc, row)));
    let left: Vec<_> = rows.filter_map(|(rfc, row)| Some((rfc, row, row.pending.as_ref()?))).collect();
    if left.is_empty() {
        return;
    }
    *table += &format!("Still to be done, {}:\n\n", left.len());
    for (rfc, row, what) in left {
        *table += &format!("RFC {rfc} {} ({}): {}\n    {what}\n", row.section, row.level, row.rule);
    }
    table.push('\n');
}

/// How many rules there are, by RFC, level and state.
fn counts(rfcs: &[Rfc], table: &mut String) {
    *table += "RFC   level    rules  proved  both ways  not done  not ours  pending\n";
    let mut all = [0; 6];
    for rfc in rfcs {
        let mut levels: BTreeMap<Level, [usize; 6]> = BTreeMap::new();
        for row in &rfc.rows {
            let state = [
                true,
                !row.tests.is_empty() && row.pending.is_none(),
                !row.tests.is_empty() && row.pending.is_none() && !row.negative.is_empty(),
                row.not_done.is_some(),
                row.not_ours.is_some(),
                row.pending.is_some(),
            ];
            for sums in [levels.entry(row.level).or_default(), &mut all] {
                sums.iter_mut().zip(state).for_each(|(sum, is)| *sum += usize::from(is));
            }
        }
        for (level, sums) in levels {
            *table += &format!("{:<5} {level:<7}{}\n", rfc.rfc, columns(sums));
        }
    }
    *table += &format!("all          {}\n", columns(all));
}

fn columns([rules, proved, both, not_done, not_ours, pending]: [usize; 6]) -> String {
    format!("{rules:>7}{proved:>8}{both:>11}{not_done:>10}{not_ours:>10}{pending:>9}")
}

impl Row {
    fn lines(&self, rfc: u16) -> String {
        let mut lines = format!("{rfc:<5} {:<10} {:<7} {}\n", self.section, self.level, self.rule);
        let reasons =
            [("not done", &self.not_done), ("not ours", &self.not_ours), ("PENDING", &self.pending)];
        let tests = self.tests.iter().map(|test| ("proved by", test));
        let negative = self.negative.iter().map(|test| ("refused by", test));
        let reasons = reasons.into_iter().filter_map(|(what, why)| Some((what, why.as_ref()?)));
        for (what, text) in tests.chain(negative).chain(reasons) {
            lines += &format!("{:24}{what:<11} {text}\n", "");
        }
        lines
    }

    /// The fault that keeps the rule from being proved or excused.
    fn faults(&self, exists: &dyn Fn(&str) -> Result<()>) -> impl Iterator<Item = String> {
        let mut faults = Vec::new();
        if self.pending.is_some() {
            faults.push("is pending".to_owned());
        }
        let reasons = usize::from(self.not_done.is_some()) + usize::from(self.not_ours.is_some());
        match (self.tests.is_empty() && self.negative.is_empty(), reasons) {
            (true, 0) if self.pending.is_none() => faults.push("has neither test nor reason".to_owned()),
            (true, 0 | 1) | (false, 0) => {}
            _ => faults.push("has more than tests or one reason".to_owned()),
        }
        if self.tests.is_empty() && !self.negative.is_empty() {
            faults.push("has a negative test and no positive one".to_owned());
        }
        let reasons = [&self.not_done, &self.not_ours, &self.pending];
        if reasons.iter().any(|reason| reason.as_ref().is_some_and(|text| text.trim().is_empty())) {
            faults.push("has a reason without words".to_owned());
        }
        let missing = self.tests.iter().chain(&self.negative).filter_map(|test| exists(test).err());
        faults.extend(missing.map(|error| format!("{error:#}")));
        faults.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    /// The faults of one row; only the test `letter::there` exists.
    fn of(row: &str) -> Vec<String> {
        let text = format!(
            "rfc = 7011\ntitle = \"IPFIX\"\n[[row]]\nsection = \"3.1\"\nlevel = \"must\"\nrule = \"r\"\n{row}"
        );
        let rfcs = [toml::from_str(&text).unwrap()];
        faults(&rfcs, &|test| if test == "letter::there" { Ok(()) } else { bail!("no test {test}") })
    }

    #[test]
    fn a_row_with_a_test_or_a_reason_is_right() {
        for row in [
            "tests = [\"letter::there\"]",
            "tests = [\"letter::there\"]\nnegative = [\"letter::there\"]",
            "not_done = \"SCTP\"",
            "not_ours = \"collectors\"",
        ] {
            assert_eq!(of(row), [""; 0], "{row}");
        }
    }

    #[test]
    fn a_row_without_test_or_reason_fails() {
        assert_eq!(of(""), ["RFC 7011 3.1: has neither test nor reason"]);
        assert_eq!(of("tests = []"), ["RFC 7011 3.1: has neither test nor reason"]);
        assert_eq!(of("not_done = \" \""), ["RFC 7011 3.1: has a reason without words"]);
    }

    #[test]
    fn a_test_that_is_not_there_fails() {
        assert_eq!(of("tests = [\"letter::gone\"]"), ["RFC 7011 3.1: no test letter::gone"]);
        let negative = "tests = [\"letter::there\"]\nnegative = [\"letter::gone\"]";
        assert_eq!(of(negative), ["RFC 7011 3.1: no test letter::gone"]);
    }

    #[test]
    fn what_is_pending_fails_whatever_is_there_already() {
        assert_eq!(of("pending = \"a test\""), ["RFC 7011 3.1: is pending"]);
        assert_eq!(of("pending = \"more\"\ntests = [\"letter::there\"]"), ["RFC 7011 3.1: is pending"]);
    }

    #[test]
    fn rows_that_contradict_themselves_fail() {
        for row in [
            "not_done = \"a\"\nnot_ours = \"b\"",
            "tests = [\"letter::there\"]\nnot_done = \"a\"",
            "negative = [\"letter::there\"]",
        ] {
            assert_eq!(of(row).len(), 1, "{row}");
        }
        assert!(toml::from_str::<Rfc>("rfc = 1\ntitle = \"\"\nrow = []\nmore = 1").is_err());
    }

    #[test]
    fn what_is_pending_comes_first() {
        let text = "rfc = 1\ntitle = \"t\"\n[[row]]\nsection = \"2\"\nlevel = \"should\"\nrule = \"r\"\npending = \"p\"";
        let rfcs = [toml::from_str(text).unwrap()];
        for brief in [false, true] {
            let table = report(&rfcs, brief);
            assert!(table.starts_with("Still to be done, 1:\n\nRFC 1 2 (should): r\n    p\n"));
            assert_eq!(table.contains("RFC 1: t"), !brief);
        }
    }
}
