//! The one table of deadlines: its earliest row is the wake-up.

use std::{collections::BTreeMap, fmt};

use flowxdp_core::clock::{AgentTime, MILLISECOND};

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The next sweep over the flow tables.
    Sweep,
    /// The next reading of the first packets of flows.
    Inspect,
    /// The next listing of the interfaces.
    Interfaces,
    /// The end of a flush whose records do not leave.
    Flush,
    /// The next look at the progress of collectors that a capture's clock waits for.
    Patience,
    /// The next step of the ending.
    Ending,
    /// The next poll of the collector with this number.
    Collector(usize),
}

/// The instant, and the rule that set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The instant.
    pub at: AgentTime,
    /// The rule that set it.
    pub by: &'static str,
}

/// All deadlines of an engine, on the agent's clock.
#[derive(Clone, Debug, Default)]
pub struct Deadlines(BTreeMap<Timer, Deadline>);

impl Deadlines {
    /// Sets a row; [`AgentTime::NEVER`] takes it out.
    pub fn set(&mut self, timer: Timer, at: AgentTime, by: &'static str) {
        if at == AgentTime::NEVER {
            self.0.remove(&timer);
        } else {
            self.0.insert(timer, Deadline { at, by });
        }
    }

    /// Sets a row to an earlier instant than it has, if this is one.
    pub fn lower(&mut self, timer: Timer, at: AgentTime, by: &'static str) {
        if self.0.get(&timer).is_none_or(|deadline| at < deadline.at) {
            self.set(timer, at, by);
        }
    }

    /// Takes a row out.
    pub fn clear(&mut self, timer: Timer) {
        self.0.remove(&timer);
    }

    /// Takes out the rows of collectors from this number on: a reload left fewer.
    pub fn forget_collectors(&mut self, from: usize) {
        self.0.retain(|timer, _| !matches!(timer, Timer::Collector(number) if *number >= from));
    }

    /// Whether a row's instant has come.
    pub fn is_due(&self, timer: Timer, now: AgentTime) -> bool {
        self.0.get(&timer).is_some_and(|deadline| deadline.at <= now)
    }

    /// The earliest row.
    pub fn earliest(&self) -> Option<(Timer, Deadline)> {
        self.0.iter().map(|(timer, deadline)| (*timer, *deadline)).min_by_key(|(_, deadline)| deadline.at)
    }

    /// The table as text, each instant as the time from `now` on; `name` gives a collector's name.
    pub fn shown(&self, now: AgentTime, name: impl Fn(usize) -> String) -> String {
        let row = |(timer, deadline): (&Timer, &Deadline)| {
            let what = match timer {
                Timer::Collector(number) => format!("collector {}", name(*number)),
                other => other.to_string(),
            };
            format!("{what} in {} ms ({})", deadline.at.since(now) / MILLISECOND, deadline.by)
        };
        self.0.iter().map(row).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Timer {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sweep => text.write_str("sweep"),
            Self::Inspect => text.write_str("inspect"),
            Self::Interfaces => text.write_str("interfaces"),
            Self::Flush => text.write_str("flush"),
            Self::Patience => text.write_str("patience"),
            Self::Ending => text.write_str("ending"),
            Self::Collector(number) => write!(text, "collector {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(nanoseconds: u64) -> AgentTime {
        AgentTime::new(nanoseconds)
    }

    #[test]
    fn the_earliest_row_is_the_wake_up_and_rows_come_and_go() {
        let mut deadlines = Deadlines::default();
        assert_eq!(deadlines.earliest(), None);
        deadlines.set(Timer::Sweep, at(900), "each second");
        deadlines.set(Timer::Collector(1), at(300), "exporter");
        deadlines.set(Timer::Interfaces, AgentTime::NEVER, "never");
        assert_eq!(
            deadlines.earliest(),
            Some((Timer::Collector(1), Deadline { at: at(300), by: "exporter" }))
        );
        assert!(deadlines.is_due(Timer::Collector(1), at(300)) && !deadlines.is_due(Timer::Sweep, at(300)));
        deadlines.set(Timer::Collector(1), AgentTime::NEVER, "exporter");
        assert_eq!(deadlines.earliest().map(|(timer, _)| timer), Some(Timer::Sweep));
        assert!(!deadlines.is_due(Timer::Interfaces, AgentTime::NEVER));
    }

    #[test]
    fn the_table_says_which_rule_set_each_row() {
        let mut deadlines = Deadlines::default();
        deadlines.set(Timer::Collector(0), at(2 * MILLISECOND), "pace");
        deadlines.set(Timer::Sweep, at(7 * MILLISECOND), "each second");
        let text = deadlines.shown(at(2 * MILLISECOND), |number| format!("udp://192.0.2.{number}"));
        assert_eq!(text, "sweep in 5 ms (each second), collector udp://192.0.2.0 in 0 ms (pace)");
    }
}
