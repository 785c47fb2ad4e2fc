//! A reload of a live agent: its file is read again and compared, and all changes hold at one instant, or none does.
//!
//! asked → reading → (making a table) → applied, or refused with one line

use std::{fs::File, io::Read, os::fd::OwnedFd, sync::Arc};

use anyhow::{Context, bail, ensure};
use flowxdp_common::field::Group;
use flowxdp_core::clock::Reading;

use super::{
    interfaces::{Interfaces, Selection},
    privileges,
};
use crate::{
    agent::engine::metering::Applied,
    agent::loader::{Answer, Request},
    config::{
        Config,
        choices::Choice,
        diff::{Change, diff},
        flags::Source,
        print,
    },
    exporting::dispatch::{Dispatch, change::Plan},
    exporting::exporter::Settings,
    kernel::load::TableSize,
    metering::meter::{Asked, Meter, WITHOUT},
    transport::readiness::Readiness,
};

/// The configuration that holds, and the way to the next one.
pub(super) struct Reload {
    config: Config,
    source: Source,
    exporting: Exporting,
    state: State,
}

/// Values of exporters that no configuration has.
pub(super) struct Exporting {
    /// Milliseconds since 1970.
    pub(super) system_start_ms: u64,
    pub(super) readiness: Arc<Readiness>,
}

/// The parts of the agent that a reload changes.
pub(super) struct Running<'a> {
    pub(super) meter: &'a mut Meter,
    pub(super) interfaces: &'a mut Interfaces,
    pub(super) dispatch: &'a mut Dispatch,
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
    plan: Plan,
    changed: Vec<String>,
}

/// Progress: nothing while the loader works, then the result.
type Progress = Option<anyhow::Result<Applied>>;

impl Reload {
    pub(super) const fn new(config: Config, source: Source, exporting: Exporting) -> Self {
        Self { config, source, exporting, state: State::Idle }
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
    pub(super) fn poll(&mut self, running: &mut Running<'_>, at: &Reading) -> anyhow::Result<Progress> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => Ok(None),
            State::Reading => match self.read(running, at) {
                Ok(None) => {
                    self.state = State::Reading;
                    Ok(None)
                }
                Ok(Some((next, None))) => self.apply(next, running, at),
                Ok(Some((next, Some(asked)))) => {
                    self.state = State::Making(Box::new(next), asked);
                    Ok(None)
                }
                Err(why) => Ok(Some(Err(why))),
            },
            State::Making(next, asked) => match running.meter.fill_next(&asked)? {
                Ok(true) => self.apply(*next, running, at),
                Ok(false) => {
                    self.state = State::Making(next, asked);
                    Ok(None)
                }
                Err(why) => {
                    next.plan.withdraw();
                    Ok(Some(Err(why)))
                }
            },
        }
    }

    /// The next configuration, once the loader has read its text; and its table, where that is another one.
    fn read(&self, running: &mut Running<'_>, at: &Reading) -> anyhow::Result<Option<(Next, Option<Asked>)>> {
        let Running { meter, interfaces, dispatch } = running;
        let Some(text) = text(meter)? else { return Ok(None) };
        let config = privileges::read(&self.source, &text)?;
        let diff = diff(&self.config, &config);
        if let Some(why) = diff.refused.first() {
            bail!("{why}");
        }
        let changed = diff.changes.iter().map(named).collect();
        let monitor = &config.monitor;
        let selection = Selection::new(monitor, config.narrow(), |index| interfaces.has(index))?;
        let Exporting { system_start_ms, readiness } = &self.exporting;
        let settings = Settings::new(&config, *system_start_ms, readiness, None);
        let plan = dispatch.plan(&config, &settings, at.real, at.now.wall_ms)?;
        let size = meter.loaded.size;
        let next = TableSize { partitions: size.partitions, ring: size.ring, ..config.table() };
        let asked = size.differs(&next).then(|| meter.ask_for_table(next));
        match asked.transpose() {
            Ok(asked) => Ok(Some((Next { config, selection, plan, changed }, asked))),
            Err(why) => {
                plan.withdraw();
                Err(why)
            }
        }
    }

    /// All changes apply here, between two sweeps.
    fn apply(&mut self, next: Next, running: &mut Running<'_>, at: &Reading) -> anyhow::Result<Progress> {
        let Next { config, selection, plan, changed } = next;
        let Running { meter, interfaces, dispatch } = running;
        meter.set_timeouts(config.monitor.timeouts());
        dispatch.change(plan, at.real, at.now)?;
        interfaces.select(selection, meter, at.now.metering().nanoseconds())?;
        if !changed.is_empty() {
            config.warn();
        }
        let observation_domain = config.exporting.observation_domain;
        let (file, leave) = (print::toml(&config), config.monitor.keep);
        self.config = config;
        Ok(Some(Ok(Applied { file, leave, observation_domain, changed })))
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
fn named(change: &Change) -> String {
    let list = |names: &[String]| names.join(", ");
    match change {
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
        Change::Groups(groups) => {
            let names: Vec<&str> = [Group::Base].into_iter().chain(groups.iter()).map(Group::name).collect();
            format!("records with the fields of {}", names.join(", "))
        }
        Change::Names(names) => {
            format!("{} packets of a record and {} a second and CPU for names", names.packets, names.budget)
        }
        Change::Dispatch { strategy, .. } => format!("strategy {}", strategy.name()),
        Change::ExporterAdded(url) => format!("collector {url} is added"),
        Change::ExporterRemoved(url) => format!("collector {url} is removed"),
        Change::ExporterChanged { to, .. } => format!("collector {to} is changed"),
        Change::ExporterOrder(_) => "the order of collectors".to_owned(),
        Change::Exporting(keys) => {
            let paths: Vec<String> = keys.iter().map(|key| key.path()).collect();
            paths.join(", ")
        }
    }
}
