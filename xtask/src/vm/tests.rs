//! The tests that run in a VM: the very test program of the machine, with the judges that it calls.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::archive::Archive;
use crate::suite::{self, OF_VM, Suite};
use crate::{build, setup, shell};

/// How long the tests of one module may take, seconds.
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
/// A program that a test starts beside the agent.
const HELPER: &str = "flowxdp-confined";

/// The few for every day: verifier load and refusals, exactness, restarts, CPUs, real drivers. A module and, where not
/// all of its tests run, words of those that do. None of them calls the largest judge.
const SHORT: [(&str, &[&str]); 14] = [
    ("kernel_cpus", &["every_cpu", "begins_to_receive", "withdrawn"]),
    (
        "kernel_errors",
        &["interface", "privilege", "xdp_program", "native_mode", "ethernet", "same_packets", "of_memory"],
    ),
    ("kernel_explain", &["every_hook_gives"]),
    ("kernel_hooks", &["a_device_without"]),
    ("kernel_inspect", &["first_packets_of_each"]),
    ("kernel_live", &["interfaces_are_told_apart", "too_small", "sigint"]),
    ("kernel_parser", &["verifier", "crafted"]),
    ("kernel_pins", &["a_stop_that_keeps"]),
    ("kernel_status", &[]),
    ("kernel_tap", &["all_are_taps"]),
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
    /// Tests whose paths, `MODULE::NAME`, begin so.
    Only(&'a [String]),
}

impl Choice<'_> {
    fn takes(&self, module: &str, test: &str) -> bool {
        match self {
            Self::All => {
                let suits = module.starts_with("kernel_") || module.starts_with(OF_VM);
                suits && module != REFUSED && !NOT_OF_KERNELS.contains(&module)
            }
            Self::Short => SHORT.iter().any(|(short, words)| {
                *short == module && (words.is_empty() || words.iter().any(|word| test.contains(word)))
            }),
            Self::Only(starts) => starts.iter().any(|start| test.starts_with(start)),
        }
    }
}

/// The test program that was built, and which of its tests run.
pub(crate) struct Tests {
    program: build::Executable,
    /// Full names of tests, by module.
    modules: BTreeMap<String, Vec<String>>,
    /// Programs that tests start, packed beside the test program.
    helpers: Vec<build::Executable>,
    judges: Vec<&'static str>,
}

impl Tests {
    /// Builds them.
    pub(crate) fn build(choice: &Choice<'_>, with_taps: bool) -> Result<Self> {
        setup::packages(setup::JUDGES)?;
        let Suite { program, mut modules, others: mut helpers } = suite::build()?;
        known(&modules)?;
        helpers.retain(|helper| helper.name == HELPER);
        let takes = |module: &str, tests: &[String]| tests.iter().any(|test| choice.takes(module, test));
        let chosen = modules.iter().any(|(module, tests)| takes(module, tests));
        ensure!(chosen, "no test has such a path: give --only MODULE or MODULE::NAME");
        // Kernels that are refused have these tests alone, also with another choice.
        modules.iter_mut().filter(|(module, _)| *module != REFUSED).for_each(|(module, tests)| {
            tests.retain(|test| choice.takes(module, test));
        });
        modules.retain(|_, tests| !tests.is_empty());
        if !with_taps && modules.remove(NEEDS_TAPS).is_some() {
            println!("vm: left out, because only root can make NICs with several queues: {NEEDS_TAPS}");
        }
        if matches!(choice, Choice::All) {
            println!("vm: left out, because kernels do not differ there: {}", NOT_OF_KERNELS.join(", "));
        }
        let mut judges: Vec<_> = setup::JUDGES.iter().map(|(program, _)| *program).collect();
        if matches!(choice, Choice::Short) {
            judges.retain(|judge| *judge != LARGEST);
        }
        Ok(Self { program, modules, helpers, judges })
    }

