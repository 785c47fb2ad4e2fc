//! Conditions for loading a program, each with its remedy.

use anyhow::{Context, bail, ensure};
use flowxdp_common::slot::{SlotV4, SlotV6, SpillSlot};
use rustix::thread::{CapabilitySet, capabilities};

use super::{cpus, load::TableSize};

/// The oldest kernel that this program was made for.
const OLDEST: (u32, u32) = (6, 1);

/// The first kernel with tcx.
const TCX: (u32, u32) = (6, 6);

/// Checks kernel and privileges.
///
/// # Errors
///
/// One line that names the missing condition and the remedy.
pub fn kernel_and_privileges() -> anyhow::Result<()> {
    let uname = rustix::system::uname();
    kernel_version(&uname.release().to_string_lossy())?;
    ensure!(
        !cpus::may_preempt_xdp(),
        "kernel {}: a real-time kernel on which one interface's XDP may interrupt another's on the same CPU \
         cannot count exactly; boot a kernel without PREEMPT_RT, or a real-time one up to 6.12",
        uname.release().to_string_lossy()
    );
    let effective = capabilities(None).context("cannot read this process's capabilities")?.effective;
    let whole = CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN;
    let parts = CapabilitySet::BPF | CapabilitySet::PERFMON | CapabilitySet::NET_ADMIN;
    ensure!(
        effective.contains(whole) || effective.contains(parts),
        "no privilege to load and attach XDP programs: run as root (sudo), or with CAP_BPF, CAP_PERFMON and \
         CAP_NET_ADMIN"
    );
    Ok(())
}

/// Checks that other programs can be found by their ids.
///
/// # Errors
///
/// One line that names the missing condition and the remedy.
pub fn finding_others() -> anyhow::Result<()> {
    let effective = capabilities(None).context("cannot read this process's capabilities")?.effective;
    ensure!(
        effective.contains(CapabilitySet::SYS_ADMIN),
        "no privilege to find other XDP programs: that needs CAP_SYS_ADMIN; run as root (sudo)"
    );
    Ok(())
}

/// Whether the kernel has tcx links for classifiers.
pub fn has_tcx() -> bool {
    version(&rustix::system::uname().release().to_string_lossy()).is_ok_and(|version| version >= TCX)
}

fn version(release: &str) -> anyhow::Result<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        bail!("cannot read the kernel's version from {release:?}");
    };
    Ok((major, minor))
}

fn kernel_version(release: &str) -> anyhow::Result<()> {
    let (want_major, want_minor) = OLDEST;
    ensure!(
        version(release)? >= OLDEST,
        "kernel {release} is too old: FlowXDP needs Linux {want_major}.{want_minor} or newer"
    );
    Ok(())
}

/// Checks that the tables fit into the memory that is free now.
///
/// # Errors
///
/// One line with both sizes and the remedy.
pub fn memory(size: &TableSize) -> anyhow::Result<()> {
    let Needs { whole: needed, v4, v6 } = needs(size)?;
    let available = available()?;
    // The agent and the rest of the machine want to live as well.
    ensure!(
        needed < available / 10 * 9,
        "the flow tables need {} MiB ({} MiB for IPv4, {} MiB for IPv6), and {} MiB of memory are available: \
         lower --flows or --flows6",
        needed >> 20,
        v4 >> 20,
        v6 >> 20,
        available >> 20
    );
    Ok(())
}

/// Octets of memory.
struct Needs {
    /// All that is shared with the program.
    whole: u64,
    v4: u64,
    v6: u64,
}

fn needs(size: &TableSize) -> anyhow::Result<Needs> {
    let octets =
        |slots: u64, slot: usize| slots.saturating_mul(slot as u64).saturating_add(size.cold_octets(slots));
    let v4 = octets(size.slots_v4()?, size_of::<SlotV4>());
    let v6 = octets(size.slots_v6()?, size_of::<SlotV6>());
    let spill = octets(size.spill_slots().into(), size_of::<SpillSlot>());
    let whole = v4
        .saturating_add(v6)
        .saturating_add(spill)
        .saturating_add(u64::from(size.ring) + u64::from(size.copies()));
    Ok(Needs { whole, v4, v6 })
}

/// Adds the remedy where the kernel refused a table for want of memory: a limit of the process or of its
/// cgroup, which the memory that is free does not show.
pub(super) fn refused(error: anyhow::Error, size: &TableSize) -> anyhow::Error {
    let errno = error.root_cause().downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
    let is_memory = matches!(errno, Some(libc::ENOMEM | libc::E2BIG));
    let Some(needs) = needs(size).ok().filter(|_| is_memory) else { return error };
    anyhow::anyhow!(
        "the flow tables need {} MiB, and the kernel does not give them ({}): lower --flows or --flows6, or \
         raise the limit of memory that the process or its cgroup has",
        needs.whole >> 20,
        error.root_cause()
    )
}

/// Octets that can be had without swapping, by the kernel's own estimate.
fn available() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<u64>().ok())
        .context("/proc/meminfo has no MemAvailable")?;
    Ok(kib << 10)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::{TableSize, kernel_version, refused};

    #[test]
    fn a_table_that_memory_refuses_names_its_flag() {
        let size = TableSize { flows_v4: 1 << 20, flows_v6: 1 << 20, partitions: 2, ..TableSize::default() };
        let error =
            |errno| Err::<(), _>(std::io::Error::from_raw_os_error(errno)).context("cannot map").unwrap_err();
        for errno in [libc::ENOMEM, libc::E2BIG] {
            let text = refused(error(errno), &size).to_string();
            assert!(text.contains("need 208 MiB") && text.contains("lower --flows or --flows6"), "{text}");
        }
        assert_eq!(refused(error(libc::EPERM), &size).to_string(), "cannot map");
    }

    #[test]
    fn old_kernels_are_named() {
        kernel_version("6.1.0-28-amd64").unwrap();
        kernel_version("6.18.44-fc").unwrap();
        kernel_version("10.0").unwrap();
        let error = kernel_version("5.10.0-30-cloud-amd64").unwrap_err().to_string();
        assert_eq!(error, "kernel 5.10.0-30-cloud-amd64 is too old: FlowXDP needs Linux 6.1 or newer");
        assert!(kernel_version("6").is_err());
        assert!(kernel_version("").is_err());
    }
}
