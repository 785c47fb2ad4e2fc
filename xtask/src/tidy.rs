//! `cargo xtask tidy`: the rules of the house that no compiler holds, in seconds. Only sources are read.
//!
//! Each rule is a file of [`RULES`] and has a test in which it finds its fault. xtask/tidy.toml lists the exceptions
//! that stand, and ceilings that may only fall.

use anyhow::{Result, ensure};

use crate::{mutants, shell};

mod budgets;
mod circles;
mod flags;
mod known;
mod opening;
mod scan;
mod texts;
mod timed;
mod tree;
mod unused;
mod walls;
mod words;

use known::Known;
use tree::Tree;

/// A rule's findings in the sources.
#[derive(Default)]
struct Findings {
    /// Breaches, a line each, with the remedy.
    faults: Vec<String>,
    /// Exceptions and ceilings that are larger than they need to be.
    notes: Vec<String>,
}

/// A rule: its name, and its judgement.
type Rule = (&'static str, fn(&Tree, &Known) -> Findings);

const RULES: [Rule; 13] = [
    ("files open with a line that says their job", opening::check),
    ("files and functions are short", budgets::check),
    ("unsafe code is in listed files", walls::unsafe_code),
    ("aya is in the kernel's folder alone", walls::aya),
    ("modules form no circle", circles::check),
    ("README and manual know the flags", flags::check),
    ("no item is there for its tests alone", unused::check),
    ("comments are short", words::length),
    ("a comment's subject is a noun", words::subjects),
    ("no test measures time", timed::check),
    ("no machine's paths", texts::machine_paths),
    ("the manual's index has every page", texts::index),
    ("recipes name files that are there", texts::recipes),
];

/// Prints faults and figures.
///
/// # Errors
///
/// A rule is broken, or xtask/tidy.toml does not fit the sources.
pub(crate) fn run() -> Result<()> {
    let root = shell::root();
    let known = Known::read(root)?;
    let tree = Tree::read(root)?;
    let mut faults = known.risen(root);
    faults.extend(mutants::check().err().map(|error| format!("tests/mutants/rules.toml: {error:#}")));
    for (name, rule) in RULES {
        let found = rule(&tree, &known);
        let verdict = if found.faults.is_empty() { "holds" } else { "BROKEN" };
        println!("{name:<45} {verdict}");
        found.notes.iter().for_each(|note| println!("    {note}"));
        faults.extend(found.faults);
    }
    faults.iter().for_each(|fault| eprintln!("tidy: {fault}"));
    ensure!(faults.is_empty(), "{} faults of the house's rules", faults.len());
    Ok(())
}
