//! A row of the table of keys, and its derived values.

use std::{ffi::OsString, fmt};

use super::{
    Config, choices,
    value::{self, Refused},
};

/// Commands that take flags of the table, a bit each.
pub type Commands = u8;

/// `flowxdp run`.
pub const RUN: Commands = 1;
/// `flowxdp replay`.
pub const REPLAY: Commands = 1 << 1;
/// `flowxdp check`, which takes every flag.
pub const CHECK: Commands = 1 << 2;
/// Both that meter.
pub const BOTH: Commands = RUN | REPLAY;

/// A table of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// `[monitor]`.
    Monitor,
    /// `[record]`.
    Record,
    /// `[exporting]`.
    Exporting,
    /// `[[exporter]]`, one for each collector.
    Exporter,
    /// `[spool]`.
    Spool,
    /// `[names]`.
    Names,
    /// `[tls]`.
    Tls,
}

impl Table {
    /// All tables, in the order of the file.
    pub const ALL: [Self; 7] =
        [Self::Monitor, Self::Record, Self::Names, Self::Exporting, Self::Exporter, Self::Spool, Self::Tls];

    /// The name in brackets.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Monitor => "monitor",
            Self::Record => "record",
            Self::Exporting => "exporting",
            Self::Exporter => "exporter",
            Self::Spool => "spool",
            Self::Names => "names",
            Self::Tls => "tls",
        }
    }

    /// The line in front of its keys.
    pub fn header(self) -> String {
        match self {
            Self::Exporter => format!("[[{}]]", self.name()),
            table => format!("[{}]", table.name()),
        }
    }

    /// The table of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// The contents in a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Monitor => "The packets that are metered.",
            Self::Record => "The fields that a flow record has beyond the base ones.",
            Self::Exporting => "Settings that all exporters have in common.",
            Self::Exporter => "One collector; repeat the table for several.",
            Self::Spool => "The disk, where records wait for a collector over TCP or TLS.",
            Self::Names => "The packets that are inspected for names, where the group `names` is collected.",
            Self::Tls => "TLS towards collectors that have no setting of their own.",
        }
    }
}

/// The form of a value.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// A string.
    Text,
    /// A path, a string.
    Path,
    /// A string with units.
    Duration,
    /// An integer, or a string with a decimal suffix.
    Count,
    /// An integer, or a string with a suffix: octets.
    Size,
    /// An integer.
    Number,
    /// `true` or `false`.
    Switch,
    /// A table of texts, which may have further tables in it; `path.to.key=value` as a text.
    Tree,
    /// One of some names, each with a sentence.
    Choice(fn() -> Vec<(&'static str, &'static str)>),
}

/// How the value of a key comes into the configuration and out of it.
#[derive(Clone, Copy)]
pub enum Access {
    /// A field of [`Config`].
    Field {
        /// From texts; gives the texts that are no value.
        set: fn(&mut Config, &[OsString]) -> Vec<Refused>,
        /// As texts, none for a value that is missing.
        get: fn(&Config) -> Vec<OsString>,
    },
    /// A parameter of a collector's URL.
    Parameter,
}

/// A row: a key of the file, and its flag.
pub struct Key {
    /// The table that it stands in.
    pub table: Table,
    /// The name in the table.
    pub name: &'static str,
    /// The value's name in the help.
    pub value: &'static str,
    /// The form of the value, or of each value of a list.
    pub form: Form,
    /// The value is a list: an array in the file, a flag that repeats and takes commas.
    pub list: bool,
    /// A value, or a value of the list, as TOML.
    pub example: &'static str,
    /// The text of the default; empty for none.
    pub default: &'static str,
    /// Commands on which the key has an effect.
    pub commands: Commands,
    /// Help and comment, without a full stop.
    pub sentence: &'static str,
    /// Where the value is.
    pub access: Access,
}

impl Key {
    /// The flag without its dashes; `None` for a parameter of a collector's URL.
    pub fn flag(&self) -> Option<String> {
        let name = self.name;
        match (self.table, name) {
            (Table::Exporter, "collector") => Some(name.to_owned()),
            (Table::Exporter, _) => None,
            (Table::Spool, "directory") => Some("spool".to_owned()),
            (Table::Monitor | Table::Record | Table::Exporting, _) => Some(name.to_owned()),
            (table, _) => Some(format!("{}-{name}", table.name())),
        }
    }

    /// The texts of the default.
    pub fn defaults(&self) -> Vec<OsString> {
        self.default
            .split(|letter| letter == ',' && self.list)
            .filter(|text| !text.is_empty())
            .map(OsString::from)
            .collect()
    }

    /// Whether a command takes the flag.
    pub const fn is_for(&self, command: Commands) -> bool {
        command == CHECK || self.commands & command != 0
    }

    /// The names of a choice, in a sentence.
    pub fn names(&self) -> Option<String> {
        let Form::Choice(all) = self.form else { return None };
        Some(choices::names(&all().iter().map(|(name, _)| *name).collect::<Vec<_>>()))
    }

    /// Whether the list is one parameter of a URL, with commas.
    pub fn is_one_value(&self) -> bool {
        self.list && self.name == "fields"
    }

    /// The path in the file.
    pub fn path(&self) -> String {
        format!("{}.{}", self.table.name(), self.name)
    }

    /// Sets the value from texts; gives the texts that are no value.
    pub fn set(&self, config: &mut Config, texts: &[OsString]) -> Vec<Refused> {
        match self.access {
            Access::Field { set, .. } => set(config, texts),
            Access::Parameter => Vec::new(),
        }
    }

    /// The value as texts, in the shortest form.
    pub fn get(&self, config: &Config) -> Vec<OsString> {
        match self.access {
            Access::Field { get, .. } => get(config).into_iter().map(|text| self.shortest(text)).collect(),
            Access::Parameter => Vec::new(),
        }
    }

    fn shortest(&self, text: OsString) -> OsString {
        match (self.form, text.to_str()) {
            (Form::Count, Some(digits)) => value::count(digits).into(),
            (Form::Size, Some(digits)) => value::size(digits).into(),
            _ => text,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

impl PartialEq for Key {
    /// Rows are one where their paths are.
    fn eq(&self, other: &Self) -> bool {
        (self.table, self.name) == (other.table, other.name)
    }
}

impl Eq for Key {}
