//! The capture's clock: the largest time so far, and the whole seconds at which flows are looked for.

use flowxdp_core::clock::{MILLISECOND, Now, SECOND};

/// Nanoseconds since 1970 of the capture's first packet, and of its latest one or of the last look.
#[derive(Clone, Copy)]
pub(super) struct CaptureClock {
    pub(super) first: u64,
    pub(super) latest: u64,
}

impl CaptureClock {
    /// The first whole second at or after `event` that is still to come: nothing was due at those before.
    pub(super) fn second(&self, event: u64) -> u64 {
        let to_come = (self.latest - self.first) / SECOND + 1;
        let seconds = event.saturating_sub(self.first).div_ceil(SECOND).max(to_come);
        self.first.saturating_add(seconds.saturating_mul(SECOND))
    }
}

/// An instant of the capture, where both clocks are one.
pub(super) const fn instant(time: u64) -> Now {
    Now { monotonic: time, wall_ms: time / MILLISECOND }
}

#[cfg(test)]
mod tests {
    use super::{CaptureClock, SECOND};

    #[test]
    fn looks_are_at_whole_seconds_behind_the_last_one() {
        let first = 7_500_000_000;
        let clock = CaptureClock { first, latest: first };
        let second = |clock: CaptureClock, event| (clock.second(event) - first) / SECOND;
        assert_eq!(second(clock, 0), 1);
        assert_eq!(second(clock, first), 1);
        assert_eq!(second(clock, first + SECOND), 1);
        assert_eq!(second(clock, first + SECOND + 1), 2);
        assert_eq!(second(clock, first + 15 * SECOND), 15);
        let later = CaptureClock { latest: first + 15 * SECOND, ..clock };
        assert_eq!(second(later, 0), 16);
        let between = CaptureClock { latest: first + 15 * SECOND - 1, ..clock };
        assert_eq!(second(between, 0), 15);
        assert_eq!(second(later, first + 15 * SECOND), 16);
        assert_eq!(second(later, first + 1000 * SECOND), 1000);
        assert_eq!(later.second(u64::MAX), u64::MAX);
    }
}
