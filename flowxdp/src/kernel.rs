//! The kernel's edge: loading, attaching, the mapped flow table, counters, grace periods and test runs.
//!
//! Architecture invariant: only this room knows aya, and only [`scan`], [`spill`], [`cold`] and [`map`] touch shared memory.

pub mod address;
pub mod attach;
mod bpf;
pub mod chain;
pub mod claims;
pub mod cold;
pub mod copies;
pub mod counters;
pub mod cpus;
pub mod explain;
mod features;
pub mod follow;
pub mod grace;
pub mod hook;
pub mod ktime;
pub mod link;
pub mod load;
pub mod map;
pub mod offload;
pub mod other_layout;
pub mod pin;
pub mod preflight;
pub mod promiscuous;
mod refusal;
pub mod ring;
pub mod scan;
pub mod spill;
pub mod test_run;
