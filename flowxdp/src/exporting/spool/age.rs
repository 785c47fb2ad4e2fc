//! The age of a message, whatever becomes of the time of day.
//!
//! A message's age is counted from its export time, a time of day. A step of the time of day would make all older
//! messages old, or young, at once. So each file remembers the distance between the time of day and a steady
//! time, which counts on from the opening of the spool by the monotonic clock.

use std::time::Duration;

use flowxdp_core::clock::{MeterTime, Now, SECOND};

use super::append::seconds;

/// A step below this begins no file of its own, seconds.
const STEP: u64 = 2;

/// The time of day at the opening of the spool.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Age {
    /// The first instant: the time of day in seconds, and the metering clock.
    opened: Option<(u32, MeterTime)>,
}

impl Age {
    /// The steady time: the time of day without its steps since the first call, seconds since 1970.
    pub(super) fn steady(&mut self, now: Now) -> i64 {
        let (secs, monotonic) = *self.opened.get_or_insert((seconds(now.wall_ms), now.monotonic));
        i64::from(secs).saturating_add_unsigned(now.monotonic.since(monotonic) / SECOND)
    }

    /// The sum of the steps of the time of day since then, seconds.
    pub(super) fn step(&mut self, now: Now) -> i64 {
        i64::from(seconds(now.wall_ms)).saturating_sub(self.steady(now))
    }
}

/// Whether the time of day was set since a file was begun that was `step` seconds off.
pub(super) const fn was_set(step: i64, now: i64) -> bool {
    step.abs_diff(now) >= STEP
}

/// Whether a message of this export time, in a file that was `step` seconds off, is older than `most` at the
/// steady time `now`.
pub(super) fn is_old(secs: u32, step: i64, now: i64, most: Duration) -> bool {
    let age = now.saturating_sub(i64::from(secs).saturating_sub(step));
    u64::try_from(age).is_ok_and(|age| age > most.as_secs())
}
