//! The project's jobs, as `cargo xtask JOB`. This file only dispatches: each job has a file of its own.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod build;
mod ceilings;
mod compare;
mod coverage;
mod demo;
mod fuzz;
mod lanes;
mod ledger;
mod mutants;
mod netns;
mod process;
mod registry;
mod run;
mod setup;
mod shell;
mod soak;
mod source;
mod stop;
mod sudo;
mod suite;
mod tally;
mod test;
mod tidy;
mod touched;
mod vm;

/// Jobs of the FlowXDP project. Each installs the programs that it lacks, and says so.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// Install the parts that the build of the agent lacks: compiler components and bpf-linker
    Setup,
    /// Build the release agent
    Build,
    /// Build the agent and run it with the given arguments
    Run {
        /// Arguments of flowxdp
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Show the agent on a small network in namespaces: its flows, and its books beside the kernel's counters
    Demo {
        /// The part that needs root, with the agent that was built
        #[arg(long, hide = true, value_name = "AGENT")]
        inside: Option<PathBuf>,
    },
    /// Formats, lints and every test; tests that need root come last
    Test(test::Options),
    /// Boot kernels of others in virtual machines, and run the kernel tests or a command there
    Vm(vm::Options),
    /// Measure nanoseconds per packet of the XDP program, or with `-- live`, `drain`, `export`, `gateway`,
    /// `agent` the part of that name, `all` all parts
    Bench {
        /// Arguments of the benchmark: `--help` shows them, `live --help` those of one part
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The benchmark of this tree and that of an earlier commit, in turns: their medians side by side
    Compare(compare::Options),
    /// An agent under random events; the books must balance all the time
    Soak {
        /// Arguments of the soak: `--seconds N`, `--seed S`, `--calm`, `--step-clock`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the coverage-guided fuzzers of the parser, the capture reader and the spool
    Fuzz(fuzz::Options),
    /// Show each rule of the RFCs beside the tests that prove it; fails when one has neither test nor reason
    Ledger {
        /// Only the open rules, and the counts
        #[arg(long)]
        brief: bool,
    },
    /// Take each rule of tests/mutants out of a copy of the sources, and see its test fail
    Mutants(mutants::Options),
    /// Measure the part of the code behind each fuzzer that the committed corpus does not reach
    Coverage,
    /// Count the product files that commits touch, tests, golden files and manual apart
    Touched(touched::Options),
    /// Check the rules of the house that no compiler holds: lengths, unsafe code, circles, flags, comments
    Tidy,
    /// Write the core's table of information elements from IANA's registry
    Registry {
        /// IANA's iana_ipfix_information_elements.xml
        xml: PathBuf,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().job {
        Job::Setup => setup::toolchain(),
        Job::Build => build::run(),
        Job::Run { arguments } => run::run(&arguments),
        Job::Demo { inside: None } => demo::run(),
        Job::Demo { inside: Some(agent) } => demo::inside(&agent),
        Job::Test(options) => test::run(&options),
        Job::Vm(options) => vm::run(&options),
        Job::Bench { arguments } => bench::run(&arguments),
        Job::Compare(options) => compare::run(&options),
        Job::Soak { arguments } => soak::run(&arguments),
        Job::Fuzz(options) => fuzz::run(&options),
        Job::Ledger { brief } => ledger::run(brief),
        Job::Mutants(options) => mutants::run(&options),
        Job::Coverage => coverage::run(),
        Job::Touched(options) => touched::run(&options),
        Job::Tidy => tidy::run(),
        Job::Registry { xml } => registry::run(&xml),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(stop::report(&error)),
    }
}
