//! The interfaces that a configuration names, checked against the links of this machine.

use anyhow::{bail, ensure};

use super::{
    super::{
        choose::{Choice, choose, is_named},
        wanted::Wanted,
    },
    tap,
};
use crate::{
    config::Monitor,
    kernel::{
        attach::Mode,
        link::{self, Link},
    },
};

/// Names and patterns of interfaces, and the mode of metering.
pub(in super::super) struct Selection {
    /// Names and patterns.
    pub(super) wanted: Vec<Wanted>,
    /// Where the program runs.
    pub(super) mode: Mode,
    /// Protocols of collectors that hold no ifIndex above 65,535.
    pub(super) narrow: Option<String>,
}

impl Selection {
    /// `is_metered` is asked of each link by its ifIndex.
    ///
    /// # Errors
    ///
    /// A name stands twice, is no interface's, or is that of an interface that cannot be metered, or be a tap.
    pub(in super::super) fn new(
        monitor: &Monitor,
        narrow: Option<String>,
        is_metered: impl Fn(u32) -> bool,
    ) -> anyhow::Result<Self> {
        let mut wanted = Vec::new();
        for name in monitor.interface.iter().map(|name| Wanted::new(name)) {
            ensure!(!name.as_str().is_empty(), "--interface has an empty name: leave it out");
            ensure!(!wanted.contains(&name), "interface {} is named twice: name it once", name.as_str());
            wanted.push(name);
        }
        let all = link::all()?;
        each_is_there_once(&wanted, &all)?;
        let choice = choose(&wanted, &all, is_metered);
        none_is_refused(&choice)?;
        if monitor.tap {
            for link in choice.taken.iter().filter(|link| is_named(&wanted, link)) {
                tap::refuse_used(link, &all, &wanted)?;
            }
        }
        Ok(Self { wanted, mode: monitor.mode, narrow })
    }
}

/// Each name is one interface's, and no two names are of the same.
fn each_is_there_once(wanted: &[Wanted], all: &[Link]) -> anyhow::Result<()> {
    for name in wanted.iter().filter(|name| !name.is_pattern()) {
        let there = || all.iter().map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ");
        ensure!(
            all.iter().any(|link| name.stands_for(link)),
            "there is no interface {}: name one of {}",
            name.as_str(),
            there()
        );
    }
    for link in all {
        let named = wanted.iter().filter(|wanted| !wanted.is_pattern() && wanted.stands_for(link));
        let named: Vec<_> = named.map(Wanted::as_str).collect();
        ensure!(
            named.len() < 2,
            "interface {} is named twice, as {}: name it once",
            link.name,
            named.join(" and as ")
        );
    }
    Ok(())
}

/// At the start a named interface is metered or an error.
pub(super) fn none_is_refused(choice: &Choice<'_>) -> anyhow::Result<()> {
    match choice.left_out.iter().find(|left| left.is_named) {
        Some(left) => bail!("{}", left.why()),
        None => Ok(()),
    }
}
