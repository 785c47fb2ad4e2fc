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

/// Partitions for so many CPUs that receive, and some to spare for CPUs that begin to later: one for four, as
/// far as there can be CPUs. All are cut from the same table, so each spare one makes the others smaller.
///
/// # Errors
///
/// The kernel's list cannot be read.
pub fn with_spare(receiving: u32) -> anyhow::Result<u32> {
    Ok(spare(receiving, possible()?))
}

fn spare(receiving: u32, possible: u32) -> u32 {
    receiving.saturating_add(receiving / 4).min(possible.max(receiving))
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

#[cfg(test)]
mod tests {
    use super::spare;

    #[test]
    fn one_partition_in_five_is_spare_where_there_can_be_more_cpus() {
        let spares =
            [(1, 8), (3, 8), (4, 8), (8, 64), (8, 9), (8, 8)].map(|(cpus, all)| spare(cpus, all) - cpus);
        assert_eq!(spares, [0, 0, 1, 2, 1, 0]);
        assert_eq!(spare(4, 2), 4);
    }
}
