//! qemu: a kernel, its archive and NICs, a time limit, and the status that the VM itself reports.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::cable::Cable;
use crate::stop;

/// Parameters for a faster boot; none touches the tested code.
const APPEND: &str = "console=ttyS0 panic=-1 oops=panic quiet mitigations=off nokaslr no_timer_check \
    tsc=reliable cryptomgr.notests";

/// The kernel to boot, and the machine's devices.
pub(crate) struct Machine<'a> {
    pub(crate) vmlinuz: &'a Path,
    pub(crate) archive: &'a Path,
    /// Where the status goes.
    pub(crate) status: PathBuf,
    pub(crate) cpus: u32,
    /// MiB.
    pub(crate) memory: u32,
    /// Further kernel parameters.
    pub(crate) append: &'a str,
    pub(crate) limit: Duration,
    pub(crate) cable: Option<&'a Cable>,
}

impl Machine<'_> {
    /// Boots, shows the console and waits for the end; gives the status of the job inside.
    pub(crate) fn run(&self) -> Result<u8> {
        fs::write(&self.status, "")?;
        let mut command = self.command();
        let mut guard = match self.cable {
            Some(cable) => cable.inside(move || Guard::start(&mut command))?,
            None => Guard::start(&mut command)?,
        };
        let ended = guard.wait(self.limit)?;
        ensure!(ended.success(), "qemu failed ({ended})");
        let text = fs::read_to_string(&self.status).context("the status of the VM")?;
        let status = text.lines().find_map(|line| line.trim().strip_prefix("status "));
        let status = status.context("the VM ended without a status: its kernel broke, or never came up")?;
        status.parse().with_context(|| format!("a status that is no number: {status}"))
    }

    fn command(&self) -> Command {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35"]);
        // One thread for all emulated CPUs: with a thread for each, qemu may run an instruction that another
        // CPU's kernel has just replaced, and that kernel then breaks while it patches its own code.
        let accelerator = if has_kvm() {
            ["-accel", "kvm", "-cpu", "host"]
        } else {
            ["-accel", "tcg,thread=single", "-cpu", "max"]
        };
        qemu.args(accelerator);
        qemu.args(["-smp", &self.cpus.to_string(), "-m", &self.memory.to_string()]);
        qemu.arg("-kernel").arg(self.vmlinuz).arg("-initrd").arg(self.archive);
        qemu.args(["-append", &format!("{APPEND} {}", self.append)]);
        qemu.args(["-serial", "stdio", "-serial", &format!("file:{}", self.status.display())]);
        // Two NICs on one hub inside qemu: each receives the frames of the other.
        for number in 0..2 {
            qemu.args(["-netdev", &format!("hubport,id=hub{number},hubid=0"), "-device"]);
            qemu.arg(format!("virtio-net-pci,netdev=hub{number},mac=52:54:00:00:00:0{number},romfile="));
        }
        if self.cable.is_some() {
            qemu.args(Cable::nics());
        }
        qemu
    }
}

/// Whether the CPU's own virtualisation can be used. That /dev/kvm is there says nothing: there are
/// hypervisors on which it is and no kernel boots, and then none of these two modules is loaded.
pub(crate) fn has_kvm() -> bool {
    let module = |name: &str| Path::new("/sys/module").join(name).is_dir();
    (module("kvm_intel") || module("kvm_amd"))
        && fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok()
}

/// A running qemu; dropped, it is killed.
struct Guard(Child);

impl Guard {
    fn start(command: &mut Command) -> Result<Self> {
        // Its own group: ^C reaches xtask alone, which then ends it.
        command.stdin(Stdio::null()).process_group(0);
        let follow = || Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?);
        // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
        unsafe { command.pre_exec(follow) };
        Ok(Self(command.spawn().context("cannot start qemu-system-x86_64")?))
    }

    fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > end {
                bail!("the VM had not ended after {} s", limit.as_secs());
            }
            stop::sleep(Duration::from_millis(50))?;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}
