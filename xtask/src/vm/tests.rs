//! The tests that run in a VM: the very test programs of the machine, with the judges that they call.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::archive::Archive;
use crate::{build, setup, shell};

/// How long one test program may take, seconds.
const LIMIT: u32 = 2400;
/// How much longer than on the machine itself tests wait for something.
const PATIENCE: u32 = 8;
/// Folders beside programs that judges read.
const FOLDERS: [&str; 3] = ["/usr/share/wireshark", "/usr/lib/x86_64-linux-gnu/wireshark", "/usr/lib/ssl"];
/// The judge that is larger than all others together.
const LARGEST: &str = "tshark";
/// The tests of NICs that only root can give a VM.
const NEEDS_TAPS: &str = "vm_queues";
/// The tests of kernels on which the agent does not run, and no test of any other.
const REFUSED: &str = "vm_refused";
/// What a test starts beside the agent.
const HELPER: &str = "flowxdp-confined";

/// The few for every day: verifier load and refusals, exactness, restarts, CPUs, real drivers. A name and, where not
/// all of its tests run, words of those that do. None of them calls the largest judge.
const SHORT: [(&str, &[&str]); 10] = [
    ("kernel_cpus", &["every_cpu", "begins_to_receive", "withdrawn"]),
    (
        "kernel_errors",
        &["interface", "privilege", "xdp_program", "native_mode", "ethernet", "same_packets", "of_memory"],
    ),
    ("kernel_live", &["interfaces_are_told_apart", "too_small", "sigint"]),
    ("kernel_parser", &[]),
    ("kernel_pins", &["a_stop_that_keeps"]),
    ("kernel_status", &[]),
    ("vm_clock", &[]),
    ("vm_hotplug", &[]),
    ("vm_queues", &[]),
    ("vm_virtio", &[]),
];

/// Tests of collectors, transports and files, which go through nothing in which kernels differ: they run on the
/// machine itself, and in a VM only when they are asked for by name.
const NOT_OF_KERNELS: [&str; 14] = [
    "kernel_collectors",
    "kernel_delivery",
    "kernel_encoder",
    "kernel_export",
    "kernel_harness",
    "kernel_judges",
    "kernel_names",
    "kernel_options",
    "kernel_package",
    "kernel_replay",
    "kernel_replay_files",
    "kernel_replay_streams",
    "kernel_spool",
    "kernel_tls",
];

/// Which tests run.
pub(crate) enum Choice<'a> {
    /// All in which the kernel has a part.
    All,
    /// The few for every day.
    Short,
    /// Those whose names begin so.
    Only(&'a [String]),
}

impl Choice<'_> {
    fn takes(&self, name: &str) -> bool {
        match self {
            Self::All => {
                let suits = name.starts_with("kernel_") || name.starts_with("vm_");
                suits && !NOT_OF_KERNELS.contains(&name)
            }
            Self::Short => SHORT.iter().any(|(short, _)| *short == name),
            Self::Only(starts) => starts.iter().any(|start| name.starts_with(start)),
        }
    }

    /// Words of the tests of a program that run; none for all.
    fn words(&self, name: &str) -> &'static [&'static str] {
        match self {
            Self::Short => SHORT.iter().find(|(short, _)| *short == name).map_or(&[], |(_, words)| words),
            Self::All | Self::Only(_) => &[],
        }
    }
}

/// Test programs that were built, and which tests of them run.
pub(crate) struct Tests {
    programs: Vec<(build::Executable, &'static [&'static str])>,
    /// What they start, which lies beside them.
    helpers: Vec<build::Executable>,
    judges: Vec<&'static str>,
}

impl Tests {
    /// Builds them.
    pub(crate) fn build(choice: &Choice<'_>, with_taps: bool) -> Result<Self> {
        setup::packages(setup::JUDGES)?;
        let mut cargo = shell::cargo(&["test", "--package", "flowxdp-tests", "--features", "vm", "--locked"]);
        let (mut built, mut helpers): (Vec<_>, Vec<_>) =
            build::executables(cargo.arg("--no-run"))?.into_iter().partition(|program| program.is_test);
        ensure!(built.iter().any(|program| choice.takes(&program.name)), "no test program has such a name");
        helpers.retain(|helper| helper.name == HELPER);
        let mut names = SHORT.iter().map(|(name, _)| name).chain(&NOT_OF_KERNELS);
        if let Some(name) = names.find(|name| built.iter().all(|program| program.name != **name)) {
            bail!("there is no test program {name}");
        }
        built.retain(|program| choice.takes(&program.name) || program.name == REFUSED);
        if !with_taps && built.iter().any(|program| program.name == NEEDS_TAPS) {
            println!("vm: left out, because only root can make NICs with several queues: {NEEDS_TAPS}");
            built.retain(|program| program.name != NEEDS_TAPS);
        }
        built.sort_by(|one, other| one.name.cmp(&other.name));
        if matches!(choice, Choice::All) {
            println!("vm: left out, because kernels do not differ there: {}", NOT_OF_KERNELS.join(", "));
        }
        let mut judges: Vec<_> = setup::JUDGES.iter().map(|(program, _)| *program).collect();
        if matches!(choice, Choice::Short) {
            judges.retain(|judge| *judge != LARGEST);
        }
        let programs = built.into_iter().map(|program| {
            let words = choice.words(&program.name);
            (program, words)
        });
        Ok(Self { programs: programs.collect(), helpers, judges })
    }

    /// Packs them, the judges, and the job that runs one after the other: all but those of kernels that are
    /// refused, or these alone.
    pub(crate) fn pack(&self, archive: &mut Archive, work: &Path, refused: bool) -> Result<()> {
        let programs: Vec<_> =
            self.programs.iter().filter(|(program, _)| (program.name == REFUSED) == refused).collect();
        ensure!(!programs.is_empty(), "none of these tests suits this kernel");
        for name in self.judges.iter().copied().chain(["bash", "sleep", "ss"]) {
            archive.named(name)?;
        }
        if self.judges.contains(&LARGEST) {
            for folder in FOLDERS.map(Path::new).into_iter().filter(|folder| folder.is_dir()) {
                archive.tree(folder)?;
            }
        }
        let package = &programs.first().context("no test")?.0.package;
        // The tests look for these where they were built.
        for folder in ["captures", "fuzz/corpus"] {
            archive.tree(&package.join(folder))?;
        }
        let mut job = include_str!("run-tests.sh").to_owned();
        job += &format!("export FLOWXDP_PATIENCE={PATIENCE}\n");
        job += &format!("cd {}\n", super::quoted(&[package.display().to_string()]));
        for program in programs.iter().map(|(program, _)| program).chain(&self.helpers) {
            let stripped = work.join(&program.name);
            shell::quietly(Command::new("strip").arg("-o").arg(&stripped).arg(&program.path))?;
            archive.program(&stripped, &Path::new("/tests").join(&program.name))?;
            std::fs::remove_file(&stripped)?;
        }
        for (program, words) in programs {
            job += &format!("run {} {LIMIT} {}\n", program.name, words.join(" "));
        }
        archive.text("/job", 0o755, &(job + "exit $failed\n"))
    }
}
