//! The home slot of a key: a seeded hash in which no two keys collide by design.
//!
//! NH (the hash beneath UMAC, RFC 4418 section 5.2): for each pair of 32-bit words (a, b) of the key
//! and random (s, t), the sum of (a + s mod 2³²)(b + t mod 2³²) mod 2⁶⁴. Two given keys get the same
//! sum with a probability of 2⁻³² over the seeds, whoever chose them. A random odd multiplier then
//! spreads the sum over the table. The seeds are drawn when the program is loaded.

use flowxdp_common::{fragment::NAME, switch::SEED_WORDS};

use crate::verdict::{WordsV4, WordsV6};

/// The random words, [`SEED_WORDS`] of them.
pub trait Seed {
    /// One of them.
    fn word(&self, index: usize) -> u64;
}

impl Seed for [u64; SEED_WORDS] {
    fn word(&self, index: usize) -> u64 {
        self[index]
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the hash is of the low halves")]
const fn pair(word: u64, seed: u64) -> u64 {
    let low = (word as u32).wrapping_add(seed as u32) as u64;
    let high = ((word >> 32) as u32).wrapping_add((seed >> 32) as u32) as u64;
    low.wrapping_mul(high)
}

/// Spreads a sum over `homes` slots.
#[inline(always)]
const fn home(sum: u64, multiplier: u64, homes: u32) -> u32 {
    let mixed = (sum ^ (sum >> 32)).wrapping_mul(multiplier | 1);
    (((mixed >> 32) * homes as u64) >> 32) as u32
}

/// Home slot of an IPv4 key in a partition of `homes` slots. `ingress`: the ifIndex, and a tunnel's segment in the upper
/// half.
#[inline(always)]
pub fn home_v4(words: &WordsV4, ingress: u64, seed: &impl Seed, homes: u32) -> u32 {
    let sum = pair(words.addresses, seed.word(0))
        .wrapping_add(pair(words.rest, seed.word(1)))
        .wrapping_add(pair(ingress, seed.word(2)));
    home(sum, seed.word(SEED_WORDS - 1), homes)
}

/// Home slot of an IPv6 key in a partition of `homes` slots; `ingress` as in [`home_v4`].
#[inline(always)]
pub fn home_v6(words: &WordsV6, ingress: u64, seed: &impl Seed, homes: u32) -> u32 {
    let sum = pair(words.addresses[0], seed.word(0))
        .wrapping_add(pair(words.addresses[1], seed.word(1)))
        .wrapping_add(pair(words.addresses[2], seed.word(2)))
        .wrapping_add(pair(words.addresses[3], seed.word(3)))
        .wrapping_add(pair(words.rest, seed.word(4)))
        .wrapping_add(pair(ingress, seed.word(5)));
    home(sum, seed.word(SEED_WORDS - 1), homes)
}

/// The home of a fragment's name in a table of `homes` sets.
#[inline(always)]
pub fn home_fragment(name: &[u64; NAME], seed: &impl Seed, homes: u32) -> u32 {
    let [a, b, c, d, e, f] = *name;
    let sum = pair(a, seed.word(0))
        .wrapping_add(pair(b, seed.word(1)))
        .wrapping_add(pair(c, seed.word(2)))
        .wrapping_add(pair(d, seed.word(3)))
        .wrapping_add(pair(e, seed.word(4)))
        .wrapping_add(pair(f, seed.word(5)));
    home(sum, seed.word(SEED_WORDS - 1), homes)
}
