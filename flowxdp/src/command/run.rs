//! `flowxdp run`: meters interfaces and exports until a signal ends it.
//!
//! One thread, one loop: [`sources`] waits for signals, sockets and the clock, and
//! [`engine`](crate::agent::engine) acts on them.
//!
//! - [`table`]: the flow table, which may be an earlier agent's. [`live`]: tables and interfaces as the engine
//!   drives them.

mod choose;
mod interfaces;
mod live;
mod privileges;
mod reload;
mod sources;
mod table;
mod wanted;

use std::{path::Path, rc::Rc, sync::Arc, time::Duration};

use anyhow::Context;
use flowxdp_common::names;
use flowxdp_core::clock::MILLISECOND;

use self::{
    interfaces::Interfaces,
    live::Live,
    privileges::Privileges,
    reload::{Exporting, Reload},
    sources::Sources,
    table::Table,
};
use crate::{
    agent::confine::{Needs, confine},
    agent::{
        engine::{Engine, Rules, Wake},
        reporter::Reporter,
        service::Manager,
    },
    clock,
    config::{Config, flags::Source, print},
    exporting::deliveries::SharedLedger,
    exporting::dispatch::{Dispatch, change},
    exporting::exporter::settings,
    guard,
    kernel::{
        attach::Attached,
        cpus,
        ktime::KernelClock,
        load::{Loaded, TableSize},
        pin::Pins,
        preflight,
    },
    limits,
    metering::meter::Meter,
    report,
    transport::readiness::Readiness,
};

/// Octets of the ring buffer.
pub const RING: u32 = 1 << 24;

/// Files that an agent with one interface opens.
const DESCRIPTORS: usize = 36;

/// Runs the command.
///
/// # Errors
///
/// Whatever is in the way of metering, before anything is attached; or the kernel fails underneath.
pub async fn run(config: Config, source: Source) -> anyhow::Result<()> {
    limits::descriptors(DESCRIPTORS + config.exporter.len() * change::DESCRIPTORS)?;
    let monitor = &config.monitor;
    let mut interfaces = Interfaces::new(monitor, config.narrow())?;
    preflight::kernel_and_privileges()?;
    if monitor.chain {
        preflight::finding_others()?;
    }
    // Before signals are caught and files are open: none of them is the loader's.
    let Privileges { pins, loader } = privileges::start(&config, &source)?;
    if monitor.tap {
        // Behind the fork: a membership lasts as long as any process has the socket.
        interfaces.open_tap()?;
        if monitor.pin.is_some() {
            log::info!(
                "a killed agent leaves its program on the taps, which are promiscuous no more: that drops the packets \
                 that still come until the next start, or `flowxdp detach`"
            );
        }
    }
    follow_kernel()?;
    let started = clock::reading();
    let system_start_ms = started.now.wall_ms.saturating_sub(started.real.nanoseconds() / MILLISECOND);
    let readiness = Arc::new(Readiness::new().context("cannot wait for sockets")?);
    // Before anything is attached: a signal from now on ends in a flush.
    let mut sources = Sources::new(&readiness, &monitor.socket)?;
    config.warn();
    let exporting = |ledger| {
        settings::dispatch(&config, system_start_ms, &readiness, started.real, started.now.wall_ms, ledger)
    };
    let new = pins.as_ref().is_some_and(|pins| pins.is_new());
    let (dispatch, mut meter) =
        meter(&config, &mut interfaces, pins.as_ref(), exporting).inspect_err(|_| {
            // Nothing was metered: pins that were made just now are of no use.
            if let Some(Err(error)) = pins.as_ref().filter(|_| new).map(|pins| pins.clear()) {
                log::warn!("{error:#}");
            }
        })?;
    if let Some(loader) = &loader {
        readiness.register(loader).context("cannot wait for the loader")?;
    }
    meter.loader = loader;
    let reporter = Reporter::new(config.exporting.observation_domain, system_start_ms);
    let exporting = Exporting { system_start_ms, readiness: Arc::clone(&readiness) };
    let reloaded = source.file().filter(|_| meter.loader.is_some()).map(Path::to_owned);
    let live = Live::new(meter, interfaces, pins.clone(), Reload::new(config.clone(), source, exporting));
    let mut engine = Engine::new(live, dispatch, reporter, Rules::live(monitor.keep));
    engine.configured(print::toml(&config));
    let manager = Manager::connect();
    let needs = Needs::new(&config).with_reload(reloaded.as_deref());
    let metered = guard::caught_async(metering(&mut engine, &mut sources, (&config, needs), &manager)).await;
    if let Err(error) = &metered {
        log::error!("{error:#}; what was metered is exported, and then the agent ends");
    }
    manager.stopping();
    engine.end();
    let ended = guard::caught_async(ending(&mut engine, &mut sources)).await;
    let leaves = engine.leaves();
    let closed = close(&mut engine, ended, leaves, pins.as_deref());
    guard::first(metered, closed)
}

/// Recovers an earlier agent's slots, gives up privileges, and meters until a signal.
async fn metering(
    engine: &mut Engine<Live>,
    sources: &mut Sources,
    (config, needs): (&Config, Needs),
    manager: &Manager,
) -> anyhow::Result<()> {
    engine.recover(&clock::reading())?;
    confined(config, needs, &mut engine.metering_mut().meter.loaded)?;
    sources.follow_ring(&engine.metering().meter)?;
    manager.ready();
    while engine.is_running() {
        let wake = engine.step(&clock::reading())?;
        sources.feed(engine, wake).await?;
    }
    Ok(())
}

