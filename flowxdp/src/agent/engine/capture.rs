//! The seconds of a capture's clock at which flows or messages are due.

use flowxdp_core::clock::{MILLISECOND, MeterTime, Now, Reading, SECOND};

use super::{Engine, deadlines::Timer, metering::Metering};

/// The metering of a capture's packets, which knows when each flow is due.
pub trait Captured: Metering {
    /// When a known flow is due at the earliest; [`MeterTime::START`] for the next second.
    fn next_due(&self) -> MeterTime;

    /// Whether a sweep at `now` would retire a flow; more exact than [`Captured::next_due`].
    fn finds(&mut self, now: MeterTime) -> bool;

    /// The shorter timeout, nanoseconds.
    fn rest(&self) -> u64;
}

/// The times of the capture's first packet, and of its latest one or of the last sweep. The clock's zero is 1970.
#[derive(Clone, Copy, Debug)]
pub struct CaptureClock {
    /// The first packet's time.
    pub first: MeterTime,
    /// The largest time so far.
    pub latest: MeterTime,
}

impl CaptureClock {
    /// The first whole second at or after `event` that is still to come: no flow was due at an earlier one.
    pub fn second(&self, event: MeterTime) -> MeterTime {
        let to_come = self.latest.since(self.first) / SECOND + 1;
        let seconds = event.since(self.first).div_ceil(SECOND).max(to_come);
        self.first.after(seconds.saturating_mul(SECOND))
    }
}

/// An instant of the capture, where both clocks are one.
pub const fn instant(time: MeterTime) -> Now {
    Now::new(time.nanoseconds(), time.nanoseconds() / MILLISECOND)
}

impl<M: Captured> Engine<M> {
    /// Advances the clock to the next second before `time` at which work is due, or to `time` itself; gives the
    /// second. The caller steps until [`super::Wake::Idle`] before it asks again.
    pub fn advance(&mut self, clock: &mut CaptureClock, time: MeterTime) -> Option<MeterTime> {
        if time >= clock.second(MeterTime::START) {
            // So that the flows of packets without a slot are known, and when they are due.
            self.metering.drain_all();
        }
        loop {
            let deadline = self.dispatch.deadline();
            let second = clock.second(self.metering.next_due().min(deadline));
            if second > time {
                clock.latest = clock.latest.max(time);
                return None;
            }
            // Options data leave at a sweep: there is one in each timeout while a flow lives.
            let soon = second < self.swept.after(self.metering.rest());
            if soon && clock.second(deadline) > second && !self.metering.finds(second) {
                continue;
            }
            clock.latest = second;
            (self.second, self.waiting, self.resumes) = (Some(second), None, false);
            return Some(second);
        }
    }
}

impl<M: Metering> Engine<M> {
    /// The sweep of a capture's second; a sweep that found no room is resumed once collectors were sent the rest.
    pub(super) fn sweep_capture(&mut self, at: &Reading) -> anyhow::Result<()> {
        let is_due = self.second.is_some_and(|second| second > self.swept || self.resumes);
        if is_due && (!self.resumes || self.dispatch.is_settled(at.now, false)) {
            self.sweep(at, None)?;
        }
        Ok(())
    }

    /// The capture's clock stands still until every collector was sent its ready messages, or is given up.
    pub(super) fn wait_for_capture(&mut self, at: &Reading) {
        let begun = *self.waiting.get_or_insert(at.real);
        if !self.dispatch.is_settled(at.now, false) {
            self.dispatch.lose_patience(at.real, at.now, false, begun, self.rules.patience);
            self.deadlines.set(
                Timer::Patience,
                at.real.after(super::PROGRESS),
                "collectors that are waited for",
            );
        } else if self.resumes {
            self.deadlines.set(Timer::Patience, at.real, "no room for all that was due");
        } else {
            self.second = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CaptureClock, MeterTime, SECOND};

    #[test]
    fn sweeps_are_at_whole_seconds_behind_the_last_one() {
        let first = 7_500_000_000;
        let at = MeterTime::new;
        let clock = CaptureClock { first: at(first), latest: at(first) };
        let second = |clock: CaptureClock, event| clock.second(at(event)).since(at(first)) / SECOND;
        assert_eq!(second(clock, 0), 1);
        assert_eq!(second(clock, first), 1);
        assert_eq!(second(clock, first + SECOND), 1);
        assert_eq!(second(clock, first + SECOND + 1), 2);
        assert_eq!(second(clock, first + 15 * SECOND), 15);
        let later = CaptureClock { latest: at(first + 15 * SECOND), ..clock };
        assert_eq!(second(later, 0), 16);
        let between = CaptureClock { latest: at(first + 15 * SECOND - 1), ..clock };
        assert_eq!(second(between, 0), 15);
        assert_eq!(second(later, first + 15 * SECOND), 16);
        assert_eq!(second(later, first + 1000 * SECOND), 1000);
        assert_eq!(later.second(MeterTime::NEVER), MeterTime::NEVER);
    }
}
