//! The kernel's clock as programs read it (`bpf_ktime_get_ns`), for a comparison with the agent's own.
//!
//! Both are CLOCK_MONOTONIC, but a time namespace (Linux 5.6) shifts that of its processes only.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::Context;

use super::bpf;

/// bpf(2) commands, the program type and its flag, from the kernel's `uapi/linux/bpf.h`. Programs of this
/// type run by a test run alone (Linux 5.14).
const PROG_LOAD: libc::c_long = 5;
const PROG_TEST_RUN: libc::c_long = 10;
const SYSCALL: u32 = 31;
const SLEEPABLE: u32 = 1 << 4;

/// One instruction: `struct bpf_insn`.
#[repr(C)]
struct Instruction {
    code: u8,
    /// Destination in the low half, source in the high one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const fn instruction(code: u8, registers: u8, immediate: i32) -> Instruction {
    Instruction { code, registers, offset: 0, immediate }
}

/// `*(u64 *)context = bpf_ktime_get_ns(); return 0;`
const PROGRAM: [Instruction; 5] = [
    // r6 = r1, the context
    instruction(0xbf, 0x16, 0),
    // r0 = bpf_ktime_get_ns()
    instruction(0x85, 0, 5),
    // *(u64 *)(r6 + 0) = r0
    instruction(0x7b, 0x06, 0),
    // r0 = 0
    instruction(0xb7, 0, 0),
    // exit
    instruction(0x95, 0, 0),
];

#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct RunAttr {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
}

/// The program that reads the clock.
#[derive(Debug)]
pub struct KernelClock(OwnedFd);

impl KernelClock {
    /// Loads it.
    ///
    /// # Errors
    ///
    /// The kernel refuses the program.
    pub fn new() -> anyhow::Result<Self> {
        let attr = LoadAttr {
            prog_type: SYSCALL,
            insn_cnt: u32::try_from(PROGRAM.len())?,
            insns: PROGRAM.as_ptr().addr() as u64,
            license: c"Dual MIT/GPL".as_ptr().addr() as u64,
            log_level: 0,
            log_size: 0,
            log_buf: 0,
            kern_version: 0,
            prog_flags: SLEEPABLE,
        };
        bpf::open(PROG_LOAD, &attr)
            .map(Self)
            .context("the kernel does not take a program that reads its clock")
    }

    /// Nanoseconds.
    ///
    /// # Errors
    ///
    /// The kernel refuses the run.
    pub fn read(&self) -> io::Result<u64> {
        // Atomic, since the kernel writes the word behind the compiler's back.
        let now = AtomicU64::new(0);
        let attr = RunAttr {
            prog_fd: self.0.as_raw_fd().cast_unsigned(),
            ctx_size_in: 8,
            // The kernel copies the context back to where it came from.
            ctx_in: now.as_ptr().expose_provenance() as u64,
            ..RunAttr::default()
        };
        bpf::call(PROG_TEST_RUN, &attr)?;
        Ok(now.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn attributes_have_the_sizes_of_the_interface() {
        assert_eq!(size_of::<super::Instruction>(), 8);
        assert_eq!(size_of::<super::LoadAttr>(), 48);
        assert_eq!(size_of::<super::RunAttr>(), 72);
    }
}
