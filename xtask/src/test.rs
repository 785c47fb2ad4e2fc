//! `cargo xtask test`: formats, lints and every test, first what needs no root, then what does.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::{build, ledger, setup, shell, sudo};

mod tally;

use tally::Tally;

/// What the core must build without.
const NOT_IN_CORE: [&str; 5] = ["aya", "tokio", "mio", "flowxdp-ebpf", "libbpf"];

/// The part that needs root, as the summary names it.
const AS_ROOT: [&str; 3] = ["agent", "kernel and judges", "demo"];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only what needs no root
    #[arg(long)]
    no_root: bool,
    /// A folder of further captures with their ground truth, beside the project's own
    #[arg(long, value_name = "DIR")]
    captures: Vec<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let captures = options.captures.iter().map(|folder| absolute(folder)).collect::<Result<Vec<_>>>()?;
    setup::toolchain()?;
    let mut tally = Tally::new(if options.no_root { 5 } else { 8 });
    without_root(&mut tally, &captures);
    if options.no_root {
        AS_ROOT.iter().for_each(|step| tally.leave_out(step, "--no-root"));
        if !captures.is_empty() {
            tally.leave_out("captures", "--no-root: they are replayed through the kernel");
        }
    } else {
        as_root(&mut tally, &captures);
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
        clippy.args(["--features", "flowxdp-tests/kernel", "--", "-D", "warnings"]);
        shell::check(&mut clippy)
    });
    tally.check("core by itself", core_by_itself);
    tally.check("ledger", || ledger::run(true));
    tally.tests("tests without root", |count| {
        let mut cargo = shell::cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
        count.run(cargo.env("FLOWXDP_CAPTURES", join(captures, ":")))
    });
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
    let [agent, kernel, demo] = AS_ROOT;
    let mut built = None;
    tally.check(agent, || {
        setup::packages(setup::JUDGES)?;
        built = Some(build::agent()?);
        Ok(())
    });
    let Some(path) = built else {
        tally.leave_out(kernel, "there is no agent to test");
        tally.leave_out(demo, "there is no agent to show");
        return;
    };
    tally.say(match captures {
        [] => "captures: the project's own".into(),
        more => format!("captures: the project's own, and {}", join(more, ", ")),
    });
    tally.tests(kernel, |count| kernel_tests(count, &path, captures));
    tally.check(demo, || {
        let xtask = std::env::current_exe().context("cannot tell where xtask itself is")?;
        let mut command =
            sudo::command(xtask, "the demo makes network namespaces and loads an XDP program", &[])?;
        shell::check(command.args(["demo", "--inside"]).arg(&path))
    });
}

/// Builds the tests as whoever calls, and runs them as root.
fn kernel_tests(count: &mut tally::Count, agent: &Path, captures: &[PathBuf]) -> Result<()> {
    let mut cargo = shell::cargo(&["test", "--package", "flowxdp-tests", "--features", "kernel", "--locked"]);
    let built = build::executables(cargo.arg("--no-run"))?;
    // Those named core_ need no root and have run.
    for test in built.iter().filter(|test| test.is_test && !test.name.starts_with("core_")) {
        println!("\n     Running {} as root", test.name);
        let environment = [
            ("CARGO_MANIFEST_DIR", test.package.clone().into_os_string()),
            ("FLOWXDP_BIN", agent.as_os_str().to_owned()),
            ("FLOWXDP_CAPTURES", join(captures, ":").into()),
        ];
        let why = format!("the tests {} load XDP programs and make network namespaces", test.name);
        let mut command = sudo::command(&test.path, &why, &environment)?;
        command.arg("--test-threads=1").current_dir(&test.package);
        // One that fails must not hide what the next would say.
        if let Err(error) = count.run(&mut command) {
            eprintln!("xtask: {error:#}");
        }
    }
    Ok(())
}

fn join(folders: &[PathBuf], between: &str) -> String {
    folders.iter().map(|folder| folder.to_string_lossy()).collect::<Vec<_>>().join(between)
}
