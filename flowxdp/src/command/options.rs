//! Options that `run` and `replay` share.

mod exporting;

use std::time::Duration;

use flowxdp_core::retire::Timeouts;

pub use self::exporting::{ExportFlags, Exporting};
use crate::units;

/// The name of an interface, or a pattern.
///
/// # Errors
/// It is empty.
pub(super) fn interface(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        Err("an interface has a name: write it like eth0, or 'eth*'")
    } else {
        Ok(text.to_owned())
    }
}

/// How flows are metered.
#[derive(Clone, Debug, clap::Args)]
pub struct Metering {
    /// A flow without a packet for so long is over
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = units::positive_duration)]
    pub idle_timeout: Duration,
    /// A flow that goes on is exported after so long, and goes on in a new record
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = units::positive_duration)]
    pub active_timeout: Duration,
    /// IPv4 flows that the table holds
    #[arg(long, value_name = "COUNT", default_value = "1M", value_parser = units::flows)]
    pub flows: u64,
    /// IPv6 flows that the table holds, as many as IPv4 ones unless given
    #[arg(long, value_name = "COUNT", value_parser = units::flows)]
    pub flows6: Option<u64>,
}

impl Metering {
    /// The timeouts in nanoseconds.
    pub fn timeouts(&self) -> Timeouts {
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Timeouts { idle: nanoseconds(self.idle_timeout), active: nanoseconds(self.active_timeout) }
    }
}
