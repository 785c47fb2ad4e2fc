//! Root for the steps that need it: directly as root, through sudo as a plain user.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use anyhow::{Result, bail};

use crate::shell;

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A command that runs as root, with the environment variables that it is given here. For a plain user the
/// purpose of sudo is printed; without sudo the error names the command to run.
pub(crate) fn command<P: AsRef<OsStr>>(
    program: P,
    why: &str,
    environment: &[(&str, OsString)],
) -> Result<Command> {
    let program = program.as_ref();
    if is_root() {
        let mut command = Command::new(program);
        command.envs(environment.iter().cloned());
        return Ok(command);
    }
    if shell::find("sudo").is_none() {
        bail!("{why}: that needs root, and there is no sudo here; run the same command as root");
    }
    println!("sudo: {why}");
    let mut command = Command::new("sudo");
    // sudo drops most of the environment, so the program's variables go through env(1).
    command.arg("--");
    if !environment.is_empty() {
        command.arg("env");
        for (name, value) in environment {
            let mut pair = OsString::from(name);
            pair.push("=");
            pair.push(value);
            command.arg(pair);
        }
    }
    command.arg(program);
    Ok(command)
}
