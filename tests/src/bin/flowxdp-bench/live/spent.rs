//! Processor time of a process and its children.
//!
//! Source: proc(5): in /proc/PID/stat the fields 4 (parent), and 14 to 17 (own time, and that of children that
//! ended and were waited for), in ticks.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// USER_HZ is 100 on every architecture but Alpha and ia64.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// The values of one line.
struct Stat {
    parent: u32,
    own: Duration,
    /// Of children that were waited for.
    waited: Duration,
}

fn stat(pid: &str) -> Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = text.rsplit_once(')').context("no name")?;
    // The third field is the first after the name.
    let fields: Vec<u64> = rest.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0)).collect();
    let field = |number: usize| fields.get(number - 4).copied().with_context(|| format!("no field {number}"));
    let ticks = |first, second| anyhow::Ok(TICK * u32::try_from(field(first)? + field(second)?)?);
    Ok(Stat { parent: u32::try_from(field(4)?)?, own: ticks(14, 15)?, waited: ticks(16, 17)? })
}

/// Children of a process that are there.
pub(super) fn children(pid: u32) -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?.filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    // One that has just ended is no child.
    Ok(pids.filter(|it| stat(&it.to_string()).is_ok_and(|stat| stat.parent == pid)).collect())
}

/// Processor time of a process and all its children so far.
pub(super) fn so_far(pid: u32) -> Result<Duration> {
    let it = stat(&pid.to_string())?;
    let mut sum = it.own + it.waited;
    for child in children(pid)? {
        // The process may have ended since.
        sum += so_far(child).unwrap_or_default();
    }
    Ok(sum)
}

/// Total processor time of a child of this process and of its children, once `end` has ended it and waited
/// for it. No other child may be waited for meanwhile.
pub(super) fn whole<T>(end: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let before = stat("self")?.waited;
    let result = end()?;
    Ok((result, stat("self")?.waited.saturating_sub(before)))
}
