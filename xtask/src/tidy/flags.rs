//! README and manual name flags that exist, and leave out none of the agent's.
//!
//! Flags are read where they are declared: in clap's attributes, and in the rows of the agent's table of keys.

use std::collections::BTreeSet;

use super::tree::Source;
use super::{Findings, Known, Tree, known::FILE};

/// The agent's files.
const AGENT: &str = "flowxdp/src/";
/// The agent's table of keys, of which each row is a flag too.
const KEYS: &str = "flowxdp/src/config/keys.rs";

pub(super) fn check(tree: &Tree, known: &Known) -> Findings {
    let (mut agent, mut others) = (BTreeSet::new(), BTreeSet::new());
    for source in &tree.sources {
        let ours = source.path.starts_with(AGENT);
        let of_file = if source.path == KEYS { rows(&source.text) } else { arguments(source) };
        if ours { &mut agent } else { &mut others }.extend(of_file);
    }
    // Every command has these from clap.
    others.extend(["help", "version"].map(str::to_owned));
    others.extend(known.foreign_flags.iter().cloned());
    let mut findings = Findings::default();
    let mut named = BTreeSet::new();
    for (path, text) in tree.texts.iter().filter(|(path, _)| is_for_people(path)) {
        for (number, line) in text.lines().enumerate() {
            for flag in flags(line) {
                if !agent.contains(flag) && !others.contains(flag) {
                    let place = format!("{path}:{}", number + 1);
                    findings.faults.push(format!(
                        "{place}: --{flag} is no flag of ours: correct it, or list it under `foreign-flags` of {FILE}"
                    ));
                }
                named.insert(flag.to_owned());
            }
        }
    }
    let left_to_help = |flag: &String| known.flags_of_help.contains(flag);
    let missing = agent.iter().filter(|flag| !named.contains(*flag) && !left_to_help(flag));
    findings
        .faults
        .extend(missing.map(|flag| format!("no page of the manual has --{flag}: describe it there")));
    let stale = known.foreign_flags.iter().filter(|flag| !named.contains(*flag) || agent.contains(*flag));
    let stale = stale
        .chain(known.flags_of_help.iter().filter(|flag| named.contains(*flag) || !agent.contains(*flag)));
    findings.notes.extend(stale.map(|flag| format!("{FILE} lists --{flag} for nothing: take it out")));
    findings
}

fn is_for_people(path: &str) -> bool {
    path.ends_with(".md") && (path.starts_with("flowxdp/") || !path.contains('/'))
}

/// The flags that a line names.
fn flags(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("--").filter_map(|(at, dashes)| {
        let before = line.get(..at)?.chars().next_back();
        let inside = before.is_some_and(|before| before.is_alphanumeric() || "-|=/".contains(before));
        let rest = line.get(at + dashes.len()..)?;
        let end = rest.find(|next: char| !next.is_ascii_lowercase() && !next.is_ascii_digit() && next != '-');
        let flag = rest.get(..end.unwrap_or(rest.len()))?;
        (!inside && flag.len() > 1 && !flag.starts_with('-') && !flag.ends_with('-')).then_some(flag)
    })
}

/// Flags of fields behind clap's `#[arg(… long …)]`.
fn arguments(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (at, attribute) in source.code.match_indices("#[arg(") {
        let number = source.code.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let rest = source.code.get(at + attribute.len()..).unwrap_or_default();
        let Some((inside, after)) = rest.split_once(")]") else { continue };
        let long = inside.split(',').any(|word| word.trim() == "long");
        if long && !source.in_tests(number) {
            found.extend(field(after));
        }
    }
    found
}

/// The flag of the field that comes next.
fn field(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("#["))?;
    let (name, _) = line.split_once(':')?;
    Some(name.trim_start_matches("pub ").trim_start_matches("pub(crate) ").trim().replace('_', "-"))
}

/// Flags of the rows `Table "name" COMMANDS …`.
fn rows(text: &str) -> Vec<String> {
    let found = text.lines().filter_map(|line| {
        let mut words = line.strip_prefix("    ")?.split(' ');
        let (table, name, commands) = (words.next()?, words.next()?, words.next()?);
        let name = name.strip_prefix('"')?.strip_suffix('"')?;
        let row =
            table.starts_with(char::is_uppercase) && commands.chars().all(|next| next.is_ascii_uppercase());
        row.then(|| flag(&table.to_lowercase(), name)).flatten()
    });
    found.collect()
}

/// The flag of a key, as the contract forms it.
fn flag(table: &str, name: &str) -> Option<String> {
    match (table, name) {
        ("exporter", "collector") | ("monitor" | "record" | "exporting", _) => Some(name.to_owned()),
        ("exporter", _) => None,
        ("spool", "directory") => Some("spool".to_owned()),
        ("sampler", "one-out-of") => Some("sample".to_owned()),
        _ => Some(format!("{table}-{name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGUMENTS: &str = "//! A.\n    /// The table.\n    #[arg(long, value_name = \"N\", default_value = \"1)\")]\n    \
                             pub flows_v6: u8,\n    #[arg(value_name = \"FILE\")]\n    file: u8,\n";

    #[test]
    fn a_flag_that_is_not_there_and_one_that_no_page_has_are_found() {
        let tree = Tree::of(&[
            ("flowxdp/src/command/run.rs", ARGUMENTS),
            ("README.md", "Run it with `--flow-v6 7`, a--b or `--help`.\n"),
        ]);
        let found = check(&tree, &Known::default());
        assert_eq!(found.faults.len(), 2, "{:?}", found.faults);
        assert!(found.faults[0].starts_with("README.md:1: --flow-v6 is no flag"), "{:?}", found.faults);
        assert!(found.faults[1].contains("--flows-v6"), "{:?}", found.faults);
        let known = Known {
            foreign_flags: vec!["flow-v6".to_owned()],
            flags_of_help: vec!["flows-v6".to_owned()],
            ..Known::default()
        };
        assert_eq!(check(&tree, &known).faults, [""; 0]);
    }

    #[test]
    fn rows_of_the_table_are_flags() {
        let text = "    Monitor \"idle-timeout\" BOTH one DURATION \"15s\" in a by b,\n    Exporter \"mtu\" BOTH x,\n    \
                    Tls \"ca\" BOTH maybe,\n    Spool \"directory\" BOTH x,\n    Self::Monitor => \"a\",\n";
        assert_eq!(rows(text), ["idle-timeout", "tls-ca", "spool"]);
    }
}
