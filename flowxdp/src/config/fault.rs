//! Faults of a configuration, each with its place.

use std::{ffi::OsStr, fmt, ops::Range, path::PathBuf};

use super::key::Key;

/// The place of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A flag of the command line.
    Flag(&'static Key),
    /// Octets of the file.
    File(Range<usize>),
    /// Neither: a value that is missing, or a default.
    Nowhere,
}

/// A fault: its place, and a sentence with the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// The fault and its remedy.
    pub text: String,
}

impl Fault {
    /// A fault of a place.
    pub fn new(place: Place, text: impl Into<String>) -> Self {
        Self { place, text: text.into() }
    }

    /// A text that is no value of a key.
    pub fn value(place: Place, key: &Key, typed: &OsStr, why: &str) -> Self {
        let text = match place {
            Place::Flag(_) => format!(
                "invalid value '{}' for '--{} <{}>': {why}",
                typed.display(),
                key.flag().unwrap_or_default(),
                key.value
            ),
            Place::File(_) | Place::Nowhere => format!("{}: {why}", key.path()),
        };
        Self { place, text }
    }
}

/// All faults of a configuration, which is not used then.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The path and the text of the file, if there is one.
    pub file: Option<(PathBuf, String)>,
    /// The faults, in the order of their places: the file, then flags.
    pub faults: Vec<Fault>,
}

impl Faults {
    /// Faults without a file.
    pub fn of_flags(faults: Vec<Fault>) -> Self {
        Self { file: None, faults }
    }
}

impl Faults {
    /// A text for each fault.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.faults.iter().map(|fault| fault.text.as_str())
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().collect::<Vec<_>>().join("\n"))
    }
}
