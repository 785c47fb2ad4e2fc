//! The XDP program counts each packet and passes it, to the kernel or to the other program on the interface
//! where the operator asked for both. On a tap, which receives copies, it drops each packet instead.
//!
//! `flowxdp_ebpf::walk` gives the packet's verdict; the modules of [`bpf`] do the rest. On the host this
//! file is an empty program.
#![cfg_attr(
    target_arch = "bpf",
    no_std,
    no_main,
    feature(core_intrinsics, asm_experimental_arch),
    allow(internal_features)
)]

#[cfg(target_arch = "bpf")]
mod bpf;

/// Programs for BPF have no `main`; the host's build of this crate is for its parser.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
