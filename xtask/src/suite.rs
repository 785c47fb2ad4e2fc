//! The test program of tests/tests/kernel: built once, its tests by module, and the programs that they start.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{build, shell};

/// The target's name.
const TARGET: &str = "kernel";
/// How modules are named whose tests need a test VM.
pub(crate) const OF_VM: &str = "vm_";

/// The test programs that were built.
pub(crate) struct Suite {
    /// The test program.
    pub(crate) program: build::Executable,
    /// Full names of tests, by module.
    pub(crate) modules: BTreeMap<String, Vec<String>>,
    /// Programs of the same package that tests start.
    pub(crate) others: Vec<build::Executable>,
}

/// Builds the tests with the tests of a VM, so that the gate links one test program only.
///
/// # Errors
///
/// The tests do not build, or the program lists no test.
pub(crate) fn build() -> Result<Suite> {
    let mut cargo = shell::cargo(&["test", "--package", "flowxdp-tests", "--features", "vm", "--locked"]);
    cargo.args(["--test", TARGET, "--no-run"]);
    let (mut tests, others): (Vec<_>, Vec<_>) =
        build::executables(&mut cargo)?.into_iter().partition(|program| program.is_test);
    let program = tests.pop().context("cargo built no test program")?;
    let list = shell::text(Command::new(&program.path).args(["--list", "--format", "terse"]))?;
    let modules = modules(&list);
    ensure!(!modules.is_empty(), "{} lists no test", program.path.display());
    Ok(Suite { program, modules, others })
}

/// Reads libtest's list, `MODULE::NAME: test` a line.
fn modules(list: &str) -> BTreeMap<String, Vec<String>> {
    let mut modules: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for test in list.lines().filter_map(|line| line.strip_suffix(": test")) {
        if let Some((module, _)) = test.split_once("::") {
            modules.entry(module.to_owned()).or_default().push(test.to_owned());
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_listed_by_module() {
        let found =
            modules("kernel_a::one: test\nkernel_a::deep::two: test\nvm_b::three: test\nx: benchmark\n");
        let expected =
            [("kernel_a", vec!["kernel_a::one", "kernel_a::deep::two"]), ("vm_b", vec!["vm_b::three"])];
        let expected = expected
            .map(|(module, tests)| (module.to_owned(), tests.into_iter().map(str::to_owned).collect()));
        assert_eq!(found, BTreeMap::from(expected));
    }
}
