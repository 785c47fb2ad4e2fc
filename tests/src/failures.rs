//! Many checks in one test: each failure is kept with its name, and the rest still runs.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};

/// The failures so far.
#[derive(Debug, Default)]
pub struct Failures {
    checks: usize,
    lines: Vec<String>,
}

impl Failures {
    /// Runs one check.
    pub fn check<T>(&mut self, name: &str, check: impl FnOnce() -> Result<T>) -> Option<T> {
        self.checks += 1;
        match check() {
            Ok(value) => Some(value),
            Err(error) => {
                self.lines.push(format!("{name}: {error:#}"));
                None
            }
        }
    }

    /// Adds the failures of another.
    pub fn merge(&mut self, other: Self) {
        self.checks += other.checks;
        self.lines.extend(other.lines);
    }

    /// Fails when any check failed, or when there was none.
    pub fn end(self) -> Result<()> {
        if self.checks == 0 {
            bail!("nothing was checked");
        }
        if !self.lines.is_empty() {
            bail!("{} of {} checks failed\n{}", self.lines.len(), self.checks, self.lines.join("\n"));
        }
        Ok(())
    }
}

/// Does something with each item, some at a time, and gathers the failures in the order of the items.
///
/// Programs that a test starts wait more than they work, so there are more hands here than processors.
pub fn in_parallel<T: Sync>(items: &[T], each: impl Fn(&T, &mut Failures) + Sync) -> Failures {
    const HANDS: usize = 8;
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..HANDS {
            scope.spawn(|| {
                while let Some((number, item)) = next_of(items, &next) {
                    let mut failures = Failures::default();
                    each(item, &mut failures);
                    done.lock().unwrap_or_else(PoisonError::into_inner).insert(number, failures);
                }
            });
        }
    });
    let mut all = Failures::default();
    for (_, failures) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
        all.merge(failures);
    }
    all
}

fn next_of<'a, T>(items: &'a [T], next: &AtomicUsize) -> Option<(usize, &'a T)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    items.get(number).map(|item| (number, item))
}

/// Prints a line for the person who runs the tests, also where libtest hides the output of a passing test.
pub fn tell(line: &str) {
    // A closed stdout is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Reports that this machine cannot run the current test, and why; the test then returns.
///
/// libtest knows no such result and counts the test as passed. `cargo xtask test` reads the line and counts
/// it as ignored. One test thread is needed: the name of the test stands in front.
pub fn left_out(why: &str) {
    // Not `println!`, which libtest captures while the test passes.
    let _ = writeln!(std::io::stdout(), "left out: {why}");
}
