//! One test, built and run in the copy of the sources.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::Tree;
use crate::{build, shell, source::Place, sudo};

/// How long a test may take, by timeout(1): one that does not end without its rule has failed.
const LIMIT: &str = "600";

/// The result of a test.
pub(super) enum Outcome {
    Passed,
    /// With the end of its output.
    Failed(String),
}

/// A test of the copy.
pub(super) struct Trial<'a> {
    tree: &'a Tree,
    place: Place,
    as_root: bool,
}

impl<'a> Trial<'a> {
    pub(super) fn new(tree: &'a Tree, place: Place, as_root: bool) -> Self {
        Self { tree, place, as_root }
    }

    /// Builds and runs it.
    ///
    /// # Errors
    ///
    /// The copy does not build, or no test ran.
    pub(super) fn run(&self) -> Result<Outcome> {
        let Place { package, target, path } = &self.place;
        let mut cargo = self.cargo("test");
        cargo.args(["--no-run", "--package", package]).args(target);
        if package == "flowxdp-tests" {
            cargo.args(["--features", "vm"]);
        }
        let built = build::quietly(&mut cargo)?;
        let test = built.iter().find(|built| built.is_test).context("cargo built no test")?;
        let mut environment: Vec<(&str, OsString)> =
            vec![("CARGO_MANIFEST_DIR", test.package.clone().into()), ("RUST_BACKTRACE", "0".into())];
        if self.as_root {
            environment.push(("FLOWXDP_BIN", self.agent()?.into()));
        }
        let arguments = ["--exact", path.as_str(), "--test-threads=1"];
        let mut command = if self.as_root {
            let why = format!("the test {path} loads XDP programs and makes network namespaces");
            let mut command = sudo::command("timeout", &why, &environment)?;
            command.args(["--kill-after", "10", LIMIT]).arg(&test.path);
            command
        } else {
            let mut command = Command::new("timeout");
            command.args(["--kill-after", "10", LIMIT]).arg(&test.path).envs(environment);
            command
        };
        command.args(arguments).current_dir(&test.package).stdin(Stdio::null());
        let output = command.output().with_context(|| format!("cannot start `{}`", shell::show(&command)))?;
        let text =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        ensure!(text.contains("running 1 test\n"), "no test {path} ran:\n{}", tail(&text));
        Ok(if output.status.success() { Outcome::Passed } else { Outcome::Failed(tail(&text)) })
    }

    fn agent(&self) -> Result<PathBuf> {
        let mut cargo = self.cargo("build");
        cargo.args(["--package", "flowxdp", "--bin", "flowxdp"]);
        let built = build::quietly(&mut cargo)?;
        built.into_iter().next().map(|built| built.path).context("cargo built no agent")
    }

    fn cargo(&self, job: &str) -> Command {
        let mut cargo = shell::cargo(&[job, "--locked", "--quiet", "--target-dir"]);
        cargo.arg(self.tree.target()).current_dir(self.tree.root());
        cargo
    }
}

/// The last lines of an output.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
}
