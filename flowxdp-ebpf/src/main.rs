//! The XDP program counts each packet and passes it, to the kernel or to the other program on the interface
//! where the operator asked for both. On a tap, which receives copies, it drops each packet instead.
//!
//! [`flowxdp_ebpf::walk`] gives the packet's verdict; then [`partition`] finds the CPU's part of the flow
//! table, [`table`] the flow's slot there, [`tick`] the time, and [`overflow`] takes the packets that find no
//! slot. [`cold`] stores the facts of groups of fields. [`count`] keeps the CPU's counters. On the host this
//! file is an empty program.
#![cfg_attr(
    target_arch = "bpf",
    no_std,
    no_main,
    feature(core_intrinsics, asm_experimental_arch),
    allow(internal_features)
)]

#[cfg(target_arch = "bpf")]
mod atomic;
#[cfg(target_arch = "bpf")]
mod cold;
#[cfg(target_arch = "bpf")]
mod count;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod meter;
#[cfg(target_arch = "bpf")]
mod overflow;
#[cfg(target_arch = "bpf")]
mod packet;
#[cfg(target_arch = "bpf")]
mod partition;
#[cfg(target_arch = "bpf")]
mod program;
#[cfg(target_arch = "bpf")]
mod table;
#[cfg(target_arch = "bpf")]
mod tick;

/// Programs for BPF have no `main`; the host's build of this crate is for its parser.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
