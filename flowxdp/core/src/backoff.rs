//! How long to wait before the next try: doubling, with jitter, up to a limit.

use crate::clock::{MILLISECOND, SECOND};

/// First wait, nanoseconds.
const FIRST: u64 = 200 * MILLISECOND;
/// Longest wait, nanoseconds.
const LONGEST: u64 = 10 * SECOND;

/// Waits that double, each shortened by a random part of its last quarter.
#[derive(Clone, Debug)]
pub struct Backoff {
    wait: u64,
    state: u64,
}

impl Backoff {
    /// Randomness comes in as `seed`: agents that started together should not knock together.
    pub const fn new(seed: u64) -> Self {
        Self { wait: FIRST, state: seed }
    }

    /// Starts again with the first wait.
    pub const fn reset(&mut self) {
        self.wait = FIRST;
    }

    /// The next wait, nanoseconds.
    pub const fn next(&mut self) -> u64 {
        // SplitMix64's step: good enough to spread knocks.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^= mixed >> 27;
        let wait = self.wait;
        self.wait = if wait * 2 > LONGEST { LONGEST } else { wait * 2 };
        wait - mixed % (wait / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, FIRST, LONGEST};

    #[test]
    fn waits_double_up_to_the_limit_and_differ() {
        let (mut one, mut other) = (Backoff::new(1), Backoff::new(2));
        let waits: Vec<u64> = (0..12).map(|_| one.next()).collect();
        assert!(waits[0] <= FIRST && waits[0] > FIRST / 2);
        assert!(waits[11] <= LONGEST && waits[11] > LONGEST / 2);
        assert_ne!(waits, (0..12).map(|_| other.next()).collect::<Vec<_>>());
        one.reset();
        assert!(one.next() <= FIRST);
    }
}
