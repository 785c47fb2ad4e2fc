//! The clocks of this machine: the only place of the agent that reads them.

use flowxdp_core::clock::{MILLISECOND, Now, WallClock};
use rustix::time::{ClockId, Timespec, clock_gettime};

fn nanoseconds(time: Timespec) -> u64 {
    u64::try_from(time.tv_sec)
        .unwrap_or(0)
        .saturating_mul(flowxdp_core::clock::SECOND)
        .saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// CLOCK_MONOTONIC, nanoseconds: the clock that the XDP program reads.
pub fn monotonic() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// The offset between the two clocks as it is now.
pub fn wall_clock() -> WallClock {
    let before = monotonic();
    let wall = nanoseconds(clock_gettime(ClockId::Realtime));
    let after = monotonic();
    WallClock::new(before + (after - before) / 2, wall)
}

/// Both clocks.
pub fn now() -> Now {
    Now { monotonic: monotonic(), wall_ms: nanoseconds(clock_gettime(ClockId::Realtime)) / MILLISECOND }
}
