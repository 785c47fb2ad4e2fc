//! The machine that the figures were measured on.

use std::fs;

use anyhow::Result;
use serde_json::{Value, json};

/// Processor, CPUs that are there, kernel.
pub(crate) fn describe() -> Result<Value> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let (_, model) = model.unwrap_or(("", std::env::consts::ARCH));
    let kernel = rustix::system::uname();
    // CPUs of the machine: this thread may be bound to one by now.
    let online = cpus.lines().filter(|line| line.starts_with("processor")).count();
    Ok(json!({ "model": model, "cpus": online, "kernel": kernel.release().to_string_lossy() }))
}
