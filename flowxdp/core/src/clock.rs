//! Time as the core sees it: given by the caller, never read.

/// An instant on both clocks.
///
/// Live, `monotonic` is CLOCK_MONOTONIC; in a replay both follow the capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Nanoseconds of the clock that timers and the flow table use. Never goes back.
    pub monotonic: u64,
    /// Milliseconds since 1970-01-01 UTC. May step in either direction.
    pub wall_ms: u64,
}

/// Nanoseconds in one second.
pub const SECOND: u64 = 1_000_000_000;
/// Nanoseconds in one millisecond.
pub const MILLISECOND: u64 = 1_000_000;

/// The one offset between the table's clock and the time of day.
///
/// Both ends of a record are converted with the same offset, so that a step of the clock never makes an
/// end precede its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WallClock {
    /// Nanoseconds to add to the monotonic clock.
    offset: i64,
}

impl WallClock {
    /// The offset that holds when the two clocks show these times, nanoseconds.
    pub fn new(monotonic: u64, wall: u64) -> Self {
        Self { offset: wall.wrapping_sub(monotonic).cast_signed() }
    }

    /// Milliseconds since 1970, rounded down, for a time of the monotonic clock.
    pub fn wall_ms(self, monotonic: u64) -> u64 {
        self.wall(monotonic) / MILLISECOND
    }

    /// Nanoseconds since 1970 for a time of the monotonic clock.
    pub fn wall(self, monotonic: u64) -> u64 {
        monotonic.saturating_add_signed(self.offset)
    }
}

/// One reading of every clock, by which a turn of the agent acts.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The machine's monotonic clock, nanoseconds: sockets and patience follow it.
    pub real: u64,
    /// The metering clock and the time of day: the machine's, or the capture's.
    pub now: Now,
    /// From the metering clock to the time of day, for the times in records.
    pub wall: WallClock,
}
