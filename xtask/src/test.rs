//! `cargo xtask test`: formats, lints and every test, first without root, then with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::tally::Tally;
use crate::{build, coverage, lanes, ledger, mutants, setup, shell, sudo, tidy};

/// Crates without which the core must build.
const NOT_IN_CORE: [&str; 5] = ["aya", "tokio", "mio", "flowxdp-ebpf", "libbpf"];

/// The step that needs a component of the compiler, as the summary names it.
const COVERAGE: &str = "corpus coverage";

/// The part that needs root, as the summary names it.
const AS_ROOT: [&str; 5] = ["agent", "kernel and judges", "demo", "soak", "mutants"];

/// A kernel that tests are run on in a VM: how the summary names it, and the arguments of `cargo xtask vm`.
type Vm = (&'static str, &'static [&'static str]);

/// Every time: the oldest kernel and a newer one, with a choice of tests.
const VMS: [Vm; 2] =
    [("VM 6.1", &["--kernel", "6.1", "--short"]), ("VM 6.12", &["--kernel", "6.12", "--short"])];

/// With `--all`: every test in which the kernel has a part, from the oldest kernel to the newest that Debian has, real-time ones
/// too; a kernel that refuses the usual way to wait for a grace period; and those that the agent refuses.
const ALL_VMS: [Vm; 8] = [
    ("VM 6.1", &["--kernel", "6.1"]),
    ("VM 6.1 real-time", &["--kernel", "6.1-rt"]),
    ("VM 6.12", &["--kernel", "6.12"]),
    ("VM 6.12 real-time", &["--kernel", "6.12-rt"]),
    ("VM newest", &["--kernel", "newest"]),
    ("VM 6.12 nohz_full", &["--kernel", "6.12", "--short", "--append", "nohz_full=1"]),
    ("VM 5.10, refused", &["--kernel", "5.10"]),
    ("VM 7.2-rt, refused", &["--kernel", "7.2-rt"]),
];

/// A minute of the soak, the same each time.
const SOAK: [&str; 4] = ["--seconds", "60", "--seed", "1"];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only the steps that need no root
    #[arg(long)]
    no_root: bool,
    /// A folder of further captures with their ground truth, beside the project's own
    #[arg(long, value_name = "DIR")]
    captures: Vec<PathBuf>,
    /// Every kernel that is tested in a VM, with every test in which the kernel has a part: some hours
    #[arg(long, conflicts_with = "no_root")]
    all: bool,
    /// Without VMs
    #[arg(long, conflicts_with = "all")]
    no_vm: bool,
}

impl Options {
    fn vms(&self) -> &'static [Vm] {
        if self.all { &ALL_VMS } else { &VMS }
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let captures = options.captures.iter().map(|folder| absolute(folder)).collect::<Result<Vec<_>>>()?;
    setup::toolchain()?;
    let vms = options.vms();
    let further = if options.no_vm { 0 } else { vms.len() };
    let mut tally = Tally::new(if options.no_root { 7 } else { 12 + further });
    without_root(&mut tally, &captures);
    if options.no_root {
        let names = vms.iter().map(|(name, _)| name);
        AS_ROOT.iter().chain(names).for_each(|step| tally.leave_out(step, "--no-root"));
        if !captures.is_empty() {
            tally.leave_out("captures", "--no-root: they are replayed through the kernel");
        }
    } else {
        as_root(&mut tally, &captures);
        if options.no_vm {
            vms.iter().for_each(|(name, _)| tally.leave_out(name, "--no-vm"));
        } else {
            in_vms(&mut tally, vms)?;
        }
    }
    tally.close()
}

fn absolute(folder: &Path) -> Result<PathBuf> {
    let wrong = || format!("no folder of captures at {}: give --captures one that exists", folder.display());
    let full = folder.canonicalize().with_context(wrong)?;
    ensure!(full.is_dir(), wrong());
    Ok(full)
}

fn without_root(tally: &mut Tally, captures: &[PathBuf]) {
    tally.check("formats", || {
        let mut fmt = shell::cargo(&["fmt", "--all", "--check"]);
        shell::check(&mut fmt).context("run `cargo fmt --all`")
    });
    tally.check("lints", || {
        let mut clippy = shell::cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--quiet"]);
        clippy.args(["--features", "flowxdp-tests/vm", "--", "-D", "warnings"]);
        shell::check(&mut clippy)
    });
    tally.check("core by itself", core_by_itself);
    tally.check("tidy", tidy::run);
    tally.check("ledger", || ledger::run(true));
    tally.tests("tests without root", |count| {
        let mut cargo = shell::cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
        count.run(cargo.env("FLOWXDP_CAPTURES", join(captures, ":")))
    });
    match setup::llvm_tools() {
        Ok(_) => tally.check(COVERAGE, coverage::run),
        Err(error) => tally.leave_out(COVERAGE, &format!("{error:#}")),
    }
}

/// The core depends on no kernel, no runtime and no eBPF linker.
fn core_by_itself() -> Result<()> {
    let mut tree = shell::cargo(&["tree", "--package", "flowxdp-core", "--locked", "--prefix", "none"]);
    tree.args(["--edges", "all", "--target", "all"]);
    let crates = shell::text(&mut tree)?;
    for line in crates.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        if NOT_IN_CORE.iter().any(|banned| name == *banned || name.starts_with(&format!("{banned}-"))) {
            bail!("flowxdp-core depends on {name}: see `cargo tree --package flowxdp-core --invert {name}`");
        }
    }
    Ok(())
}

fn as_root(tally: &mut Tally, captures: &[PathBuf]) {
    let [agent, kernel, demo, soak, mutants] = AS_ROOT;
    let mut built = None;
    tally.check(agent, || {
        setup::packages(setup::JUDGES)?;
        built = Some(build::agent()?);
        Ok(())
    });
    let Some(path) = built else {
        tally.leave_out(kernel, "there is no agent to test");
        tally.leave_out(demo, "there is no agent to show");
        tally.leave_out(soak, "there is no agent to soak");
        tally.leave_out(mutants, "the agent does not build");
        return;
    };
    tally.say(match captures {
        [] => "captures: the project's own".into(),
        more => format!("captures: the project's own, and {}", join(more, ", ")),
    });
    tally.tests(kernel, |count| lanes::run(count, &path, &join(captures, ":")));
    tally.check(demo, || {
        let xtask = std::env::current_exe().context("cannot tell where xtask itself is")?;
        let mut command =
            sudo::command(xtask, "the demo makes network namespaces and loads an XDP program", &[])?;
        shell::check(command.args(["demo", "--inside"]).arg(&path))
    });
    tally.check(soak, || shell::check(crate::soak::command(&path)?.args(SOAK)));
    tally.tests(mutants, mutants::in_gate);
}

/// This program again for each VM, so that its children end with it. No root is needed. An emulated machine keeps one
/// CPU busy, so two run at a time.
fn in_vms(tally: &mut Tally, vms: &[Vm]) -> Result<()> {
    let xtask = std::env::current_exe().context("cannot tell where xtask itself is")?;
    let command = |arguments: &[&str]| {
        let mut command = Command::new(&xtask);
        command.arg("vm").args(arguments);
        command
    };
    tally.side_by_side(vms.iter().map(|(name, arguments)| (*name, command(arguments))).collect());
    Ok(())
}

fn join(folders: &[PathBuf], between: &str) -> String {
    folders.iter().map(|folder| folder.to_string_lossy()).collect::<Vec<_>>().join(between)
}
