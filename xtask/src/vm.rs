//! `cargo xtask vm`: boots Debian's own kernels under qemu and runs the built agent, its tests or a command inside.
//!
//! No root and no hardware virtualisation are needed; with them, NICs have several queues and it is faster.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::{build, setup, shell, stop, sudo};

mod archive;
mod cable;
mod debian;
mod kernels;
mod machine;
mod modules;
mod tests;

use archive::Archive;
use cable::Cable;
use debian::Image;
use kernels::Kernel;
use machine::Machine;
use tests::{Choice, Tests};

/// Programs that every VM has, beside the agent.
const PROGRAMS: [&str; 9] =
    ["busybox", "chrt", "ip", "ethtool", "nsenter", "prlimit", "setpriv", "tc", "unshare"];
/// How folders for one boot are named.
const WORK: &str = "boot-";
const ACCOUNTS: &str = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";

/// The content of a VM beside the tests.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Show {
    /// The same as `cargo xtask demo`, without root on this machine
    Demo,
}

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Instead of the tests
    #[arg(conflicts_with_all = ["only", "short", "command"])]
    show: Option<Show>,
    /// Kernels to boot, one after another: 6.1, 6.1-rt, 6.12, 6.12-rt, 5.10, 7.2, 7.2-rt or newest
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = "6.12")]
    kernel: Vec<String>,
    /// Memory of the VM, MiB
    #[arg(long, value_name = "MIB", default_value = "2048")]
    memory: u32,
    /// CPUs of the VM
    #[arg(long, value_name = "N", default_value = "4")]
    cpus: u32,
    /// Further parameters of the kernel
    #[arg(long, value_name = "PARAMETERS", default_value = "")]
    append: String,
    /// How long each VM may take, seconds
    #[arg(long, value_name = "N", default_value = "5400")]
    limit: u64,
    /// Only tests whose paths, MODULE::NAME, begin so
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Only the tests that `cargo xtask test` runs in a VM
    #[arg(long, conflicts_with = "only")]
    short: bool,
    /// The command to run inside, with its arguments, instead of the tests
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// The job that runs inside.
enum Job {
    Demo,
    Tests(Tests),
    Command(Vec<String>),
}

pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(cfg!(target_arch = "x86_64"), "the VMs boot kernels for x86_64, and this machine is another");
    let kernels = options.kernel.iter().map(|name| kernels::find(name)).collect::<Result<Vec<_>>>()?;
    let store = store()?;
    let alone = alone(&store)?;
    setup::toolchain()?;
    setup::packages(setup::VM)?;
    let agent = build::agent()?;
    stop::listen()?;
    let cable = if sudo::is_root() { Some(Cable::new()?) } else { None };
    if cable.is_none() {
        println!("vm: without root there is no NIC with several queues");
    }
    let job = match options.command.as_slice() {
        [] if options.show.is_some() => Job::Demo,
        [] => {
            let choice = match options.only.as_slice() {
                [] if options.short => Choice::Short,
                [] => Choice::All,
                starts => Choice::Only(starts),
            };
            Job::Tests(Tests::build(&choice, cable.is_some())?)
        }
        words => Job::Command(words.to_vec()),
    };
    let images = kernels.iter().map(|kernel| debian::image(kernel, &store)).collect::<Result<Vec<_>>>()?;
    drop(alone);
    let mut failed = Vec::new();
    for (kernel, image) in kernels.into_iter().zip(images) {
        if kernel.refused && matches!(job, Job::Tests(_)) {
            println!("vm: {}: all that there is to test is that the agent refuses this kernel", kernel.name);
        }
        let status = boot(options, kernel, &image, &agent, &job, &store, cable.as_ref());
        match status {
            Ok(0) => println!("vm: {}: done", kernel.name),
            Ok(status) => failed.push(format!("{} (status {status})", kernel.name)),
            Err(error) => {
                stop::check()?;
                failed.push(format!("{} ({error:#})", kernel.name));
            }
        }
    }
    if !failed.is_empty() {
        bail!("failed in the VM with kernel {}", failed.join(", "));
    }
    Ok(())
}

