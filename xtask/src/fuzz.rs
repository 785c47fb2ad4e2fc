//! `cargo xtask fuzz`: the coverage-guided fuzzers, with the pinned compiler and nothing but a C++ compiler.
//!
//! A fuzzer starts from the committed corpus and the frames of the project's captures, and keeps new inputs
//! below `target`, from one run to the next. An input that breaks a promise ends it with an error.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum as _;

use crate::{build, setup, shell};

/// Compiler flags for libFuzzer: counters and the comparisons' operands, none of them unstable.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// Last lines of a fuzzer that are shown when it fails.
const SHOWN: usize = 40;

/// libFuzzer itself is C++.
const COMPILER: &[setup::Package] = &[("c++", "g++")];

#[derive(Clone, Copy, clap::ValueEnum)]
enum Target {
    /// Any octets as a frame
    Parser,
    /// Any octets as a capture file
    Capture,
    /// Any octets as a file of the spool
    Spool,
    /// Any octets as a session and calls of it
    Encoder,
    /// Any octets as an agent's answer
    Status,
    /// Any octets as payloads that names are read from
    Names,
}

impl Target {
    const fn name(self) -> &'static str {
        match self {
            Self::Parser => "parser",
            Self::Capture => "capture",
            Self::Spool => "spool",
            Self::Encoder => "encoder",
            Self::Status => "status",
            Self::Names => "names",
        }
    }

    /// Octets of the longest input: faults need far fewer, and short inputs keep the corpus small.
    const fn longest(self) -> u32 {
        match self {
            Self::Parser => 2048,
            Self::Capture | Self::Status => 512,
            Self::Spool | Self::Encoder | Self::Names => 1024,
        }
    }
}

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long each fuzzer runs
    #[arg(long, value_name = "N", default_value = "60")]
    seconds: u32,
    /// Make the committed corpus from the inputs found: the fewest that reach as much
    #[arg(long)]
    update: bool,
    /// One of the fuzzers, not all of them
    target: Option<Target>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    setup::toolchain()?;
    setup::packages(COMPILER)?;
    let programs = programs()?;
    let all = Target::value_variants().to_vec();
    for target in options.target.map_or(all, |target| vec![target]) {
        Fuzzer::new(target, &programs)?.run(options)?;
    }
    Ok(())
}

/// Builds the fuzzers, and the program that writes their first inputs. With a target named, build scripts are
/// built without the flags; a program without libFuzzer could not be linked with them.
fn programs() -> Result<Vec<build::Executable>> {
    let host = shell::text(Command::new("rustc").args(["--print", "host-tuple"]).current_dir(shell::root()))?;
    let mut cargo = shell::cargo(&["build", "--profile", "fuzz", "--locked", "--package", "flowxdp-fuzz"]);
    cargo.args(["--features", "libfuzzer", "--bin", "fuzz-parser", "--bin", "fuzz-capture"]);
    cargo.args([
        "--bin",
        "fuzz-spool",
        "--bin",
        "fuzz-encoder",
        "--bin",
        "fuzz-status",
        "--bin",
        "fuzz-names",
    ]);
    let mut programs = build::executables(cargo.args(["--target", host.trim()]).env("RUSTFLAGS", FLAGS))?;
    let mut cargo = shell::cargo(&["build", "--locked", "--package", "flowxdp-fuzz", "--bin", "fuzz-seeds"]);
    programs.extend(build::executables(&mut cargo)?);
    Ok(programs)
}

/// One fuzzer and its folders.
struct Fuzzer<'a> {
    name: &'static str,
    longest: String,
    program: &'a Path,
    seeds: &'a Path,
    /// The inputs that earlier runs and this one found.
    found: PathBuf,
    /// Inputs that broke a promise.
    broken: PathBuf,
    committed: PathBuf,
}

impl<'a> Fuzzer<'a> {
    fn new(target: Target, programs: &'a [build::Executable]) -> Result<Self> {
        let name = target.name();
        let program = |name: &str| {
            let found = programs.iter().find(|program| program.name == name);
            found.map(|program| program.path.as_path()).with_context(|| format!("cargo built no {name}"))
        };
        let fuzzer = program(&format!("fuzz-{name}"))?;
        let folder = fuzzer.ancestors().nth(3).context("the fuzzers lie in no target folder")?;
        let own = folder.join("fuzz-inputs").join(name);
        Ok(Self {
            name,
            longest: format!("-max_len={}", target.longest()),
            program: fuzzer,
            seeds: program("fuzz-seeds")?,
            found: own.join("found"),
            broken: own.join("broken"),
            committed: shell::root().join("tests/fuzz/corpus").join(name),
        })
    }

    fn run(&self, options: &Options) -> Result<()> {
        for folder in [&self.found, &self.broken, &self.committed] {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        shell::check(Command::new(self.seeds).arg(self.name).arg(&self.found))?;
        println!("fuzz: {} for {} s", self.name, options.seconds);
        let mut fuzzer = Command::new(self.program);
        fuzzer.args([&self.found, &self.committed]);
        fuzzer.args([&self.longest, "-timeout=10", "-print_final_stats=1", "-verbosity=0"]);
        fuzzer.arg(format!("-max_total_time={}", options.seconds));
        fuzzer.arg(format!("-artifact_prefix={}/", self.broken.display()));
        self.logged(&mut fuzzer)?;
        if options.update { self.update() } else { Ok(()) }
    }

    /// Runs a fuzzer, whose own words are many: they go to a file, and of them its figures or its end are shown.
    fn logged(&self, fuzzer: &mut Command) -> Result<()> {
        let log = self.found.with_file_name("log");
        let file = fs::File::create(&log).with_context(|| log.display().to_string())?;
        let status = fuzzer.stderr(file).status().with_context(|| self.program.display().to_string())?;
        let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        if status.success() {
            text.lines().filter(|line| line.starts_with("stat::")).for_each(|line| println!("{line}"));
            return Ok(());
        }
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(SHOWN)).for_each(|line| eprintln!("{line}"));
        let (log, broken) = (log.display(), self.broken.display());
        bail!("the fuzzer {} ended with {status}: its words are in {log}, the input in {broken}", self.name)
    }

    /// Replaces the committed inputs by as few as reach everything that those and the found ones do.
    fn update(&self) -> Result<()> {
        let fewest = self.found.with_file_name("fewest");
        if fewest.exists() {
            fs::remove_dir_all(&fewest)?;
        }
        fs::create_dir_all(&fewest)?;
        let mut merge = Command::new(self.program);
        // Without counters, going round a loop once more is nothing new.
        merge.args(["-set_cover_merge=1", "-use_counters=0", "-verbosity=0", &self.longest]);
        self.logged(merge.args([&fewest, &self.found, &self.committed]))?;
        let inputs = files(&fewest)?;
        ensure!(!inputs.is_empty(), "the fuzzer left no input in {}", fewest.display());
        for old in files(&self.committed)? {
            fs::remove_file(old)?;
        }
        let mut octets = 0;
        for input in &inputs {
            octets +=
                fs::copy(input, self.committed.join(input.file_name().context("a file without a name")?))?;
        }
        println!("fuzz: {} inputs of {octets} octets in {}", inputs.len(), self.committed.display());
        Ok(())
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}
