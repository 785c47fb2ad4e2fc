//! Many checks in one test: each failure is kept with its name, and the rest still runs.

use std::io::Write;

use anyhow::{Result, bail};

/// What went wrong so far.
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

/// Tells whoever runs the tests something, even where the output of a passing test is not shown.
pub fn tell(line: &str) {
    // Nobody to tell is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}
