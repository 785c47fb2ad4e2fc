//! Constants that are set when the program is loaded, so that the verifier removes code that is switched off.
//!
//! Their names are in [`crate::names`].

/// Words of the random seed: one for each pair of 32-bit words of an IPv6 key with its interface, and a multiplier.
pub const SEED_WORDS: usize = 7;

/// A packet passes to the kernel's stack behind the meter: XDP_PASS of the kernel's `uapi/linux/bpf.h`.
pub const BEHIND_STACK: u32 = 2;
/// A packet is dropped behind the meter, as its interface is a tap: XDP_DROP.
pub const BEHIND_DROP: u32 = 1;
/// The other program on the interface has a packet next, and the last word on it.
pub const BEHIND_CHAIN: u32 = 0;
