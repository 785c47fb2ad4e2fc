//! The changes from one configuration to another, for an agent that runs.

use flowxdp_common::field::Groups;
use flowxdp_core::metering::retire::Timeouts;

use super::{
    Config, Names,
    key::{Key, RUN, Table},
    keys::KEYS,
};
use crate::{collector_url::CollectorUrl, exporting::dispatch::Strategy, kernel::attach::Mode};

/// A change that a running agent can make. Each is whole: its values are the new ones.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Names and patterns of interfaces that come and go.
    Interfaces {
        /// Values that were not there.
        added: Vec<String>,
        /// Values that are there no more.
        removed: Vec<String>,
    },
    /// Where the program runs, for interfaces that are attached from now on.
    Mode(Mode),
    /// Idle and active timeout, from the next sweep on.
    Timeouts(Timeouts),
    /// A table of another size, for IPv4 and IPv6: the old one drains.
    Flows {
        /// Slots for IPv4.
        v4: u64,
        /// Slots for IPv6.
        v6: u64,
    },
    /// Records with other fields; in a new table while the old one drains, where other groups are collected.
    Groups(Groups),
    /// Other packets are inspected for names, by another program.
    Names(Names),
    /// Whether table and attachments outlive a stop.
    Keep(bool),
    /// Which collector a record goes to.
    Dispatch {
        /// The rule.
        strategy: Strategy,
        /// How long a better collector must be back, nanoseconds.
        hold: u64,
    },
    /// A collector that was not there.
    ExporterAdded(CollectorUrl),
    /// A collector that is there no more: its queue is flushed, and its connection ends in order.
    ExporterRemoved(CollectorUrl),
    /// A collector that stays, at the same host, port and protocol, with other settings.
    ExporterChanged {
        /// As it is.
        from: Box<CollectorUrl>,
        /// As it is to be.
        to: Box<CollectorUrl>,
    },
    /// All exporters in their new order, which failover goes by.
    ExporterOrder(Vec<CollectorUrl>),
    /// Settings that all exporters have in common: the keys whose values differ.
    Exporting(Vec<&'static Key>),
}

/// The way from one configuration to another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff {
    /// Changes that the agent can make, exporters that go first.
    pub changes: Vec<Change>,
    /// A line for each key that cannot change while the agent runs. With any of them nothing is to change.
    pub refused: Vec<String>,
}

/// Keys that an agent uses at its start alone.
const FIXED: [(&str, &str); 8] = [
    ("monitor.pin", "the table and its attachments are pinned there"),
    ("monitor.socket", "the agent listens there"),
    ("monitor.chain", "the program was loaded for it"),
    ("monitor.tap", "the program was loaded for it"),
    ("monitor.no-confine", "privileges that were given up do not come back"),
    ("monitor.no-loader", "the loader is forked at the start"),
    ("spool.directory", "the spools are open there"),
    ("spool.limit", "the spools were opened with it"),
];

/// Keys of `[monitor]` and `[exporting]` with a change of their own.
const OWN: [&str; 10] = [
    "monitor.interface",
    "monitor.mode",
    "monitor.idle-timeout",
    "monitor.active-timeout",
    "monitor.timeouts",
    "monitor.flows",
    "monitor.flows6",
    "monitor.keep",
    "exporting.strategy",
    "exporting.failover-hold",
];

/// The way from `old` to `new`.
pub fn diff(old: &Config, new: &Config) -> Diff {
    let differs = |key: &&Key| key.get(old) != key.get(new);
    let refused = KEYS.iter().filter(differs).filter_map(|key| refusal(key, old, new)).collect();
    let mut changes = exporters(old, new);
    changes.extend(monitor(old, new));
    if old.record != new.record {
        changes.push(Change::Groups(new.record.groups()));
    }
    if old.names != new.names {
        changes.push(Change::Names(new.names));
    }
    let (was, is) = (&old.exporting, &new.exporting);
    if (was.strategy, was.failover_hold) != (is.strategy, is.failover_hold) {
        changes.push(Change::Dispatch { strategy: is.strategy, hold: super::nanoseconds(is.failover_hold) });
    }
    let common = KEYS.iter().filter(differs).filter(|key| is_common(key));
    let common: Vec<&'static Key> = common.collect();
    if !common.is_empty() {
        changes.push(Change::Exporting(common));
    }
    Diff { changes, refused }
}

/// Why a key whose values differ keeps its old one.
fn refusal(key: &Key, old: &Config, new: &Config) -> Option<String> {
    let (_, why) = FIXED.iter().find(|(path, _)| *path == key.path())?;
    let shown = |config: &Config| match key.get(config).first() {
        Some(text) => format!("\"{}\"", text.display()),
        None => "none".to_owned(),
    };
    Some(format!(
        "{} cannot change from {} to {} while the agent runs, as {why}: restart the agent",
        key.path(),
        shown(old),
        shown(new)
    ))
}

/// Whether all exporters have a setting in common, which `run` uses and which may change.
fn is_common(key: &Key) -> bool {
    let path = key.path();
    key.is_for(RUN)
        && matches!(key.table, Table::Exporting | Table::Spool | Table::Tls)
        && !OWN.contains(&path.as_str())
        && !FIXED.iter().any(|(fixed, _)| *fixed == path)
}

fn monitor(old: &Config, new: &Config) -> Vec<Change> {
    let (old, new) = (&old.monitor, &new.monitor);
    let mut changes = Vec::new();
    let without = |names: &[String], others: &[String]| -> Vec<String> {
        names.iter().filter(|name| !others.contains(name)).cloned().collect()
    };
    let (added, removed) = (without(&new.interface, &old.interface), without(&old.interface, &new.interface));
    if !added.is_empty() || !removed.is_empty() {
        changes.push(Change::Interfaces { added, removed });
    }
    if old.mode != new.mode {
        changes.push(Change::Mode(new.mode));
    }
    if old.timeouts() != new.timeouts() {
        changes.push(Change::Timeouts(new.timeouts()));
    }
    if (old.flows, old.flows_v6()) != (new.flows, new.flows_v6()) {
        changes.push(Change::Flows { v4: new.flows, v6: new.flows_v6() });
    }
    if old.keep != new.keep {
        changes.push(Change::Keep(new.keep));
    }
    changes
}

/// Exporters that go, change and come, and their order where it differs.
fn exporters(old: &Config, new: &Config) -> Vec<Change> {
    let same = |url: &CollectorUrl, at: &Config, other: &CollectorUrl, there: &Config| {
        url.endpoint(at.exporting.protocol) == other.endpoint(there.exporting.protocol)
    };
    let gone = old.exporter.iter().filter(|url| !new.exporter.iter().any(|other| same(url, old, other, new)));
    let mut changes: Vec<Change> = gone.cloned().map(Change::ExporterRemoved).collect();
    for to in &new.exporter {
        match old.exporter.iter().find(|from| same(from, old, to, new)) {
            None => changes.push(Change::ExporterAdded(to.clone())),
            Some(from) if from != to => {
                changes.push(Change::ExporterChanged { from: from.clone().into(), to: to.clone().into() });
            }
            Some(_) => {}
        }
    }
    let place = |to: &CollectorUrl| old.exporter.iter().position(|from| same(from, old, to, new));
    let places: Vec<usize> = new.exporter.iter().map(|to| place(to).unwrap_or(usize::MAX)).collect();
    if !places.is_sorted() {
        changes.push(Change::ExporterOrder(new.exporter.clone()));
    }
    changes
}

#[cfg(test)]
mod tests;
