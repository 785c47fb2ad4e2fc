//! How long a collector has been waited for in vain, on the real clock.
//!
//! Only time in which the caller waits counts, whatever is metered in between. A message that the kernel takes
//! is progress as long as its connection stands; a connection that breaks at once and confirms nothing was
//! none, or a collector that resets each connection would be waited for anew at each moment of a capture.

use flowxdp_core::clock::AgentTime;

/// Time that a caller waited for one collector, nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Since the last message that the kernel took.
    idle: u64,
    /// Since the last progress that no break can revoke.
    vain: u64,
    /// Until when time has been added.
    counted: AgentTime,
}

impl Patience {
    /// The caller has waited since `begun`, and does so still at `real`; gives for how long without progress.
    pub(super) fn waited(&mut self, begun: AgentTime, real: AgentTime) -> u64 {
        let more = real.since(self.counted.max(begun));
        self.counted = self.counted.max(real);
        self.idle += more;
        self.vain += more;
        self.idle
    }

    /// The kernel took a message.
    pub(super) const fn progress(&mut self) {
        self.idle = 0;
    }

    /// The connection is over; with `firm` its progress counts for good.
    pub(super) const fn over(&mut self, firm: bool) {
        if firm {
            self.vain = 0;
        }
        self.idle = self.vain;
    }
}

#[cfg(test)]
mod tests {
    use super::{AgentTime, Patience};

    const fn at(nanoseconds: u64) -> AgentTime {
        AgentTime::new(nanoseconds)
    }

    #[test]
    fn only_waiting_counts() {
        let mut patience = Patience::default();
        assert_eq!(patience.waited(at(100), at(100)), 0);
        assert_eq!(patience.waited(at(100), at(107)), 7);
        assert_eq!(patience.waited(at(1_000), at(1_005)), 12);
        patience.progress();
        assert_eq!(patience.waited(at(1_000), at(1_006)), 1);
    }

    #[test]
    fn a_break_revokes_progress_that_is_not_firm() {
        let mut patience = Patience::default();
        for begun in [0, 100, 200] {
            patience.waited(at(begun), at(begun + 10));
            patience.progress();
            patience.over(false);
        }
        assert_eq!(patience.waited(at(300), at(305)), 35);
        patience.over(true);
        assert_eq!(patience.waited(at(300), at(306)), 1);
    }
}
