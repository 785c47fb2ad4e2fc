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

/// Within so long both clocks are read at one instant, nanoseconds.
const INSTANT: u64 = MILLISECOND;

/// How often they are read again at most.
const TRIES: u32 = 10;

/// Both clocks at one instant, nanoseconds: read again when this process was stopped in between, for as long
/// as the two would be apart.
fn both() -> (u64, u64) {
    let read = || {
        let before = monotonic();
        let wall = nanoseconds(clock_gettime(ClockId::Realtime));
        let took = monotonic() - before;
        (took, before + took / 2, wall)
    };
    let mut best = read();
    for _ in 1..TRIES {
        if best.0 < INSTANT {
            break;
        }
        best = best.min(read());
    }
    (best.1, best.2)
}

/// The offset between the two clocks as it is now.
pub fn wall_clock() -> WallClock {
    let (monotonic, wall) = both();
    WallClock::new(monotonic, wall)
}

/// Both clocks.
pub fn now() -> Now {
    let (monotonic, wall) = both();
    Now { monotonic, wall_ms: wall / MILLISECOND }
}
