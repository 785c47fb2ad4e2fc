//! Values of keys from text, with their limits.

use std::time::Duration;

use flowxdp_common::{
    field::Group,
    tunnel::{GENEVE_PORT, GTP_PORT},
};
use flowxdp_core::{elements::ELEMENTS, exporting::backoff};

use super::choices::names;
use crate::units;

/// The shortest interval of options data, templates, and names that are resolved.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// The largest resend window, octets: the largest buffer that `tcp_wmem` and `tcp_rmem` can ask for.
const LARGEST_WINDOW: u64 = 1 << 30;

/// Segments of UDP that the kernel takes at once, at most.
const MOST_SEGMENTS: u32 = 16;

/// Packets of a record that are inspected, at most: names are in the first ones.
const MOST_FIRST: u32 = 255;

/// The name of an interface, or a pattern.
pub(crate) fn interface(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("an interface has a name: write it like eth0, or 'eth*'".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// The group of a group's name, or of an element's.
pub(super) fn group(name: &str) -> Option<Group> {
    let element = || ELEMENTS.iter().find(|element| element.name == name).map(|element| element.group);
    Group::from_name(name).or_else(element)
}

/// The name of a group of fields, or IANA's name of an element that records can have.
pub(super) fn collected(text: &str) -> Result<String, String> {
    let known = || Group::ALL.into_iter().filter(|group| *group != Group::Base).map(Group::name);
    match group(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!(
            "\"{text}\" is neither a group of fields nor an element: use {}, or a name of the manual's elements.md",
            names(&known().collect::<Vec<_>>())
        )),
    }
}

pub(super) fn interface_index(text: &str) -> Result<u32, String> {
    units::number(text).ok_or_else(|| format!("\"{text}\" is not a number from 0 to {}", u32::MAX))
}

/// `true` or `false`.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("\"{text}\" is neither true nor false"))
}

pub(super) fn observation_domain(text: &str) -> Result<u32, String> {
    match units::number(text) {
        Some(0) => Err("0 is for process-wide options: take a number from 1 on".to_owned()),
        Some(number) => Ok(number),
        None => Err(format!("\"{text}\" is not a number from 1 to {}", u32::MAX)),
    }
}

/// Packets of a record that may be inspected.
pub(super) fn first_packets(text: &str) -> Result<u32, String> {
    let number = units::number(text).filter(|number| (1..=MOST_FIRST).contains(number));
    number.ok_or_else(|| format!("\"{text}\" is not a number from 1 to {MOST_FIRST}"))
}

/// Packets a second and CPU, of which each moment has some.
pub(super) fn names_budget(text: &str) -> Result<u32, String> {
    match pace(text)? {
        0 => Err("0 leaves no packet to inspect: leave names out of --collect, or take a number from 1 on"
            .to_owned()),
        budget => Ok(budget),
    }
}

pub(super) fn udp_segments(text: &str) -> Result<u8, String> {
    let number = units::number(text).filter(|number| (1..=MOST_SEGMENTS).contains(number));
    let wrong = || format!("\"{text}\" is not a number from 1 to {MOST_SEGMENTS}");
    u8::try_from(number.ok_or_else(wrong)?).map_err(|_| wrong())
}

/// Messages from one with templates to the next: 1 puts them into each.
pub(super) fn template_messages(text: &str) -> Result<u32, String> {
    match pace(text)? {
        0 => Err("0 is no distance: take 1 for templates in each message".to_owned()),
        messages => Ok(messages),
    }
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

/// A count of 32 bits.
pub(super) fn pace(text: &str) -> Result<u32, String> {
    let count = units::count(text).map_err(|error| error.to_string())?;
    u32::try_from(count).map_err(|_| format!("\"{text}\" is too large: at most {}", u32::MAX))
}

/// A UDP port of VXLAN, which no other tunnel has.
pub(crate) fn vxlan_port(text: &str) -> Result<u16, String> {
    let port = units::number(text).and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0);
    match port {
        Some(GENEVE_PORT) => Err(format!("{GENEVE_PORT} is the port of Geneve: take another one")),
        Some(GTP_PORT) => Err(format!("{GTP_PORT} is the port of GTP-U: take another one")),
        Some(port) => Ok(port),
        None => Err(format!("\"{text}\" is not a number from 1 to {}", u16::MAX)),
    }
}
