//! The kernel tests as root: a process for each module, so that none inherits another's state.
//!
//! Most modules wait more than they work, so two of them run at a time. A module that measures a rate, fills a table
//! or moves interrupts has the machine to itself.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use crate::tally::Count;
use crate::{sudo, suite};

/// Modules that run at a time.
const LANES: usize = 2;

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
    side_by_side(count, commands);
    for module in alone {
        println!("\n     Running {module} as root");
        // A module that fails must not hide the results of the next.
        if let Err(error) = count.run(&mut command(module)?) {
            eprintln!("xtask: {error:#}");
        }
    }
    Ok(())
}

/// Runs a module in each lane until none is left. A module's output is shown when that module ends.
fn side_by_side(count: &mut Count, commands: Vec<(&str, Command)>) {
    let (commands, count) = (Mutex::new(commands.into_iter()), Mutex::new(count));
    let next = || commands.lock().unwrap_or_else(PoisonError::into_inner).next();
    let lane = || {
        while let Some((module, mut command)) = next() {
            let (mut own, mut output) = (Count::default(), Vec::new());
            let result = own.run_into(&mut command, &mut output);
            let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
            println!("\n     Running {module} as root, beside another\n{}", String::from_utf8_lossy(&output));
            if let Err(error) = result {
                eprintln!("xtask: {error:#}");
            }
            count.merge(own);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(lane);
        }
    });
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
        side_by_side(&mut count, commands.collect());
        assert_eq!(count.passed(), 10);
    }
}
