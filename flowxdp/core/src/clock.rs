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
