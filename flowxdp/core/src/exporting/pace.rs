//! Pacing of export: so many messages a second, and so many at once.
//!
//! A collector's socket buffer overflows without a word to the exporter: 742 messages back to back lost 576
//! in a buffer of the default size. Messages that are due at one instant therefore leave spread out.

use crate::clock::{AgentTime, SECOND};

/// Messages per second by default.
pub const DEFAULT_RATE: u32 = 16_000;
/// Messages back to back by default.
pub const DEFAULT_BURST: u32 = 32;

/// A token bucket that holds at most `burst` messages and is refilled with `rate` messages a second.
///
/// Kept as the generic cell rate algorithm keeps it: one instant in place of a level and the time of
/// its last refill, so that nothing is rounded away between two calls.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Nanoseconds that one message takes at the rate.
    interval: u64,
    /// Nanoseconds that the theoretical time may be ahead of the clock.
    tolerance: u64,
    /// When the next message would leave if all so far had left evenly spaced.
    theoretical: AgentTime,
}

impl Pace {
    /// A full bucket. `rate` is in messages per second; 0 counts as 1 for either argument.
    pub fn new(rate: u32, burst: u32) -> Self {
        let interval = SECOND.div_ceil(u64::from(rate.max(1)));
        Self { interval, tolerance: interval * u64::from(burst.max(1) - 1), theoretical: AgentTime::START }
    }

    /// A bucket that is never empty.
    pub const fn unlimited() -> Self {
        Self { interval: 0, tolerance: 0, theoretical: AgentTime::START }
    }

    /// How many messages may leave at once, at least one.
    ///
    /// # Errors
    ///
    /// None yet: the instant at which one may.
    pub fn ready(&self, now: AgentTime) -> Result<u64, AgentTime> {
        if self.interval == 0 {
            return Ok(u64::MAX);
        }
        let earliest = self.theoretical.before(self.tolerance);
        if now < earliest {
            return Err(earliest);
        }
        let ahead = self.theoretical.since(now);
        Ok((self.tolerance - ahead) / self.interval + 1)
    }

    /// Takes the tokens of `messages`, as many as [`Pace::ready`] gave at most.
    pub fn spend(&mut self, now: AgentTime, messages: u64) {
        let time = self.interval.saturating_mul(messages);
        self.theoretical = self.theoretical.max(now).after(time);
    }

    /// Takes one message's token.
    ///
    /// # Errors
    ///
    /// As for [`Pace::ready`].
    pub fn take(&mut self, now: AgentTime) -> Result<(), AgentTime> {
        self.ready(now)?;
        self.spend(now, 1);
        Ok(())
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new(DEFAULT_RATE, DEFAULT_BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn at(nanoseconds: u64) -> AgentTime {
        AgentTime::new(nanoseconds)
    }

    #[test]
    fn a_burst_leaves_at_once_and_the_rest_at_the_rate() {
        let mut pace = Pace::default();
        for _ in 0..DEFAULT_BURST {
            assert_eq!(pace.take(at(5 * SECOND)), Ok(()));
        }
        let next = at(5 * SECOND + SECOND / u64::from(DEFAULT_RATE));
        assert_eq!(pace.take(at(5 * SECOND)), Err(next));
        assert_eq!(pace.take(next.before(1)), Err(next));
        assert_eq!(pace.take(next), Ok(()));
        assert!(pace.take(next).is_err());
    }

    #[test]
    fn a_pause_refills_no_more_than_a_burst() {
        let mut pace = Pace::new(10, 3);
        let taken = |pace: &mut Pace, now| (0..100).filter(|_| pace.take(now).is_ok()).count();
        assert_eq!(taken(&mut pace, at(SECOND)), 3);
        assert_eq!(taken(&mut pace, at(1000 * SECOND)), 3);
    }

    #[test]
    fn zero_is_one() {
        let mut pace = Pace::new(0, 0);
        assert_eq!(pace.take(at(0)), Ok(()));
        assert_eq!(pace.take(at(0)), Err(at(SECOND)));
    }

    #[test]
    fn without_limit_there_is_always_one() {
        let mut pace = Pace::unlimited();
        for now in [0, 0, 5, 1].map(at) {
            assert_eq!(pace.ready(now), Ok(u64::MAX));
            pace.spend(now, 1 << 40);
        }
    }

    proptest! {
        #[test]
        fn many_at_once_are_as_many_as_one_by_one(
            rate in 1u32..2_000_000, burst in 1u32..64, steps in prop::collection::vec(0u64..2_000_000, 1..50),
        ) {
            let (mut many, mut single, mut now) = (Pace::new(rate, burst), Pace::new(rate, burst), at(0));
            for step in steps {
                now = now + step;
                let ready = many.ready(now);
                if let Ok(count) = ready {
                    many.spend(now, count);
                    for _ in 0..count {
                        prop_assert_eq!(single.take(now), Ok(()));
                    }
                }
                prop_assert_eq!(single.ready(now), many.ready(now));
                prop_assert!(single.take(now).is_err());
            }
        }

        #[test]
        fn never_above_burst_and_rate(
            rate in 1u32..100_000, burst in 1u32..64, steps in prop::collection::vec(0u64..200_000, 1..300),
        ) {
            let mut pace = Pace::new(rate, burst);
            let (mut now, mut sent) = (7u64, 0u64);
            for step in steps {
                now += step;
                sent += u64::from(pace.take(at(now)).is_ok());
                let allowed = u64::from(burst) + (now - 7) * u64::from(rate) / SECOND;
                prop_assert!(sent <= allowed, "{sent} sent, {allowed} allowed");
            }
        }

        #[test]
        fn the_time_it_names_is_enough(rate in 1u32..2_000_000, burst in 1u32..64, takes in 1usize..200) {
            let mut pace = Pace::new(rate, burst);
            let mut now = at(0);
            for _ in 0..takes {
                if let Err(when) = pace.take(now) {
                    prop_assert!(when > now);
                    now = when;
                    prop_assert_eq!(pace.take(now), Ok(()));
                }
            }
        }
    }
}
