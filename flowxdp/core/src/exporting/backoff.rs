//! How long to wait before the next try: doubling, with jitter, up to a limit.

use crate::clock::MILLISECOND;

/// First wait, nanoseconds.
pub const FIRST: u64 = 200 * MILLISECOND;

/// Waits that double, each shortened by a random part of its last quarter.
#[derive(Clone, Debug)]
pub struct Backoff {
    wait: u64,
    longest: u64,
    state: u64,
}

impl Backoff {
    /// Waits of at most `longest` nanoseconds, or of [`FIRST`] where that is more. Randomness comes in as
    /// `seed`: agents that started together should not knock together.
    pub const fn new(seed: u64, longest: u64) -> Self {
        Self { wait: FIRST, longest: if longest < FIRST { FIRST } else { longest }, state: seed }
    }

    /// From now on waits are of at most `longest` nanoseconds, as for [`Backoff::new`].
    pub const fn limit(&mut self, longest: u64) {
        self.longest = if longest < FIRST { FIRST } else { longest };
        if self.wait > self.longest {
            self.wait = self.longest;
        }
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
        let double = wait.saturating_mul(2);
        self.wait = if double > self.longest { self.longest } else { double };
        wait - mixed % (wait / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, FIRST};
    use crate::clock::SECOND;

    #[test]
    fn waits_double_up_to_the_limit_and_differ() {
        let (mut one, mut other) = (Backoff::new(1, 10 * SECOND), Backoff::new(2, 10 * SECOND));
        let waits: Vec<u64> = (0..12).map(|_| one.next()).collect();
        assert!(waits[0] <= FIRST && waits[0] > FIRST / 2);
        assert!(waits[11] <= 10 * SECOND && waits[11] > 5 * SECOND);
        assert_ne!(waits, (0..12).map(|_| other.next()).collect::<Vec<_>>());
        one.reset();
        assert!(one.next() <= FIRST);
    }

    #[test]
    fn the_limit_is_the_one_asked_for_and_never_below_the_first_wait() {
        for (limit, last) in [(60 * SECOND, 60 * SECOND), (SECOND, SECOND), (0, FIRST), (u64::MAX, u64::MAX)]
        {
            let mut backoff = Backoff::new(7, limit);
            let wait = (0..60).map(|_| backoff.next()).last();
            assert!(wait.is_some_and(|wait| wait <= last && wait > last / 4 * 3 - 1), "{limit}");
        }
    }
}
