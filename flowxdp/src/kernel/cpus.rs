//! CPUs: how many there can be, how many there are, and whether one can be preempted within XDP.

use anyhow::Context;
use rustix::system::uname;

/// CPUs that this machine can ever have: the elements of arrays that are indexed by CPU.
///
/// # Errors
///
/// The kernel's list cannot be read.
pub fn possible() -> anyhow::Result<u32> {
    let cpus =
        aya::util::nr_cpus().map_err(|(path, error)| anyhow::Error::new(error).context(path.to_string()))?;
    u32::try_from(cpus).context("number of CPUs")
}

/// CPUs that are online.
///
/// # Errors
///
/// The kernel's list cannot be read.
pub fn online() -> anyhow::Result<u32> {
    let cpus = aya::util::online_cpus()
        .map_err(|(path, error)| anyhow::Error::new(error).context(path.to_string()))?;
    u32::try_from(cpus.len()).context("number of CPUs")
}

/// Whether the kernel is PREEMPT_RT. The file in sysfs is gone from newer ones, the version's text is not.
pub fn is_realtime() -> bool {
    uname().version().to_string_lossy().contains("PREEMPT_RT")
}

/// Whether one interface's XDP may preempt another's on the same CPU: real-time kernels that dropped the
/// lock around bottom halves. They are the ones that lack the file in sysfs as well.
pub fn may_preempt_xdp() -> bool {
    is_realtime() && !std::path::Path::new("/sys/kernel/realtime").exists()
}
