//! The tests that run in a VM: the very test programs of the machine, with the judges that they call.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::archive::Archive;
use crate::{build, setup, shell};

/// How long one test program may take, seconds.
const LIMIT: u32 = 900;
/// How much longer than on the machine itself tests wait for something.
const PATIENCE: u32 = 8;
/// Folders beside programs that judges read.
const FOLDERS: [&str; 3] = ["/usr/share/wireshark", "/usr/lib/x86_64-linux-gnu/wireshark", "/usr/lib/ssl"];

/// The test programs that were chosen, built.
pub(crate) struct Tests {
    programs: Vec<build::Executable>,
    /// What they start, which lies beside them.
    helpers: Vec<build::Executable>,
    /// Words that libtest takes: which tests of them.
    filter: Vec<String>,
}

impl Tests {
    /// Builds those whose names begin with one of `only`, or all that suit a VM.
    pub(crate) fn build(only: &[String], with_taps: bool) -> Result<Self> {
        setup::packages(setup::JUDGES)?;
        let mut cargo = shell::cargo(&["test", "--package", "flowxdp-tests", "--features", "vm", "--locked"]);
        let (mut programs, mut helpers): (Vec<_>, Vec<_>) =
            build::executables(cargo.arg("--no-run"))?.into_iter().partition(|program| program.is_test);
        programs.retain(|program| wanted(&program.name, only));
        helpers.retain(|helper| helper.name == HELPER);
        if !with_taps && programs.iter().any(|program| program.name == NEEDS_TAPS) {
            println!("vm: left out without root: {NEEDS_TAPS}");
            programs.retain(|program| program.name != NEEDS_TAPS);
        }
        programs.sort_by(|one, other| one.name.cmp(&other.name));
        ensure!(!programs.is_empty(), "no test program is named {}", only.join(" or "));
        Ok(Self { programs, helpers, filter: Vec::new() })
    }

    /// Packs them, the judges, and the job that runs one after the other.
    pub(crate) fn pack(&self, archive: &mut Archive, work: &Path) -> Result<()> {
        let mut names: Vec<&str> = setup::JUDGES.iter().map(|(program, _)| *program).collect();
        names.extend(["bash", "sleep"]);
        for name in names {
            archive.named(name)?;
        }
        for folder in FOLDERS.map(Path::new).into_iter().filter(|folder| folder.is_dir()) {
            archive.tree(folder)?;
        }
        let mut job = include_str!("run-tests.sh").to_owned();
        job += &format!("export FLOWXDP_PATIENCE={PATIENCE}\n");
        for program in self.programs.iter().chain(&self.helpers) {
            let stripped = work.join(&program.name);
            shell::quietly(Command::new("strip").arg("-o").arg(&stripped).arg(&program.path))?;
            archive.program(&stripped, &Path::new("/tests").join(&program.name))?;
            std::fs::remove_file(&stripped)?;
        }
        let package = &self.programs.first().context("no test")?.package;
        archive.tree(&package.join("captures"))?;
        job += &format!("cd {}\n", super::quoted(&[package.display().to_string()]));
        for program in &self.programs {
            job += &format!("run {} {LIMIT} {}\n", program.name, super::quoted(&self.filter));
        }
        archive.text("/job", 0o755, &(job + "exit $failed\n"))
    }
}

/// What a test starts beside the agent.
const HELPER: &str = "flowxdp-confined";

/// The tests of NICs that only root can give a VM.
const NEEDS_TAPS: &str = "vm_queues";

fn wanted(name: &str, only: &[String]) -> bool {
    if only.is_empty() {
        name.starts_with("kernel_") || name.starts_with("vm_")
    } else {
        only.iter().any(|start| name.starts_with(start))
    }
}
