//! Every input that the fuzzers found worth keeping, through the same functions again.

use std::panic::catch_unwind;

use anyhow::{Result, ensure};
use flowxdp_fuzz::corpus::{directory, read};
use flowxdp_fuzz::{TARGETS, input::Input, outcome::outcome};
use flowxdp_tests::failures::Failures;

/// All inputs together, so that a clone stays small.
const MOST_OCTETS: usize = 300_000;

#[test]
fn what_must_hold_for_any_input_holds_for_each_of_the_corpus() -> Result<()> {
    let mut failures = Failures::default();
    for (name, target) in TARGETS {
        for (file, data) in read(name)? {
            failures.check(&directory(name).join(file).display().to_string(), || {
                // The panic itself was printed.
                ensure!(catch_unwind(|| target(&data)).is_ok(), "the target {name} panics");
                Ok(())
            });
        }
    }
    failures.end()
}

#[test]
fn the_corpus_is_small_and_has_every_answer() -> Result<()> {
    let mut octets = 0;
    for (name, _) in TARGETS {
        octets += read(name)?.iter().map(|(_, data)| data.len()).sum::<usize>();
    }
    ensure!(octets <= MOST_OCTETS, "{octets} octets");
    let mut counts = [0; 4];
    for (_, data) in read("parser")? {
        if let Some(Input { octets, wire, .. }) = Input::decode(&data) {
            counts[outcome(octets, wire, 1).map_or_else(|why| 1 + why as usize, |_| 0)] += 1;
        }
    }
    ensure!(counts.iter().all(|count| *count > 5), "inputs by answer: {counts:?}");
    Ok(())
}