/// Steps until nothing is left.
async fn ending(engine: &mut Engine<Live>, sources: &mut Sources) -> anyhow::Result<()> {
    loop {
        match engine.step(&clock::reading())? {
            Wake::Done => return Ok(()),
            wake => sources.feed(engine, wake).await?,
        }
    }
}

/// Writes the books on the log, whatever failed before, and removes the pins of a table that is empty.
fn close(
    engine: &mut Engine<Live>,
    ended: anyhow::Result<()>,
    keep: bool,
    pins: Option<&Pins>,
) -> anyhow::Result<()> {
    let end = if keep { "stopped, and metering goes on for the next agent" } else { "stopped" };
    let said = guard::caught(|| {
        let books = engine.books().context("the books cannot be read")?;
        log::info!("{end}; the books:\n{}", report::table(&serde_json::to_value(books)?));
        Ok(())
    });
    let cleared = match pins.filter(|pins| !keep && pins.outlive_the_agent()) {
        Some(pins) if ended.is_ok() => pins.clear(),
        Some(pins) => {
            let folder = pins.directory().display();
            log::warn!("the flow table stays pinned in {folder}: the next start exports what is in it");
            Ok(())
        }
        None => Ok(()),
    };
    guard::first(ended, guard::first(said, cleared))
}

/// Timers and flow records go by the clock of the XDP program, wherever this process is.
fn follow_kernel() -> anyhow::Result<()> {
    let kernel = KernelClock::new()?;
    let ahead = clock::follow_kernel(|| kernel.read()).context("cannot read the kernel's clock")?;
    if ahead != 0 {
        let seconds = Duration::from_nanos(ahead.unsigned_abs()).as_secs_f64();
        let way = if ahead < 0 { "behind" } else { "ahead of" };
        log::info!(
            "the kernel's clock is {seconds:.3} s {way} this process's, as in a time namespace: flow records and \
             timeouts go by the kernel's"
        );
    }
    Ok(())
}

/// Gives up privileges that are not needed any more, unless `no-confine` is set.
fn confined(config: &Config, needs: Needs, loaded: &mut Loaded) -> anyhow::Result<()> {
    if config.monitor.no_confine {
        log::warn!("not confined, as --no-confine says: the agent keeps the privileges it was started with");
        return Ok(());
    }
    // An interface that comes or changes later may need the other one, and none is loaded any more then.
    for program in [names::PROGRAM, names::PROGRAM_FRAGS] {
        if let Err(error) = loaded.program(program) {
            log::debug!("{error:#}");
        }
    }
    let is_pattern = |name: &String| name.contains(['*', '?']);
    let may_come = config.monitor.interface.iter().any(is_pattern) || needs.has_reload();
    if let Err(error) = loaded.load_classifiers() {
        log::debug!("{error:#}");
    }
    let needs =
        if loaded.has_filters() || may_come && !preflight::has_tcx() { needs.with_filters() } else { needs };
    let needs = needs.with_private_pins(loaded.private_pins());
    confine(&if config.monitor.chain { needs.chained(config.monitor.chain_pins()) } else { needs })
}

/// Loads and attaches, with exporters between the two: they resume where an earlier agent's stopped.
///
/// In generic mode packets may come on every CPU, which is only known afterwards.
fn meter(
    config: &Config,
    interfaces: &mut Interfaces,
    pins: Option<&Rc<Pins>>,
    exporting: impl Fn(Option<SharedLedger>) -> anyhow::Result<Dispatch>,
) -> anyhow::Result<(Dispatch, Meter)> {
    let monitor = &config.monitor;
    let partitions = cpus::with_spare(interfaces.partitions()?)?;
    let mut size = TableSize { partitions, ring: RING, ..config.table() };
    preflight::memory(&size)?;
    loop {
        let mut table = Table::open(&mut size, pins)?;
        if monitor.chain {
            table.loaded.chain(monitor.chain_pins())?;
        }
        if table.recovered {
            log::info!("an earlier agent's table goes on");
        }
        let outlives = pins.is_some_and(|pins| pins.outlive_the_agent());
        let ledger = outlives.then(|| table.ledger()).transpose()?;
        let dispatch = exporting(ledger.clone())?;
        let (generation, old) = (table.generation, table.draining()?);
        let mut meter = Meter::new(table.loaded, monitor.timeouts())?;
        meter.keep(ledger, generation, old);
        let started = interfaces.start(&mut meter, clock::monotonic())?;
        let is_generic = started.iter().any(|(_, attached)| *attached == Attached::Generic);
        if is_generic && size.partitions < cpus::online()? {
            size.partitions = cpus::with_spare(cpus::online()?)?;
            continue;
        }
        interfaces.announce(&started);
        if let Some(pins) = pins {
            let metered = |index| meter.loaded.attached(index).is_some();
            for (place, index) in pins.links()?.into_iter().filter(|(_, index)| !metered(*index)) {
                pins.remove_link(place, index)?;
                log::info!("interface {index}: no longer metered");
            }
        }
        meter.forget_interfaces()?;
        return Ok((dispatch, meter));
    }
}
