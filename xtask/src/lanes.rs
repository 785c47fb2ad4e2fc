//! The kernel tests as root: a process for each module, so that none inherits another's state.
//!
//! Most modules wait more than they work, so two of them run at a time. A module that measures a rate, fills a table
//! or moves interrupts has the machine to itself.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::tally::{Count, side_by_side};
use crate::{sudo, suite};

/// Modules that have the machine to themselves.
const ALONE: [&str; 10] = [
    "kernel_collectors",
    "kernel_cpus",
    "kernel_delivery",
    "kernel_flood",
    "kernel_live",
    "kernel_network",
    "kernel_options",
    "kernel_pins",
    "kernel_spool",
    "kernel_suspended",
];

/// Builds the tests as whoever calls, and runs them as root.
///
/// # Errors
///
/// The tests do not build, or no root can be had. A failed test is counted.
pub(crate) fn run(count: &mut Count, agent: &Path, captures: &str) -> Result<()> {
    let suite = suite::build()?;
    let modules = suite.modules.keys().filter(|module| !module.starts_with(suite::OF_VM));
    let (alone, beside): (Vec<_>, Vec<_>) = modules.partition(|module| ALONE.contains(&module.as_str()));
    let command = |module: &str| -> Result<Command> {
        let environment = [
            ("CARGO_MANIFEST_DIR", suite.program.package.clone().into_os_string()),
            ("FLOWXDP_BIN", agent.as_os_str().to_owned()),
            ("FLOWXDP_CAPTURES", captures.into()),
        ];
        let why = format!("the tests {module} load XDP programs and make network namespaces");
        let mut command = sudo::command(&suite.program.path, &why, &environment)?;
        command.arg(format!("{module}::")).arg("--test-threads=1").current_dir(&suite.program.package);
        Ok(command)
    };
    let mut commands = Vec::new();
    for module in beside {
        commands.push((module.as_str(), command(module)?));
    }
    for ended in side_by_side(commands) {
        if let Err(error) = ended.result {
            eprintln!("xtask: {error:#}");
        }
        count.merge(ended.count);
    }
    for module in alone {
        println!("\n     Running {module} as root");
        // A module that fails must not hide the results of the next.
        if let Err(error) = count.run(&mut command(module)?) {
            eprintln!("xtask: {error:#}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_runs_once_and_counts() {
        let commands = (0..5).map(|number| {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("echo 'test result: ok. {number} passed; 0 failed'")]);
            ("module", shell)
        });
        let mut count = Count::default();
        side_by_side(commands.collect()).into_iter().for_each(|ended| count.merge(ended.count));
        assert_eq!(count.passed(), 10);
    }
}
