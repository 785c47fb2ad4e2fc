//! Another process's processor time and memory, from /proc.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

const MIB: f64 = (1 << 20) as f64;

/// Processor time of all threads that it has.
///
/// Source: the kernel's Documentation/scheduler/sched-stats.rst: the first number of a thread's `schedstat`
/// is the time that it ran, nanoseconds.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let mut time = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).context("the process has ended")? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        let ran = text.split_whitespace().next().context("an empty schedstat")?;
        time += Duration::from_nanos(ran.parse()?);
    }
    Ok(time)
}

/// Octets of memory.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// Resident: tables that are mapped are in it.
    resident: u64,
    /// Its private memory outside files and maps: heap and stack.
    anonymous: u64,
    /// The kernel's memory of all BPF maps that it has open.
    maps: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).context("the process has ended")?;
        let kib = |name| field(&text, name).with_context(|| format!("no {name}"));
        let (resident, anonymous) = (kib("VmRSS:")? * 1024, kib("RssAnon:")? * 1024);
        let mut maps = BTreeMap::new();
        for descriptor in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
            // One that was closed meanwhile is none of a map.
            let text = fs::read_to_string(descriptor?.path()).unwrap_or_default();
            if let (Some(map), Some(octets)) = (field(&text, "map_id:"), field(&text, "memlock:")) {
                maps.insert(map, octets);
            }
        }
        Ok(Self { resident, anonymous, maps: maps.into_values().sum() })
    }

    /// Resident, anonymous, of maps; MiB.
    pub(crate) fn mib(self) -> [f64; 3] {
        [self.resident, self.anonymous, self.maps].map(|octets| octets as f64 / MIB)
    }

    pub(crate) fn json(self) -> Value {
        let [resident, anonymous, maps] = self.mib();
        json!({ "resident": resident, "anonymous": anonymous, "maps": maps })
    }
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}
