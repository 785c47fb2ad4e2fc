//! Values of flags, from what was typed.

use std::{num::NonZeroU32, time::Duration};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use flowxdp_core::{backoff, protocol::Protocol};

use crate::units;

/// The shortest interval of options data, templates, and names that are resolved.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// The largest resend window, octets: the largest buffer that `tcp_wmem` and `tcp_rmem` can ask for.
const LARGEST_WINDOW: u64 = 1 << 30;

/// A protocol by its name.
pub(super) fn protocols() -> impl TypedValueParser<Value = Protocol> {
    PossibleValuesParser::new(Protocol::ALL.map(Protocol::name))
        .try_map(|name| Protocol::named(&name).ok_or("it is not a protocol"))
}

pub(super) fn observation_domain(text: &str) -> Result<NonZeroU32, String> {
    let number =
        units::number(text).ok_or_else(|| format!("\"{text}\" is not a number from 1 to {}", u32::MAX))?;
    NonZeroU32::new(number).ok_or_else(|| "0 is for process-wide options: take a number from 1 on".to_owned())
}

pub(super) fn pace(text: &str) -> Result<u32, String> {
    count(text)
}

/// Messages from one with templates to the next: 1 puts them into each.
pub(super) fn template_messages(text: &str) -> Result<NonZeroU32, String> {
    NonZeroU32::new(count(text)?)
        .ok_or_else(|| "0 is no distance: take 1 for templates in each message".to_owned())
}

/// Octets that are kept in memory for each collector over TCP and TLS: no socket's buffers hold more than
/// [`LARGEST_WINDOW`].
pub(super) fn resend_window(text: &str) -> Result<u64, String> {
    let octets = units::size(text).map_err(|error| error.to_string())?;
    if octets > LARGEST_WINDOW {
        return Err(format!(
            "\"{text}\" is too large: at most {}GiB, which stay in memory",
            LARGEST_WINDOW >> 30
        ));
    }
    Ok(octets)
}

/// No shorter than the first wait.
pub(super) fn retry_limit(text: &str) -> Result<Duration, String> {
    at_least(Duration::from_nanos(backoff::FIRST), text)
}

/// Between two times of the same work, which is not to be all that the agent does.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    at_least(SHORTEST_INTERVAL, text)
}

fn at_least(least: Duration, text: &str) -> Result<Duration, String> {
    let duration = units::duration(text).map_err(|error| error.to_string())?;
    if duration < least {
        return Err(format!("\"{text}\" is too short: at least {}ms", least.as_millis()));
    }
    Ok(duration)
}

fn count(text: &str) -> Result<u32, String> {
    let count = units::count(text).map_err(|error| error.to_string())?;
    u32::try_from(count).map_err(|_| format!("\"{text}\" is too large: at most {}", u32::MAX))
}
