//! The parser of the metering process, built for BPF and for the host alike.
//!
//! A packet's way: [`frame`] reads its octets, [`walk`] goes from header to header with one file of
//! [`parse`] for each, and ends in a [`verdict::Verdict`]: a flow key with the packet's facts, or the
//! reason why it is not metered. Where tunnels are opened, [`candidate`] continues with the packets inside. [`detail`]
//! collects the facts of groups of fields beyond the key, and [`observe`] the headers read for `explain`; [`first`]
//! chooses packets for the inspector of names. [`hash`] then gives the key its place in the flow table. Table, time and counters
//! exist in the kernel only and are in `main.rs`.
//!
//! Architecture invariant: packet octets are read in [`frame`] only, behind a bounds check; nothing in
//! this crate drops, changes or delays a packet, but for the verdict on a tap, which the operator asked for.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod candidate;
pub mod constant;
pub mod detail;
pub mod first;
pub mod frame;
pub mod hash;
#[cfg(all(target_arch = "bpf", feature = "lab"))]
pub mod lab;
pub mod layer;
pub mod observe;
#[cfg(target_arch = "bpf")]
mod panic;
pub mod parse;
pub mod verdict;
pub mod walk;