    /// Packs them, the judges, and the job that runs one module after the other: all but those of kernels that are
    /// refused, or these alone.
    pub(crate) fn pack(&self, archive: &mut Archive, work: &Path, refused: bool) -> Result<()> {
        let modules: Vec<_> =
            self.modules.iter().filter(|(module, _)| (*module == REFUSED) == refused).collect();
        ensure!(!modules.is_empty(), "none of these tests suits this kernel");
        for name in self.judges.iter().copied().chain(["bash", "sleep", "ss"]) {
            archive.named(name)?;
        }
        if self.judges.contains(&LARGEST) {
            for folder in FOLDERS.map(Path::new).into_iter().filter(|folder| folder.is_dir()) {
                archive.tree(folder)?;
            }
        }
        let package = &self.program.package;
        // The tests look for these where they were built.
        for folder in ["captures", "fuzz/corpus"] {
            archive.tree(&package.join(folder))?;
        }
        let mut job = include_str!("run-tests.sh").to_owned();
        job += &format!("export FLOWXDP_PATIENCE={PATIENCE}\n");
        job += &format!("cd {}\n", super::quoted(&[package.display().to_string()]));
        for program in self.helpers.iter().chain([&self.program]) {
            let stripped = work.join(&program.name);
            shell::quietly(Command::new("strip").arg("-o").arg(&stripped).arg(&program.path))?;
            archive.program(&stripped, &Path::new("/tests").join(&program.name))?;
            std::fs::remove_file(&stripped)?;
        }
        for (module, tests) in modules {
            job += &format!("run {} {module} {LIMIT} {}\n", self.program.name, tests.join(" "));
        }
        archive.text("/job", 0o755, &(job + "exit $failed\n"))
    }
}

/// Fails unless every module and every word of the lists above names a test.
fn known(modules: &BTreeMap<String, Vec<String>>) -> Result<()> {
    let named = SHORT.iter().map(|(module, words)| (*module, *words));
    for (module, words) in named.chain(NOT_OF_KERNELS.iter().map(|module| (*module, [].as_slice()))) {
        let tests = modules.get(module).with_context(|| format!("there is no test module {module}"))?;
        if let Some(word) = words.iter().find(|word| !tests.iter().any(|test| test.contains(**word))) {
            bail!("no test of {module} has {word} in its name");
        }
    }
    Ok(())
}

#[cfg(test)]
mod choices {
    use super::*;

    #[test]
    fn a_choice_takes_modules_words_and_paths() {
        let takes =
            |choice: &Choice<'_>, test: &str| choice.takes(test.split("::").next().unwrap_or_default(), test);
        let only = ["kernel_errors::no_privilege".to_owned(), "vm_clock".to_owned()];
        for (choice, test, taken) in [
            (Choice::All, "kernel_pins::a", true),
            (Choice::All, "kernel_tls::a", false),
            (Choice::All, "judged_unit::a", false),
            (Choice::All, "vm_refused::a", false),
            (Choice::Short, "kernel_live::sigint_is_an_end", true),
            (Choice::Short, "kernel_live::a", false),
            (Choice::Short, "kernel_status::a", true),
            (Choice::Only(&only), "kernel_errors::no_privilege", true),
            (Choice::Only(&only), "kernel_errors::a", false),
            (Choice::Only(&only), "vm_clock::a", true),
        ] {
            assert_eq!(takes(&choice, test), taken, "{test}");
        }
    }

    #[test]
    fn a_list_that_names_no_test_is_refused() {
        let mut modules = BTreeMap::new();
        for (module, words) in SHORT {
            modules.insert(module.to_owned(), words.iter().map(|word| format!("{module}::{word}")).collect());
        }
        for module in NOT_OF_KERNELS {
            modules.insert(module.to_owned(), vec![format!("{module}::a")]);
        }
        known(&modules).unwrap();
        modules.insert("kernel_cpus".to_owned(), vec!["kernel_cpus::every_cpu".to_owned()]);
        assert!(known(&modules).unwrap_err().to_string().contains("kernel_cpus has begins_to_receive"));
        modules.remove("kernel_cpus");
        assert_eq!(known(&modules).unwrap_err().to_string(), "there is no test module kernel_cpus");
    }
}