/// Holds other runs back while this one installs packages, builds and fetches kernels; boots may run side by side.
fn alone(store: &Path) -> Result<File> {
    let path = store.join("lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// The folder that keeps kernels from one run to the next: below cargo's target folder.
fn store() -> Result<PathBuf> {
    let xtask = std::env::current_exe().context("cannot tell where xtask itself is")?;
    let store = xtask.ancestors().nth(2).context("xtask lies in no target folder")?.join("vm");
    std::fs::create_dir_all(&store).with_context(|| store.display().to_string())?;
    // Files of a killed run: every VM of it has ended long before.
    for entry in std::fs::read_dir(&store)?.flatten() {
        let old =
            entry.metadata()?.modified()?.elapsed().is_ok_and(|age| age > Duration::from_secs(24 * 3600));
        if old && entry.file_name().to_string_lossy().starts_with(WORK) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(store)
}

fn boot(
    options: &Options,
    kernel: &Kernel,
    image: &Image,
    agent: &Path,
    job: &Job,
    store: &Path,
    cable: Option<&Cable>,
) -> Result<u8> {
    let work = tempfile::Builder::new().prefix(WORK).tempdir_in(store)?;
    let archive = work.path().join("archive");
    pack(job, kernel, image, agent, &archive)?;
    let machine = Machine {
        vmlinuz: &image.vmlinuz,
        archive: &archive,
        status: work.path().join("status"),
        cpus: options.cpus,
        memory: options.memory,
        append: &options.append,
        limit: Duration::from_secs(options.limit),
        cable,
    };
    println!("vm: booting {} by {}", image.version, if machine::has_kvm() { "kvm" } else { "emulation" });
    machine.run()
}

/// Writes the archive.
fn pack(job: &Job, kernel: &Kernel, image: &Image, agent: &Path, file: &Path) -> Result<()> {
    let mut archive = Archive::create(file)?;
    archive.text("/init", 0o755, include_str!("vm/init.sh"))?;
    archive.text("/etc/passwd", 0o644, ACCOUNTS)?;
    archive.text("/etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n")?;
    archive.text("/etc/hosts", 0o644, "127.0.0.1 localhost vm\n::1 localhost\n")?;
    // busybox's shell prefers its own programs to real ones of the same name; this one does not.
    let dash = shell::find("dash").context("there is no dash")?;
    archive.program(&dash, Path::new("/usr/bin/sh"))?;
    for program in PROGRAMS {
        archive.named(program)?;
    }
    archive.program(agent, Path::new("/usr/bin/flowxdp"))?;
    for entry in std::fs::read_dir(&image.modules)? {
        let entry = entry?;
        archive.copy(&entry.path(), &Path::new("/lib/modules").join(entry.file_name()), 0o644)?;
    }
    match job {
        Job::Demo => demo(&mut archive)?,
        Job::Tests(tests) => {
            tests.pack(&mut archive, file.parent().context("no folder")?, kernel.refused)?;
        }
        Job::Command(words) => command(words, &mut archive)?,
    }
    archive.close()
}

/// The demo is this very program, and there it is root.
fn demo(archive: &mut Archive) -> Result<()> {
    let xtask = std::env::current_exe().context("cannot tell where xtask itself is")?;
    archive.program(&xtask, Path::new("/usr/bin/xtask"))?;
    archive.text("/job", 0o755, "#!/bin/sh\nexec xtask demo --inside /usr/bin/flowxdp\n")
}

/// A command of the caller's, and its program.
fn command(words: &[String], archive: &mut Archive) -> Result<()> {
    let (program, _) = words.split_first().context("no command")?;
    if program.contains('/') {
        let path = Path::new(program).canonicalize().with_context(|| program.clone())?;
        archive.program(&path, &path)?;
    } else if shell::find(program).is_some() && program != "flowxdp" && program != "sh" {
        archive.named(program)?;
    }
    archive.text("/job", 0o755, &format!("#!/bin/sh\nexec {}\n", quoted(words)))
}

/// Words as a shell reads them back.
fn quoted(words: &[String]) -> String {
    let quote = |word: &String| format!("'{}'", word.replace('\'', r"'\''"));
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}
