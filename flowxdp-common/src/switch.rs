//! Constants that are set when the program is loaded, so that the verifier removes what is off.
//!
//! Their names are in [`crate::names`].

/// Words of the random seed: one for each pair of 32-bit words of an IPv6 key with its interface, and a multiplier.
pub const SEED_WORDS: usize = 7;
