//! A reload of a live agent: its file is read again and compared, and all changes hold at one instant, or none does.
//!
//! asked → reading → (making a table) → applied, or refused with one line

use std::{fs::File, io::Read, os::fd::OwnedFd};

use anyhow::{Context, bail, ensure};

use super::{
    interfaces::{Interfaces, Selection},
    privileges,
};
use crate::{
    agent::engine::metering::Applied,
    config::{
        Config,
        diff::{Change, diff},
        flags::Source,
        print,
    },
    kernel::load::TableSize,
    loader::{Answer, Request},
    meter::{Asked, Meter, WITHOUT},
};

/// The configuration that holds, and the way to the next one.
pub(super) struct Reload {
    config: Config,
    source: Source,
    state: State,
}

enum State {
    Idle,
    /// The loader reads the file.
    Reading,
    /// The loader makes the table of this configuration.
    Making(Box<Next>, Asked),
}

/// A configuration whose changes can all be made.
struct Next {
    config: Config,
    selection: Selection,
    changed: Vec<String>,
}

/// Progress: nothing while the loader works, then the result.
type Progress = Option<anyhow::Result<Applied>>;

impl Reload {
    pub(super) const fn new(config: Config, source: Source) -> Self {
        Self { config, source, state: State::Idle }
    }

    /// Whether the configuration has a file.
    pub(super) fn has_file(&self) -> bool {
        self.source.file().is_some()
    }

    /// Asks for the file.
    ///
    /// # Errors
    ///
    /// There is no file or no loader, or the loader is busy.
    pub(super) fn begin(&mut self, meter: &mut Meter) -> anyhow::Result<()> {
        ensure!(self.has_file(), "the agent has no file to read again: start it with --config");
        meter.loader.as_mut().context(WITHOUT)?.ask(&Request::Configuration)?;
        self.state = State::Reading;
        Ok(())
    }

    /// Takes the next step, if the loader has answered.
    ///
    /// # Errors
    ///
    /// The kernel fails underneath, and the agent ends.
    pub(super) fn poll(
        &mut self,
        meter: &mut Meter,
        interfaces: &mut Interfaces,
        now: u64,
    ) -> anyhow::Result<Progress> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => Ok(None),
            State::Reading => match self.read(meter, interfaces) {
                Ok(None) => {
                    self.state = State::Reading;
                    Ok(None)
                }
                Ok(Some((next, None))) => self.apply(next, meter, interfaces, now),
                Ok(Some((next, Some(asked)))) => {
                    self.state = State::Making(Box::new(next), asked);
                    Ok(None)
                }
                Err(why) => Ok(Some(Err(why))),
            },
            State::Making(next, asked) => match meter.fill_next(&asked)? {
                Ok(true) => self.apply(*next, meter, interfaces, now),
                Ok(false) => {
                    self.state = State::Making(next, asked);
                    Ok(None)
                }
                Err(why) => Ok(Some(Err(why))),
            },
        }
    }

    /// The next configuration, once the loader has read its text; and its table, where that is another one.
    fn read(
        &self,
        meter: &mut Meter,
        interfaces: &Interfaces,
    ) -> anyhow::Result<Option<(Next, Option<Asked>)>> {
        let Some(text) = text(meter)? else { return Ok(None) };
        let config = privileges::read(&self.source, &text)?;
        let diff = diff(&self.config, &config);
        if let Some(why) = diff.refused.first() {
            bail!("{why}");
        }
        // Single elements of one group differ without a change of groups.
        ensure!(config.record == self.config.record, restart("record.collect"));
        let changed = diff.changes.iter().map(named).collect::<anyhow::Result<Vec<_>>>()?;
        let monitor = &config.monitor;
        let selection =
            Selection::new(&monitor.interface, monitor.mode, config.narrow(), |index| interfaces.has(index))?;
        let (flows_v4, flows_v6) = (monitor.flows, monitor.flows_v6());
        let size = meter.loaded.size;
        let is_another = (size.flows_v4, size.flows_v6) != (flows_v4, flows_v6);
        let asked = is_another.then(|| meter.ask_for_table(TableSize { flows_v4, flows_v6, ..size }));
        Ok(Some((Next { config, selection, changed }, asked.transpose()?)))
    }

    /// All changes apply here, between two sweeps.
    fn apply(
        &mut self,
        next: Next,
        meter: &mut Meter,
        interfaces: &mut Interfaces,
        now: u64,
    ) -> anyhow::Result<Progress> {
        let Next { config, selection, changed } = next;
        meter.set_timeouts(config.monitor.timeouts());
        interfaces.select(selection, meter, now)?;
        let applied = Applied { file: print::toml(&config), leave: config.monitor.keep, changed };
        self.config = config;
        Ok(Some(Ok(applied)))
    }
}

/// The text of the file, once the loader has read it.
fn text(meter: &mut Meter) -> anyhow::Result<Option<String>> {
    match meter.loader.as_mut().context(WITHOUT)?.answer()? {
        None => Ok(None),
        Some((Answer::File, Some(file))) => whole(file).map(Some),
        Some((Answer::Refused(why), _)) => bail!("{why}"),
        Some((answer, _)) => bail!("the loader answers {answer:?}"),
    }
}

fn whole(file: OwnedFd) -> anyhow::Result<String> {
    let mut text = String::new();
    File::from(file).read_to_string(&mut text).context("cannot read the text of the configuration")?;
    Ok(text)
}

/// A change in words.
///
/// # Errors
///
/// The change takes a restart.
fn named(change: &Change) -> anyhow::Result<String> {
    let list = |names: &[String]| names.join(", ");
    Ok(match change {
        Change::Interfaces { added, removed } if removed.is_empty() => {
            format!("interfaces {} are added", list(added))
        }
        Change::Interfaces { added, removed } if added.is_empty() => {
            format!("interfaces {} are released", list(removed))
        }
        Change::Interfaces { added, removed } => {
            format!("interfaces {} are added, {} released", list(added), list(removed))
        }
        Change::Mode(_) => "the mode of interfaces that come".to_owned(),
        Change::Timeouts(_) => "the timeouts".to_owned(),
        Change::Flows { v4, v6 } => format!("a table of {v4} IPv4 and {v6} IPv6 flows"),
        Change::Keep(true) => "a stop leaves the table to the next agent".to_owned(),
        Change::Keep(false) => "a stop empties the table".to_owned(),
        Change::Groups(_) => bail!(restart("record.collect")),
        Change::Dispatch { .. } => bail!(restart("exporting.strategy or failover-hold")),
        Change::ExporterAdded(url) | Change::ExporterRemoved(url) => {
            bail!(restart(&format!("exporter {url}")))
        }
        Change::ExporterChanged { from, .. } => bail!(restart(&format!("exporter {from}"))),
        Change::ExporterOrder(_) => bail!(restart("the order of exporters")),
        Change::Exporting(keys) => {
            let paths: Vec<String> = keys.iter().map(|key| key.path()).collect();
            bail!(restart(&paths.join(", ")))
        }
    })
}

fn restart(what: &str) -> String {
    format!("{what} cannot change while the agent runs: restart the agent, or change it back")
}
