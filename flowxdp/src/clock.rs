//! The clocks of this machine: the only place of the agent that reads them.

use std::sync::atomic::{AtomicI64, Ordering};

use flowxdp_core::clock::{AgentTime, MILLISECOND, Now, Reading, WallClock};
use rustix::time::{ClockId, Timespec, clock_gettime};

fn nanoseconds(time: Timespec) -> u64 {
    u64::try_from(time.tv_sec)
        .unwrap_or(0)
        .saturating_mul(flowxdp_core::clock::SECOND)
        .saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// Nanoseconds that the kernel's clock is ahead of this process's CLOCK_MONOTONIC: 0, but in a time namespace.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// CLOCK_MONOTONIC as this process sees it, nanoseconds.
fn own() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// The clock that the XDP program reads, nanoseconds: CLOCK_MONOTONIC of the kernel.
pub fn monotonic() -> u64 {
    own().saturating_add_signed(AHEAD.load(Ordering::Relaxed))
}

/// The agent's clock: [`monotonic`].
pub fn agent_time() -> AgentTime {
    AgentTime::new(monotonic())
}

/// Compares this process's clock with the kernel's, which `kernel` reads; from now on [`monotonic`] is the
/// latter. Gives the nanoseconds that it is ahead. To be called before any other time is read.
///
/// # Errors
///
/// The errors of `kernel`.
pub fn follow_kernel<E>(kernel: impl FnMut() -> Result<u64, E>) -> Result<i64, E> {
    let ahead = ahead(own, kernel)?;
    AHEAD.store(ahead, Ordering::Relaxed);
    Ok(ahead)
}

/// 0 where one reading of `kernel` lies between two of `own`: the clocks are one. Else the difference at the
/// two readings that are nearest to each other.
fn ahead<E>(mut own: impl FnMut() -> u64, mut kernel: impl FnMut() -> Result<u64, E>) -> Result<i64, E> {
    let mut best = (u64::MAX, 0);
    for _ in 0..TRIES {
        let before = own();
        let there = kernel()?;
        let after = own();
        if (before..=after).contains(&there) {
            return Ok(0);
        }
        let took = after.saturating_sub(before);
        if took < best.0 {
            best = (took, there.wrapping_sub(before + took / 2).cast_signed());
        }
    }
    Ok(best.1)
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
    reading().now
}

/// Both clocks, where metering goes by this machine's.
pub fn reading() -> Reading {
    let (monotonic, wall) = both();
    let now = Now::new(monotonic, wall / MILLISECOND);
    Reading { real: AgentTime::new(monotonic), now, wall: WallClock::new(monotonic, wall) }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, convert::Infallible};

    use super::ahead;

    /// The difference found where the kernel's clock is `apart` nanoseconds ahead, reading it takes
    /// `readings`, and the process stands still for as long.
    fn found(apart: i64, readings: &[u64]) -> i64 {
        let now = Cell::new(1_000_000_000_000_u64);
        let mut took = readings.iter().cycle();
        let kernel = || {
            let half = took.next().unwrap() / 2;
            now.set(now.get() + half);
            let there = now.get().checked_add_signed(apart).unwrap();
            now.set(now.get() + half);
            Ok::<_, Infallible>(there)
        };
        ahead(|| now.get(), kernel).unwrap()
    }

    #[test]
    fn one_clock_is_no_difference() {
        assert_eq!(found(0, &[2_000]), 0);
        assert_eq!(found(0, &[0]), 0);
        // As near as this they are not told apart, which makes no record's millisecond another one.
        assert_eq!(found(900, &[2_000]), 0);
    }

    #[test]
    fn another_namespaces_clock_is_found_by_the_quickest_reading() {
        for apart in [100_000_000_000_000, -900_000_000_000, 5_000_000] {
            assert_eq!(found(apart, &[2_000]), apart);
            assert_eq!(found(apart, &[4_000_000, 2_000, 8_000_000]), apart);
        }
    }
}
