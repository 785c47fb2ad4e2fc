//! The NICs of a test VM, by the names that its first process gives them, moved into a test's namespace.
//!
//! `hub0` and `hub1` are on one cable. Frames that leave by `multi0` come in by it again, over several queues.
//! `fixed0` has offloads that the driver cannot switch off.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::netns::Netns;
use crate::process::{Program, patient};

/// A NIC comes back from a namespace that has ended, but not at once.
const LIMIT: Duration = Duration::from_secs(10);

/// Moves a NIC into a namespace, where it is up, takes every frame and says nothing by itself. The kernel
/// moves it back when the namespace ends. Gives the name of its device on the virtio bus.
pub fn take(netns: &Netns, nic: &str) -> Result<String> {
    let device = Path::new("/sys/class/net").join(nic).join("device");
    let deadline = Instant::now() + patient(LIMIT);
    while !device.exists() {
        let nowhere = format!("there is no NIC {nic}: this test is for a test VM, see `cargo xtask vm`");
        ensure!(Instant::now() < deadline, nowhere);
        std::thread::sleep(Duration::from_millis(20));
    }
    let driver = fs::canonicalize(device.join("driver"))?;
    ensure!(driver.ends_with("virtio_net"), "{nic} is driven by {}", driver.display());
    let virtio = fs::canonicalize(&device)?.file_name().context("no device")?.to_string_lossy().into_owned();
    let ip = Program::find("ip")?.args(["link", "set", nic, "netns", netns.name()]);
    ip.run(LIMIT)?.success().with_context(|| format!("moving {nic}"))?;
    netns.sysctl(&format!("ipv6/conf/{nic}/disable_ipv6"), "1")?;
    netns.ip(&format!("link set {nic} mtu 1500 promisc on up"))?;
    Ok(virtio)
}

/// Packets that XDP met on each of a NIC's receive queues, as its driver counts them.
pub fn by_queue(netns: &Netns, nic: &str) -> Result<Vec<u64>> {
    let shown = Program::find("ethtool")?.args(["-S", nic]).netns(netns).run(LIMIT)?.success()?.stdout;
    // `rx_queue_0_xdp_packets` or `rx0_xdp_packets`, by the kernel's age.
    let queue = |line: &str| {
        let (name, value) = line.trim().split_once(": ")?;
        let number = name.strip_prefix("rx")?.strip_suffix("_xdp_packets")?;
        number.trim_start_matches("_queue_").parse::<u32>().ok()?;
        value.trim().parse().ok()
    };
    Ok(shown.lines().filter_map(queue).collect())
}

/// Lets a device's receive interrupt come on one CPU.
pub fn receive_on(virtio: &str, cpu: usize) -> Result<()> {
    let table = fs::read_to_string("/proc/interrupts")?;
    let name = format!("{virtio}-input.0");
    let line = table.lines().find(|line| line.split_whitespace().any(|word| word == name));
    let number = line.and_then(|line| line.trim().split_once(':')).with_context(|| format!("no {name}"))?.0;
    let file = format!("/proc/irq/{number}/smp_affinity_list");
    fs::write(&file, cpu.to_string()).with_context(|| format!("{file}: {cpu}"))
}
