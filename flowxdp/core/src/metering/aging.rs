//! Aggressive aging: idle timeouts become shorter while a table fills.
//!
//! Each sweep counts the live flows. Above [`HIGH`] per cent of the table each sweep halves the idle timeout,
//! down to a 64th; below [`LOW`] per cent it is doubled again, once the last step had time to take effect.
//! Between the two marks it stays, so that it does not oscillate. Flows that are idle longest retire first,
//! and flows of one packet sixteen times as early as flows of several.

use crate::clock::MILLISECOND;

/// Per cent of a table's flows above which aggressive aging begins.
pub const HIGH: u64 = 75;
/// Per cent below which the idle timeout grows again.
pub const LOW: u64 = 60;
/// Time between two sweeps during aggressive aging, nanoseconds.
pub const STEP: u64 = 100 * MILLISECOND;
/// A flow with more than one packet may be idle for so many times as long.
pub(crate) const LASTING: u64 = 16;
/// The shortest idle timeout, as a part of the one asked for.
const SHORTEST: u64 = 64;

/// A change that a sweep's count brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Aggressive aging began.
    Began,
    /// Aggressive aging ended: the configured idle timeout applies.
    Ended,
}

/// Aggressive aging of one table.
#[derive(Clone, Copy, Debug)]
pub struct Aging {
    /// Flows that the table holds.
    flows: u64,
    /// Configured idle timeout, nanoseconds.
    asked: u64,
    /// Idle timeout now.
    idle: u64,
    /// When it may be doubled.
    patience: u64,
    /// Live flows after the last sweep.
    live: u64,
    /// Packets that had been seen then.
    seen: u64,
}

impl Aging {
    /// A table for `flows` flows that is not filling; `idle` is the configured timeout, nanoseconds.
    pub const fn new(flows: u64, idle: u64) -> Self {
        Self { flows, asked: idle, idle, patience: 0, live: 0, seen: 0 }
    }

    /// The shortened idle timeout, nanoseconds; `None` outside aggressive aging.
    pub const fn idle(&self) -> Option<u64> {
        if self.idle < self.asked { Some(self.idle) } else { None }
    }

    /// Live flows after the last sweep, per cent of the table's size.
    pub fn percent(&self) -> u64 {
        self.live.saturating_mul(100) / self.flows.max(1)
    }

    /// Whether a sweep is needed after `seen` packets: each of them may have opened a flow.
    pub fn needs_sweep(&self, seen: u64) -> bool {
        self.idle().is_some() || self.part(HIGH) <= self.live.saturating_add(seen.saturating_sub(self.seen))
    }

    /// Takes the counts of a sweep at `now`: live flows, and packets seen so far. `spilling`: flows without a
    /// slot fill the spill table as well.
    pub fn measure(&mut self, now: u64, live: u64, seen: u64, spilling: bool) -> Option<Change> {
        (self.live, self.seen) = (live, seen);
        let before = self.idle();
        if spilling || live >= self.part(HIGH) {
            let shortest = (self.asked / SHORTEST).max(STEP).min(self.asked);
            self.idle = (self.idle / 2).max(shortest);
            self.patience = now.saturating_add(self.idle);
        } else if before.is_some() && live < self.part(LOW) && now >= self.patience {
            self.idle = self.idle.saturating_mul(2).min(self.asked);
            self.patience = now.saturating_add(self.idle);
        }
        match (before, self.idle()) {
            (None, Some(_)) => Some(Change::Began),
            (Some(_), None) => Some(Change::Ended),
            _ => None,
        }
    }

    fn part(&self, percent: u64) -> u64 {
        (self.flows.saturating_mul(percent) / 100).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::{Aging, Change, STEP};
    use crate::clock::SECOND;

    const IDLE: u64 = 15 * SECOND;

    fn aging() -> Aging {
        Aging::new(1000, IDLE)
    }

    #[test]
    fn it_begins_above_the_high_mark_and_goes_down_to_a_floor() {
        let mut aging = aging();
        assert_eq!(aging.measure(0, 749, 0, false), None);
        assert_eq!(aging.idle(), None);
        assert_eq!(aging.measure(1, 750, 0, false), Some(Change::Began));
        assert_eq!(aging.idle(), Some(IDLE / 2));
        for step in 2..10 {
            assert_eq!(aging.measure(step, 1200, 0, false), None);
        }
        assert_eq!((aging.idle(), aging.percent()), (Some(IDLE / 64), 120));
    }

    #[test]
    fn between_the_marks_nothing_changes_and_below_it_goes_back_step_by_step() {
        let mut aging = aging();
        aging.measure(0, 800, 0, false);
        aging.measure(STEP, 800, 0, false);
        let step = IDLE / 4;
        for step in 2..200 {
            assert_eq!(aging.measure(step * STEP, 650, 0, false), None);
        }
        assert_eq!(aging.idle(), Some(step));
        let now = 200 * STEP;
        assert_eq!(aging.measure(now, 599, 0, false), None);
        assert_eq!(aging.idle(), Some(2 * step));
        // The step shows in as long as flows may be idle now.
        assert_eq!(aging.measure(now + 2 * step - 1, 10, 0, false), None);
        assert_eq!(aging.idle(), Some(2 * step));
        assert_eq!(aging.measure(now + 2 * step, 10, 0, false), Some(Change::Ended));
        assert_eq!(aging.idle(), None);
    }

    #[test]
    fn what_spills_presses_a_table_that_is_not_full() {
        let mut aging = aging();
        assert_eq!(aging.measure(0, 10, 0, true), Some(Change::Began));
    }

    #[test]
    fn a_look_is_needed_when_the_packets_since_the_last_could_have_filled_it() {
        let mut aging = aging();
        assert!(!aging.needs_sweep(749) && aging.needs_sweep(750));
        aging.measure(0, 600, 5000, false);
        assert!(!aging.needs_sweep(5149) && aging.needs_sweep(5150));
        aging.measure(0, 750, 5150, false);
        assert!(aging.needs_sweep(5150), "under pressure always");
    }

    #[test]
    fn no_timeout_falls_below_a_look() {
        let mut aging = Aging::new(1000, STEP / 2);
        assert_eq!(aging.measure(0, 1000, 0, false), None);
        assert_eq!(aging.idle(), None);
    }
}
