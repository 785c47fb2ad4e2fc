//! Time as the core sees it: given by the caller, never read.

/// An instant on both clocks.
///
/// Live, `monotonic` is CLOCK_MONOTONIC; in a replay both follow the capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// The metering clock: timers and the flow table use it. Never goes back.
    pub monotonic: MeterTime,
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

/// The instants of one clock: an instant of another clock does not compile in their place.
macro_rules! instants {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(u64);

        impl $name {
            /// The clock's zero.
            pub const START: Self = Self(0);
            /// Later than every instant.
            pub const NEVER: Self = Self(u64::MAX);

            /// The instant so many nanoseconds after the clock's zero.
            pub const fn new(nanoseconds: u64) -> Self {
                Self(nanoseconds)
            }

            /// Nanoseconds since the clock's zero.
            pub const fn nanoseconds(self) -> u64 {
                self.0
            }

            /// Nanoseconds since an earlier instant; 0 since a later one.
            pub const fn since(self, earlier: Self) -> u64 {
                self.0.saturating_sub(earlier.0)
            }

            /// The instant so many nanoseconds earlier, [`Self::START`] at the earliest.
            pub const fn before(self, nanoseconds: u64) -> Self {
                Self(self.0.saturating_sub(nanoseconds))
            }

            /// The instant so many nanoseconds later, [`Self::NEVER`] at the latest.
            pub const fn after(self, nanoseconds: u64) -> Self {
                Self(self.0.saturating_add(nanoseconds))
            }
        }

        impl std::ops::Add<u64> for $name {
            type Output = Self;

            fn add(self, nanoseconds: u64) -> Self {
                self.after(nanoseconds)
            }
        }
    };
}

instants! {
    /// An instant of the agent's clock, the machine's monotonic one: sockets, retries and patience go by it.
    AgentTime
}

instants! {
    /// An instant of the metering clock: the machine's monotonic one, or a capture's. Flows, templates and
    /// messages are due by it.
    MeterTime
}

impl Now {
    /// So many nanoseconds of the metering clock, and milliseconds since 1970.
    pub const fn new(monotonic: u64, wall_ms: u64) -> Self {
        Self { monotonic: MeterTime::new(monotonic), wall_ms }
    }

    /// The metering clock's instant.
    pub const fn metering(self) -> MeterTime {
        self.monotonic
    }
}

/// One reading of every clock, by which a turn of the agent acts.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The agent's clock.
    pub real: AgentTime,
    /// The metering clock and the time of day: the machine's, or the capture's.
    pub now: Now,
    /// From the metering clock to the time of day, for the times in records.
    pub wall: WallClock,
}

impl Reading {
    /// When the agent's clock will show an instant of the metering clock, as long as the two advance alike: live.
    pub const fn agent_time(&self, at: MeterTime) -> AgentTime {
        if at.0 == MeterTime::NEVER.0 {
            AgentTime::NEVER
        } else {
            self.real.after(at.since(self.now.metering()))
        }
    }
}

/// Milliseconds from system start to an instant, modulo 2^32 as RFC 3954 has sysUptime wrap (49.7 days).
#[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is what the protocol says")]
pub(crate) const fn uptime(ms: u64, system_start_ms: u64) -> u32 {
    ms.wrapping_sub(system_start_ms) as u32
}

#[cfg(test)]
mod tests {
    use super::{AgentTime, MeterTime, Now, Reading, WallClock};

    #[test]
    fn an_instant_of_the_metering_clock_is_as_far_away_on_the_agents() {
        let now = Now::new(500, 7);
        let at = Reading { real: AgentTime::new(90), now, wall: WallClock::default() };
        for (metering, agent) in [(500, 90), (507, 97), (3, 90), (u64::MAX, u64::MAX)] {
            assert_eq!(at.agent_time(MeterTime::new(metering)), AgentTime::new(agent));
        }
    }

    #[test]
    fn distances_and_sums_stay_in_range() {
        let (early, late) = (MeterTime::new(3), MeterTime::new(10));
        assert_eq!((late.since(early), early.since(late)), (7, 0));
        assert_eq!((early.after(7), late.after(u64::MAX)), (late, MeterTime::NEVER));
    }
}
