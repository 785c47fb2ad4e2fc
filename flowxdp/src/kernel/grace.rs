//! A grace period: when it has passed, no XDP program that ran before is running still.

use std::{
    cell::Cell,
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use anyhow::Context;
use rustix::thread::{MembarrierCommand, membarrier, membarrier_query};

use super::{bpf, cpus};

/// A way to wait for a grace period, and how often that was done.
#[derive(Debug)]
pub struct Grace {
    way: Way,
    waits: Cell<u64>,
}

/// How this kernel is asked to wait.
#[derive(Debug)]
enum Way {
    /// `membarrier(MEMBARRIER_CMD_GLOBAL)`: the kernel runs `synchronize_rcu()`.
    Membarrier,
    /// The update of an ARRAY_OF_MAPS element does the same: for kernels booted with `nohz_full=`, which
    /// refuse the call above, and for PREEMPT_RT, where it is nothing on one CPU while XDP can be preempted.
    ArrayOfMaps(ArrayOfMaps),
    /// There is nothing to wait for: see [`Grace::in_test_runs`].
    TestRuns,
}

impl Grace {
    /// For programs that are attached nowhere, and run in BPF_PROG_TEST_RUN of the waiting thread alone.
    ///
    /// No CPU can write a map of theirs while that thread reads: `bpf_prog_test_run_xdp()` (net/bpf/test_run.c)
    /// runs the program inside the system call, on the calling CPU with bottom halves disabled, and returns
    /// behind its last instruction. Only live frames (BPF_F_TEST_XDP_LIVE_FRAMES) would be finished by another
    /// context, and `Runner` asks for none. The maps of a replay are pinned nowhere, so that no other
    /// process's program has them, and `Loaded::attach` refuses its programs.
    pub const fn in_test_runs() -> Self {
        Self { way: Way::TestRuns, waits: Cell::new(0) }
    }

    /// Picks the way that works here.
    ///
    /// # Errors
    ///
    /// The kernel has neither.
    pub fn new() -> anyhow::Result<Self> {
        let has_membarrier = membarrier_query().contains_command(MembarrierCommand::Global);
        let way = if has_membarrier && !cpus::is_realtime() {
            Way::Membarrier
        } else {
            let array = ArrayOfMaps::new().context(
                "this kernel offers no grace period: neither membarrier(GLOBAL) nor ARRAY_OF_MAPS",
            )?;
            Way::ArrayOfMaps(array)
        };
        Ok(Self { way, waits: Cell::new(0) })
    }

    /// Grace periods that were waited for.
    pub const fn waits(&self) -> u64 {
        self.waits.get()
    }

    /// Waits, some milliseconds.
    ///
    /// # Errors
    ///
    /// The kernel refused; nothing may then be read as final.
    pub fn wait(&self) -> anyhow::Result<()> {
        match &self.way {
            Way::TestRuns => return Ok(()),
            Way::Membarrier => membarrier(MembarrierCommand::Global).context("membarrier(GLOBAL)")?,
            Way::ArrayOfMaps(map) => map.update().context("update of an ARRAY_OF_MAPS element")?,
        }
        self.waits.set(self.waits.get() + 1);
        Ok(())
    }
}

/// A map of maps that serves nothing but the wait in its update.
#[derive(Debug)]
struct ArrayOfMaps {
    outer: OwnedFd,
    inner: OwnedFd,
}

/// bpf(2) commands and map types, from the kernel's `uapi/linux/bpf.h`.
const MAP_CREATE: libc::c_long = 0;
const MAP_UPDATE_ELEM: libc::c_long = 2;
const ARRAY: u32 = 2;
const ARRAY_OF_MAPS: u32 = 12;

#[repr(C)]
#[derive(Default)]
struct CreateAttr {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
}

#[repr(C)]
struct UpdateAttr {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl ArrayOfMaps {
    fn new() -> io::Result<Self> {
        let entry = CreateAttr { key_size: 4, value_size: 4, max_entries: 1, ..CreateAttr::default() };
        let inner = bpf::open(MAP_CREATE, &CreateAttr { map_type: ARRAY, ..entry })?;
        let inner_map_fd = inner.as_raw_fd().cast_unsigned();
        let outer = bpf::open(MAP_CREATE, &CreateAttr { map_type: ARRAY_OF_MAPS, inner_map_fd, ..entry })?;
        Ok(Self { outer, inner })
    }

    fn update(&self) -> io::Result<()> {
        let (key, value) = (0_u32, self.inner.as_raw_fd());
        let attr = UpdateAttr {
            map_fd: self.outer.as_raw_fd().cast_unsigned(),
            pad: 0,
            key: std::ptr::from_ref(&key).addr() as u64,
            value: std::ptr::from_ref(&value).addr() as u64,
            flags: 0,
        };
        bpf::call(MAP_UPDATE_ELEM, &attr).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::CreateAttr;

    #[test]
    fn attributes_have_the_sizes_of_the_interface() {
        assert_eq!(size_of::<CreateAttr>(), 24);
        assert_eq!(size_of::<super::UpdateAttr>(), 32);
    }
}
