//! Steps of the time of day.

use anyhow::{Context, Result};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

/// Whether the time of day may be set here: the call sets it to its present value.
pub(crate) fn may_be_set() -> bool {
    clock_settime(ClockId::Realtime, clock_gettime(ClockId::Realtime)).is_ok()
}

/// A step, until this is dropped.
pub(crate) struct Step {
    seconds: i64,
}

impl Step {
    /// The clock goes forward, or back.
    pub(crate) fn by(seconds: i64) -> Result<Self> {
        set(seconds)?;
        Ok(Self { seconds })
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Err(error) = set(-self.seconds) {
            eprintln!("the time of day is {} s off: {error:#}", self.seconds);
        }
    }
}

fn set(seconds: i64) -> Result<()> {
    if seconds == 0 {
        return Ok(());
    }
    let now = clock_gettime(ClockId::Realtime);
    let then = Timespec { tv_sec: now.tv_sec + seconds, ..now };
    clock_settime(ClockId::Realtime, then).context("setting the clock")
}
