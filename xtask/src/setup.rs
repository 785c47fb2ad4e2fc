//! Finds the programs that a job needs and this machine lacks, installs them and says so.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, anyhow, bail};

use crate::{shell, sudo};

/// The linker of eBPF objects. 0.10 is the series whose LLVM is that of the pinned compiler.
const LINKER: &str = "0.10.3";
const LINKER_SERIES: &str = "0.10.";

/// A program, and the Debian package that has it.
pub(crate) type Package = (&'static str, &'static str);

/// For the namespaces of the demo.
pub(crate) const DEMO: &[Package] = &[("ip", "iproute2")];

/// For the tests that need root: namespaces, traffic, and the collectors that judge.
pub(crate) const JUDGES: &[Package] = &[
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("mount", "mount"),
    ("nfcapd", "nfdump"),
    ("nfdump", "nfdump"),
    ("nfacctd", "pmacct"),
    ("openssl", "openssl"),
    ("socat", "socat"),
    ("softflowd", "softflowd"),
    ("systemd-analyze", "systemd"),
    ("taskset", "util-linux"),
    ("tc", "iproute2"),
    ("tcpdump", "tcpdump"),
    ("tcpreplay", "tcpreplay"),
    ("tshark", "tshark"),
    ("zstd", "zstd"),
];

/// For the benchmark of a live path.
pub(crate) const LIVE: &[Package] =
    &[("ip", "iproute2"), ("ethtool", "ethtool"), ("setpriv", "util-linux"), ("unshare", "util-linux")];

/// For the virtual machines: qemu, the unpackers of kernels, and programs for the machine.
pub(crate) const VM: &[Package] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("dash", "dash"),
    ("chrt", "util-linux"),
    ("depmod", "kmod"),
    ("ethtool", "ethtool"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("prlimit", "util-linux"),
    ("setpriv", "util-linux"),
    ("strip", "binutils"),
    ("tc", "iproute2"),
    ("unshare", "util-linux"),
    ("xz", "xz-utils"),
];

/// For the benchmarks of export and of a live path: the programs compared, and those that count.
pub(crate) const PEERS: &[Package] = &[
    ("nfpcapd", "nfdump"),
    ("nfcapd", "nfdump"),
    ("nfdump", "nfdump"),
    ("pmacctd", "pmacct"),
    ("softflowd", "softflowd"),
];

/// The pinned compiler's components and the eBPF linker.
pub(crate) fn toolchain() -> Result<()> {
    let sysroot = shell::text(Command::new("rustc").args(["--print", "sysroot"]).current_dir(shell::root()))?;
    let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core");
    let mut missing = Vec::new();
    if !source.is_dir() {
        missing.push("rust-src");
    }
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !shell::succeeds(&mut shell::cargo(&[tool, "--version"])) {
            missing.push(component);
        }
    }
    if !missing.is_empty() {
        println!("setup: installing the compiler's components {}", missing.join(", "));
        let mut command = Command::new("rustup");
        command.args(["component", "add"]).args(&missing).current_dir(shell::root());
        by_hand(&mut command)?;
    }
    linker()
}

/// The folder of llvm-cov and llvm-profdata of the pinned compiler, whose format no other version reads.
///
/// # Errors
///
/// The component is missing and rustup cannot add it.
pub(crate) fn llvm_tools() -> Result<PathBuf> {
    let rustc = |what| shell::text(Command::new("rustc").args(["--print", what]).current_dir(shell::root()));
    let (sysroot, host) = (rustc("sysroot")?, rustc("host-tuple")?);
    let folder = Path::new(sysroot.trim()).join("lib/rustlib").join(host.trim()).join("bin");
    if !folder.join("llvm-cov").is_file() {
        println!("setup: installing the compiler's component llvm-tools");
        let mut command = Command::new("rustup");
        by_hand(command.args(["component", "add", "llvm-tools"]).current_dir(shell::root()))?;
    }
    Ok(folder)
}

fn linker() -> Result<()> {
    let found =
        Command::new("bpf-linker").arg("--version").output().ok().filter(|output| output.status.success());
    let version = found.as_ref().map(|output| String::from_utf8_lossy(&output.stdout));
    let version = version.as_deref().and_then(|text| text.split_whitespace().nth(1));
    let mut install = shell::cargo(&["install", "bpf-linker", "--version", LINKER, "--locked"]);
    match version {
        Some(version) if version.starts_with(LINKER_SERIES) => Ok(()),
        // Not ours to replace: another project on this machine may need it.
        Some(version) => bail!(
            "bpf-linker {version} is installed and the pinned compiler needs {LINKER_SERIES}x: run `{}`",
            shell::show(&install)
        ),
        None => {
            println!("setup: installing bpf-linker {LINKER}, which takes a few minutes");
            by_hand(&mut install)
        }
    }
}

/// The Debian packages of the programs that are not there.
pub(crate) fn packages(wanted: &[Package]) -> Result<()> {
    let absent = |wanted: &[Package]| -> Vec<Package> {
        wanted.iter().copied().filter(|(program, _)| shell::find(program).is_none()).collect()
    };
    let missing = absent(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    if shell::find("apt-get").is_none() {
        bail!(
            "these programs are missing, and this is no Debian to install them on: {}",
            programs.join(", ")
        );
    }
    let mut names: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    names.sort_unstable();
    names.dedup();
    println!("setup: installing the Debian packages {}", names.join(", "));
    let stale = !have_lists();
    if stale {
        apt_get(&["update"])?;
    }
    let install: Vec<&str> =
        ["install", "--yes", "--no-install-recommends"].into_iter().chain(names).collect();
    if let Err(error) = apt_get(&install) {
        if stale {
            return Err(error);
        }
        // Old lists name packages that the archive has replaced since.
        apt_get(&["update"])?;
        apt_get(&install)?;
    }
    match absent(wanted).first() {
        None => Ok(()),
        Some((program, package)) => bail!("package {package} is installed and has no program {program}"),
    }
}

/// Whether `apt-get update` ever ran here.
fn have_lists() -> bool {
    std::fs::read_dir("/var/lib/apt/lists").is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    })
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let noninteractive = [("DEBIAN_FRONTEND", "noninteractive".into())];
    let mut command = sudo::command("apt-get", &format!("apt-get {}", arguments.join(" ")), &noninteractive)?;
    command.args(["-qq", "--option", "Dpkg::Use-Pty=0"]).args(arguments).stdin(std::process::Stdio::null());
    by_hand(&mut command)
}

/// Runs a command. A failed command has printed why; the error names the command to run by hand.
fn by_hand(command: &mut Command) -> Result<()> {
    shell::check(command).map_err(|_| anyhow!("cannot install; run by hand: {}", shell::show(command)))
}
