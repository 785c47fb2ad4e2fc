//! The steps that ran, their results, and the steps that were left out.

use std::io::{Read, Write};
use std::panic::resume_unwind;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell;

/// Programs that run at a time.
const LANES: usize = 2;

/// Steps of a job, each with its result. A failed one does not keep the next from running.
pub(crate) struct Tally {
    steps: usize,
    begun: usize,
    lines: Vec<String>,
    failed: Vec<String>,
    count: Count,
}

/// Tests by result. A step that is no test run counts as one.
#[derive(Default)]
pub(crate) struct Count {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Names of the tests that failed.
    names: Vec<String>,
    /// Tests that found the machine unable to run them, each with the reason.
    left_out: Vec<String>,
}

/// Begins a test's line on stdout when this machine cannot run it; libtest then reports it as passed.
const LEFT_OUT: &str = "left out: ";

impl Tally {
    pub(crate) fn new(steps: usize) -> Self {
        Self { steps, begun: 0, lines: Vec::new(), failed: Vec::new(), count: Count::default() }
    }

    /// A step that holds or does not.
    pub(crate) fn check(&mut self, name: &str, job: impl FnOnce() -> Result<()>) {
        self.step(name, |count| {
            job()?;
            count.passed += 1;
            Ok(())
        });
    }

    /// A step that runs tests, at least one.
    pub(crate) fn tests(&mut self, name: &str, job: impl FnOnce(&mut Count) -> Result<()>) {
        self.step(name, |count| {
            job(count)?;
            count.verdict()
        });
    }

    /// Steps that run tests, each a program that keeps one CPU busy, some of them at a time.
    pub(crate) fn side_by_side(&mut self, steps: Vec<(&str, Command)>) {
        self.begun += steps.len();
        let names: Vec<&str> = steps.iter().map(|(name, _)| *name).collect();
        println!("\n[{}/{}] {}, side by side", self.begun, self.steps, names.join(", "));
        for Ended { name, count, result, time } in side_by_side(steps) {
            let result = result.and_then(|()| count.verdict());
            self.note(name, count, result, time);
        }
    }

    fn step(&mut self, name: &str, job: impl FnOnce(&mut Count) -> Result<()>) {
        self.begun += 1;
        println!("\n[{}/{}] {name}", self.begun, self.steps);
        let start = Instant::now();
        let mut count = Count::default();
        let result = job(&mut count);
        self.note(name, count, result, start.elapsed());
    }

    /// Takes a step's result into the summary.
    fn note(&mut self, name: &str, mut count: Count, result: Result<()>, time: Duration) {
        let verdict = match result {
            Ok(()) => "passed",
            Err(error) => {
                eprintln!("xtask: {name}: {error:#}");
                count.failed = count.failed.max(1);
                self.failed.push(name.to_owned());
                "FAILED"
            }
        };
        let seconds = time.as_secs();
        let Count { passed, failed, ignored, names, left_out } = count;
        self.lines.push(format!(
            "{name:<20} {verdict:<8} {seconds:>5} s  {passed} passed, {failed} failed, {ignored} ignored"
        ));
        self.lines.extend(names.into_iter().map(|name| format!("    failed: {name}")));
        self.lines.extend(left_out.into_iter().map(|test| format!("    left out: {test}")));
        self.count.passed += passed;
        self.count.failed += failed;
        self.count.ignored += ignored;
    }

    /// A step that does not run, and why.
    pub(crate) fn leave_out(&mut self, name: &str, why: &str) {
        self.lines.push(format!("{name:<20} left out ({why})"));
    }

    /// A line for the summary.
    pub(crate) fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Shows the summary; an error when anything failed.
    pub(crate) fn close(self) -> Result<()> {
        println!("\nWhat ran, and what did not:");
        for line in &self.lines {
            println!("  {line}");
        }
        let Count { passed, failed, ignored, .. } = self.count;
        match ignored {
            0 => println!("\n{passed} passed, {failed} failed"),
            _ => println!("\n{passed} passed, {failed} failed, {ignored} skipped"),
        }
        if !self.failed.is_empty() {
            bail!("failed: {}", self.failed.join(", "));
        }
        Ok(())
    }
}

/// A program that ended, with its tests.
pub(crate) struct Ended<'a> {
    pub(crate) name: &'a str,
    pub(crate) count: Count,
    pub(crate) result: Result<()>,
    pub(crate) time: Duration,
}

/// Runs a program in each lane until none is left; gives the results in the order of the programs. A program's output
/// is shown when that program ends.
pub(crate) fn side_by_side(commands: Vec<(&str, Command)>) -> Vec<Ended<'_>> {
    let commands = Mutex::new(commands.into_iter().enumerate());
    let next = || commands.lock().unwrap_or_else(PoisonError::into_inner).next();
    let lane = || {
        let mut all = Vec::new();
        while let Some((at, (name, mut command))) = next() {
            let (start, mut count, mut output) = (Instant::now(), Count::default(), Vec::new());
            let result = count.run_into(&mut command, &mut output);
            // Printed at once, so that two outputs do not mix.
            println!("\n     {name}, beside another\n{}", String::from_utf8_lossy(&output));
            all.push((at, Ended { name, count, result, time: start.elapsed() }));
        }
        all
    };
    let mut all = std::thread::scope(|scope| {
        let lanes = [(); LANES].map(|()| scope.spawn(lane));
        let ended = lanes.into_iter().map(|lane| lane.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.flatten().collect::<Vec<_>>()
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, ended)| ended).collect()
}

