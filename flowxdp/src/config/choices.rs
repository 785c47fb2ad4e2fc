//! Values that have a name each, with a sentence for the help.

use flowxdp_core::{elements::options::Subject, exporting::protocol::Protocol, exporting::session::Preset};

use super::{Fragments, Tunnels};
use crate::{exporting::dispatch::Strategy, kernel::attach::Mode};

/// A value out of a few.
pub trait Choice: Copy + PartialEq + 'static {
    /// Every value with its name and a sentence, which may be empty.
    fn all() -> Vec<(Self, &'static str, &'static str)>;

    /// The name in flags and files.
    fn name(&self) -> &'static str {
        Self::all().iter().find(|(value, ..)| value == self).map_or("", |(_, name, _)| name)
    }
}

/// The value of a name, in any case.
///
/// # Errors
///
/// The text is no name: all names.
pub fn named<T: Choice>(text: &str) -> Result<T, String> {
    let all = T::all();
    let found = all.iter().find(|(_, name, _)| name.eq_ignore_ascii_case(text));
    let known = || names(&all.iter().map(|(_, name, _)| *name).collect::<Vec<_>>());
    found.map(|(value, ..)| *value).ok_or_else(|| format!("\"{text}\" is unknown: use {}", known()))
}

/// Names in a sentence.
pub fn names(names: &[&str]) -> String {
    match names {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        names => names.concat(),
    }
}

impl Choice for Protocol {
    fn all() -> Vec<(Self, &'static str, &'static str)> {
        Self::ALL.map(|protocol| (protocol, protocol.name(), "")).to_vec()
    }
}

impl Choice for Preset {
    fn all() -> Vec<(Self, &'static str, &'static str)> {
        Self::ALL.map(|preset| (preset, preset.name(), "")).to_vec()
    }
}

impl Choice for Subject {
    fn all() -> Vec<(Self, &'static str, &'static str)> {
        Self::ALL.map(|subject| (subject, subject.name(), "")).to_vec()
    }
}

impl Choice for Mode {
    fn all() -> Vec<(Self, &'static str, &'static str)> {
        vec![
            (Self::Auto, "auto", "In the driver where it can, else in the kernel's stack, with a warning"),
            (Self::Native, "native", "In the driver, or not at all"),
            (Self::Generic, "generic", "In the kernel's stack: slower, works everywhere"),
        ]
    }
}

impl Choice for Strategy {
    fn all() -> Vec<(Self, &'static str, &'static str)> {
        vec![
            (Self::Replicate, "replicate", "Every collector gets every record"),
            (
                Self::Balance,
                "balance",
                "Each flow goes to one collector; one that is lost moves its own share only",
            ),
            (Self::Failover, "failover", "The first collector that is there gets every record"),
        ]
    }
}

impl Choice for Tunnels {
    fn all() -> Vec<(Self, &'static str, &'static str)> {
        vec![
            (Self::Outer, "outer", "The outermost one: tunnels stay closed"),
            (
                Self::Inner,
                "inner",
                "The one inside IP in IP, GRE, VXLAN, Geneve or GTP-U, two tunnels deep at most; with the group tunnel",
            ),
        ]
    }
}

impl Choice for Fragments {
    fn all() -> Vec<(Self, &'static str, &'static str)> {
        vec![
            (Self::Separate, "separate", "None: they are flows of their own"),
            (Self::Join, "join", "Those of the first fragment, if that came at most 30 seconds before"),
        ]
    }
}
