//! Values of flags, from what was typed.

use std::{num::NonZeroU32, time::Duration};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use flowxdp_core::{backoff, protocol::Protocol};

use crate::units;

/// A protocol by its name.
pub(super) fn protocols() -> impl TypedValueParser<Value = Protocol> {
    PossibleValuesParser::new(Protocol::ALL.map(Protocol::name))
        .try_map(|name| Protocol::named(&name).ok_or("it is not a protocol"))
}

pub(super) fn observation_domain(text: &str) -> Result<NonZeroU32, String> {
    let number =
        text.parse::<u32>().map_err(|_| format!("\"{text}\" is not a number from 1 to {}", u32::MAX))?;
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

/// No shorter than the first wait.
pub(super) fn retry_limit(text: &str) -> Result<Duration, String> {
    let limit = units::duration(text).map_err(|error| error.to_string())?;
    let least = Duration::from_nanos(backoff::FIRST);
    if limit < least {
        return Err(format!("\"{text}\" is too short: at least {}ms", least.as_millis()));
    }
    Ok(limit)
}

fn count(text: &str) -> Result<u32, String> {
    let count = units::count(text).map_err(|error| error.to_string())?;
    u32::try_from(count).map_err(|_| format!("\"{text}\" is too large: at most {}", u32::MAX))
}