impl Count {
    /// Runs a program that ends with libtest's lines of results, shows its output and adds up.
    pub(crate) fn run(&mut self, command: &mut Command) -> Result<()> {
        self.run_into(command, &mut std::io::stdout())
    }

    /// The same, with the output to a place of its own.
    pub(crate) fn run_into(&mut self, command: &mut Command, output: &mut impl Write) -> Result<()> {
        let shown = shell::show(command);
        writeln!(output, "$ {shown}")?;
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
        let text = child
            .stdout
            .take()
            .map(|pipe| pass_on(pipe, output))
            .transpose()
            .context("cannot read the test's output")?;
        let status = child.wait()?;
        let failed = self.failed;
        let text = text.unwrap_or_default();
        text.lines().for_each(|line| self.add(line));
        self.leave_out(&text);
        self.names.extend(failures(&text));
        // A program may also fail before or after its tests.
        if !status.success() && self.failed == failed {
            self.failed += 1;
            bail!("`{shown}` failed ({status})");
        }
        Ok(())
    }

    /// Adds the tests of another count.
    pub(crate) fn merge(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.names.extend(other.names);
        self.left_out.extend(other.left_out);
    }

    /// Tests that passed.
    #[cfg(test)]
    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    /// An error where no test ran or one failed.
    fn verdict(&self) -> Result<()> {
        match (self.passed, self.failed) {
            (0, 0) => bail!("no test ran"),
            (_, 0) => Ok(()),
            (_, failed) => bail!("{failed} tests failed"),
        }
    }

    /// Counts tests that could not run here as ignored, not as passed.
    fn leave_out(&mut self, text: &str) {
        let known = self.left_out.len();
        self.left_out.extend(left_out(text));
        let more = (self.left_out.len() - known) as u64;
        self.passed = self.passed.saturating_sub(more);
        self.ignored += more;
    }

    /// Adds the results of another kind of step: how many passed, and a line for each that did not.
    pub(crate) fn add_up(&mut self, passed: u64, failed: Vec<String>) {
        self.passed += passed;
        self.failed += failed.len() as u64;
        self.names.extend(failed);
    }

    /// Adds `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some((_, result)) = line.split_once("test result: ") else { return };
        for part in result.split(['.', ';']) {
            let Some((number, word)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// `test NAME ... left out: why` for each test that could not run here, as `NAME: why`.
fn left_out(text: &str) -> impl Iterator<Item = String> {
    let found = text.lines().filter_map(|line| line.split_once(LEFT_OUT));
    found.filter_map(|(test, why)| {
        let name = test.trim().strip_prefix("test ")?.strip_suffix("...")?;
        Some(format!("{}: {why}", name.trim()))
    })
}

/// The names that libtest lists before each line of results that says FAILED.
fn failures(text: &str) -> impl Iterator<Item = String> {
    let ends = text.match_indices("test result: FAILED").map(|(end, _)| end);
    let lists = ends.filter_map(|end| text.get(..end)?.rsplit_once("\nfailures:\n"));
    lists.flat_map(|(_, list)| list.split_whitespace()).map(str::to_owned)
}

/// Copies a pipe as it comes, half lines too, so that a slow test shows its name.
fn pass_on(mut pipe: impl Read, output: &mut impl Write) -> std::io::Result<String> {
    let mut text = Vec::new();
    let mut piece = [0; 8192];
    loop {
        let length = pipe.read(&mut piece)?;
        let read = piece.get(..length).unwrap_or_default();
        if read.is_empty() {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        text.extend_from_slice(read);
        output.write_all(read)?;
        output.flush()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_what_libtest_writes() {
        let mut count = Count::default();
        count.add(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.31s",
        );
        count.add("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 1.00s");
        count.add("test names::of_a_test ... ok");
        assert_eq!((count.passed, count.failed, count.ignored), (15, 2, 1));
    }

    #[test]
    fn steps_side_by_side_each_have_their_result() {
        let command = |text: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("echo 'test result: {text}'")]);
            shell
        };
        let mut tally = Tally::new(3);
        let steps =
            [("one", "ok. 2 passed; 0 failed;"), ("two", "FAILED. 1 passed; 1 failed;"), ("three", "")];
        tally.side_by_side(steps.map(|(name, text)| (name, command(text))).into());
        assert_eq!(tally.failed, ["two", "three"]);
        assert_eq!((tally.count.passed, tally.count.failed), (3, 2));
        assert!(tally.lines.iter().any(|line| line.starts_with("one ") && line.contains(" passed ")));
    }

    #[test]
    fn a_test_that_cannot_run_here_is_ignored_and_named() {
        let text = "running 2 tests\ntest a::b ... left out: no bridges\nok\ntest c ... ok\n\n\
                    test result: ok. 2 passed; 0 failed; 0 ignored;\n";
        let mut count = Count::default();
        text.lines().for_each(|line| count.add(line));
        count.leave_out(text);
        assert_eq!((count.passed, count.ignored), (1, 1));
        assert_eq!(count.left_out, ["a::b: no bridges"]);
    }

    #[test]
    fn names_the_tests_that_failed() {
        let one = "failures:\n\n---- a::b stdout ----\nbroke\n\nfailures:\n    a::b\n    c\n\ntest result: FAILED. 0 passed; 2 failed;\n";
        let good = "running 1 test\n\ntest result: ok. 1 passed; 0 failed;\n";
        assert_eq!(
            failures(&format!("\n{one}{good}\n{one}")).collect::<Vec<_>>(),
            ["a::b", "c", "a::b", "c"]
        );
        assert_eq!(failures(good).count(), 0);
    }
}
