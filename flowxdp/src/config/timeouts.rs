//! Timeouts of a class of protocols, as in `tcp.idle=30s`.

use std::{ffi::OsString, time::Duration};

use flowxdp_core::metering::retire::{Class, Limits, Timeouts};

use super::{
    choices::{Choice, named},
    nanoseconds,
    value::{self, Text},
};
use crate::units;

/// One of the two timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The idle timeout.
    Idle,
    /// The active timeout.
    Active,
}

/// A timeout of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassTimeout {
    /// The class.
    pub class: Class,
    /// Which of its timeouts.
    pub kind: Kind,
    /// Its value.
    pub timeout: Duration,
}

impl ClassTimeout {
    /// The timeouts with this one.
    pub fn applied(&self, timeouts: Timeouts) -> Timeouts {
        let timeout = nanoseconds(self.timeout);
        timeouts.with(self.class, |Limits { idle, active }| match self.kind {
            Kind::Idle => *idle = timeout,
            Kind::Active => *active = timeout,
        })
    }
}

impl Choice for Class {
    fn all() -> Vec<(Self, &'static str, &'static str)> {
        Self::ALL.map(|class| (class, class.name(), "")).to_vec()
    }
}

impl Choice for Kind {
    fn all() -> Vec<(Self, &'static str, &'static str)> {
        vec![(Self::Idle, "idle", ""), (Self::Active, "active", "")]
    }
}

impl Text for ClassTimeout {
    fn text(&self) -> OsString {
        format!("{}.{}={}", self.class.name(), self.kind.name(), value::duration(self.timeout)).into()
    }
}

/// A timeout from `CLASS.KIND=DURATION`.
pub(super) fn class_timeout(text: &str) -> Result<ClassTimeout, String> {
    let parts = text.split_once('=').and_then(|(name, value)| Some((name.split_once('.')?, value)));
    let Some(((class, kind), timeout)) = parts else {
        return Err(format!("\"{text}\" is no timeout of a class: write it like tcp.idle=30s"));
    };
    Ok(ClassTimeout {
        class: named(class)?,
        kind: named(kind)?,
        timeout: units::positive_duration(timeout).map_err(|error| error.to_string())?,
    })
}
