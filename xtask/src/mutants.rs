//! `cargo xtask mutants`: each rule in tests/mutants is taken out of a copy of the sources, and the test that
//! guards it must fail.
//!
//! A row names the lines that stand for the rule and its test. The lines must be there exactly once, and the test
//! must pass while they are, which the gate has seen in the step before. [`tree`] is the copy, [`trial`] builds and runs a test in it.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::{setup, shell, source, sudo, tally::Count};

mod tree;
mod trial;

use tree::Tree;
use trial::{Outcome, Trial};

/// The rows, from the top of the workspace.
const FILE: &str = "tests/mutants/rules.toml";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the rules of these names
    names: Vec<String>,
    /// Only the rules that the gate tries, whose tests are not run with the rule in place first
    #[arg(long)]
    gate: bool,
    /// Only those whose test needs no root
    #[arg(long)]
    no_root: bool,
    /// Show the rules and try none
    #[arg(long)]
    list: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    #[serde(rename = "rule")]
    rules: Vec<Rule>,
}

/// A rule of the program, and the change that breaks it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    /// The rule in a sentence.
    rule: String,
    /// The file in which it stands, from the top of the workspace.
    file: String,
    /// The lines that stand for it.
    stands: String,
    /// The lines in their place.
    instead: String,
    /// `CRATE::MODULE::NAME` of the test that must fail.
    test: String,
    /// Whether the gate tries it each time.
    #[serde(default)]
    gate: bool,
}

impl Rule {
    fn needs_root(&self) -> bool {
        self.test.starts_with("kernel_")
    }

    /// The file without the rule.
    fn taken_out(&self, root: &Path) -> Result<String> {
        let path = root.join(&self.file);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", self.file))?;
        let (stands, instead) = (self.stands.trim_matches('\n'), self.instead.trim_matches('\n'));
        let times = text.matches(stands).count();
        ensure!(times == 1, "the lines of rule {} are {times} times in {}, not once", self.name, self.file);
        ensure!(stands != instead, "rule {} changes nothing", self.name);
        Ok(text.replacen(stands, instead, 1))
    }
}

/// Fails unless each row's lines are in their file once and its test exists. Nothing is built.
///
/// # Errors
///
/// A row that no longer fits the sources.
pub(crate) fn check() -> Result<()> {
    let root = shell::root();
    let rules = read(root)?;
    for rule in &rules {
        rule.taken_out(root)?;
        source::find(root, &rule.test).with_context(|| format!("rule {}", rule.name))?;
    }
    println!("{} rules, each with its lines and its test; {} in the gate", rules.len(), gate(&rules));
    Ok(())
}

fn gate(rules: &[Rule]) -> usize {
    rules.iter().filter(|rule| rule.gate).count()
}

fn read(root: &Path) -> Result<Vec<Rule>> {
    let text = std::fs::read_to_string(root.join(FILE)).with_context(|| format!("cannot read {FILE}"))?;
    let Rules { rules } = toml::from_str(&text).with_context(|| FILE.to_owned())?;
    ensure!(!rules.is_empty(), "there is no rule in {FILE}");
    Ok(rules)
}

/// Takes the chosen rules out, one after the other.
///
/// # Errors
///
/// A test passes without its rule, or fails with it; or the sources without the rule do not build.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (caught, faults) = try_all(options)?;
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    println!("{caught} rules: each test fails without its rule");
    Ok(())
}

/// The same for a step of the gate: a rule whose test fails without it counts as passed.
///
/// # Errors
///
/// The copy cannot be made, or the file of rules not be read.
pub(crate) fn in_gate(count: &mut Count) -> Result<()> {
    let gate = Options { names: Vec::new(), gate: true, no_root: false, list: false };
    let (caught, faults) = try_all(&gate)?;
    count.add_up(caught, faults);
    Ok(())
}

fn try_all(options: &Options) -> Result<(u64, Vec<String>)> {
    let root = shell::root();
    let mut rules = read(root)?;
    for name in &options.names {
        ensure!(rules.iter().any(|rule| rule.name == *name), "there is no rule {name} in {FILE}");
    }
    rules.retain(|rule| {
        (options.names.is_empty() || options.names.contains(&rule.name))
            && (!options.gate || rule.gate)
            && (!options.no_root || !rule.needs_root())
    });
    if options.list {
        rules.iter().for_each(|rule| println!("{:<28} {}\n{:28} {}", rule.name, rule.rule, "", rule.test));
        return Ok((0, Vec::new()));
    }
    setup::toolchain()?;
    if rules.iter().any(Rule::needs_root) {
        ensure!(
            sudo::is_root() || shell::find("sudo").is_some(),
            "some of these tests need root: run this as root, or with --no-root"
        );
        setup::packages(setup::JUDGES)?;
    }
    let tree = Tree::copy(root)?;
    // The gate has just run these tests with the rules in place.
    let with_rule = !options.gate;
    let (mut caught, mut faults) = (0, Vec::new());
    for (number, rule) in rules.iter().enumerate() {
        let begun = Instant::now();
        let verdict = attempt(&tree, rule, with_rule);
        let seconds = begun.elapsed().as_secs();
        let word = match &verdict {
            Ok(()) => "fails without it, as it must".to_owned(),
            Err(fault) => format!("FAULT: {fault:#}"),
        };
        println!("[{}/{}] {}: {} {word} ({seconds} s)", number + 1, rules.len(), rule.name, rule.test);
        match verdict {
            Ok(()) => caught += 1,
            Err(fault) => faults.push(format!("rule {}: {fault:#}", rule.name)),
        }
    }
    Ok((caught, faults))
}

/// The test fails without the rule and, if `with_rule` asks for that, passes with it.
fn attempt(tree: &Tree, rule: &Rule, with_rule: bool) -> Result<()> {
    let broken = rule.taken_out(tree.root())?;
    let trial = Trial::new(tree, source::find(tree.root(), &rule.test)?, rule.needs_root());
    if with_rule && let Outcome::Failed(text) = trial.run()? {
        bail!("the test fails with the rule in place:\n{text}");
    }
    let changed = tree.change(&rule.file, &broken)?;
    let outcome = trial.run();
    changed.restore()?;
    match outcome.context("without the rule")? {
        Outcome::Failed(_) => Ok(()),
        Outcome::Passed => bail!("the test passes without the rule: {}", rule.rule),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_lines_and_its_test() {
        check().unwrap();
    }

    #[test]
    fn lines_must_be_there_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "one\ntwo\ntwo\n").unwrap();
        let rule = |stands: &str, instead: &str| Rule {
            name: "r".to_owned(),
            rule: String::new(),
            file: "a".to_owned(),
            stands: stands.to_owned(),
            instead: instead.to_owned(),
            test: String::new(),
            gate: false,
        };
        assert_eq!(rule("\none\n", "").taken_out(folder.path()).unwrap(), "\ntwo\ntwo\n");
        assert!(rule("two", "").taken_out(folder.path()).is_err());
        assert!(rule("three", "").taken_out(folder.path()).is_err());
        assert!(rule("one", "one").taken_out(folder.path()).is_err());
    }
}
