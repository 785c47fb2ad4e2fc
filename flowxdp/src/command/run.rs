//! `flowxdp run`: meters interfaces and exports until told to stop.
//!
//! [`table`]: the flow table, which may be an earlier agent's.
//!
//! One thread, one loop. In the order of their urgency: stop, packets in the ring buffer, the look at the
//! flow table each second, messages that the pace lets go, interfaces that come and go, questions for the
//! books. However much lies in the ring buffer, a turn takes some of it only.

mod choose;
mod interfaces;
mod table;
mod wanted;

use std::{
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use flowxdp_common::names;
use flowxdp_core::{
    books::Books,
    clock::{MILLISECOND, Now, SECOND},
    record::EndReason,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::UnixStream,
    signal::unix::{SignalKind, signal},
};

use self::{interfaces::Interfaces, table::Table};
use super::status::{Socket, answers::Answers};
use crate::{
    clock,
    config::Config,
    confine::{Needs, confine},
    dispatch::Dispatch,
    exporter::{Exporter, settings},
    guard,
    keeper::Keeping,
    kernel::{
        attach::Attached,
        chain::Chain,
        cpus,
        ktime::KernelClock,
        load::{Loaded, Shape},
        pin::Pins,
        preflight,
    },
    limits,
    meter::Meter,
    report,
    service::Manager,
    teller::Teller,
    transport::readiness::Readiness,
};

/// Octets of the ring buffer.
pub const RING: u32 = 1 << 24;

/// Records of a look after which collectors get their messages before it goes on: what waits meanwhile stays in
/// a CPU's cache.
pub const BETWEEN: usize = 1 << 12;

/// Without a message going out for so long, the flush at the end gives a collector up, nanoseconds.
const PATIENCE: u64 = 5 * SECOND;

/// How long a refusal of the last message may take to come back.
const LAST_WORD: u64 = 50 * MILLISECOND;

/// Files that an agent with one interface opens, and those of a collector (a socket, and its spool).
const DESCRIPTORS: usize = 32;
const COLLECTOR_DESCRIPTORS: usize = 5;

struct Agent {
    meter: Meter,
    interfaces: Interfaces,
    dispatch: Dispatch,
    readiness: Arc<Readiness>,
    /// The same, for the runtime.
    woken: AsyncFd<OwnedFd>,
    teller: Teller,
    answers: Answers,
    pins: Option<Rc<Pins>>,
    /// Leave the table to the next agent.
    keep: bool,
}

/// Runs the command.
///
/// # Errors
///
/// What is in the way of metering, before anything is attached; or the kernel fails underneath.
pub async fn run(config: Config) -> anyhow::Result<()> {
    limits::descriptors(DESCRIPTORS + config.exporter.len() * COLLECTOR_DESCRIPTORS)?;
    let monitor = &config.monitor;
    let mut interfaces = Interfaces::new(&monitor.interface, monitor.mode, config.narrow())?;
    preflight::kernel_and_privileges()?;
    if monitor.chain {
        preflight::finding_others()?;
    }
    follow_kernel()?;
    let started = clock::now();
    let system_start_ms = started.wall_ms.saturating_sub(started.monotonic / MILLISECOND);
    let readiness = Arc::new(Readiness::new().context("cannot wait for sockets")?);
    // Before anything is attached: a signal from now on ends in a flush.
    let mut stop = Stop::new()?;
    let socket = Socket::bind(&monitor.socket)?;
    let pins = monitor.pin.as_deref().map(Pins::open).transpose()?.map(Rc::new);
    config.warn();
    let exporting = |keeper| settings::dispatch(&config, system_start_ms, &readiness, started, keeper);
    let new = pins.as_ref().is_some_and(|pins| pins.is_new());
    let (dispatch, meter) = meter(&config, &mut interfaces, pins.as_ref(), exporting).inspect_err(|_| {
        // Nothing was metered: what was made just now is of no use to anybody.
        if let Some(Err(error)) = pins.as_ref().filter(|_| new).map(|pins| pins.clear()) {
            log::warn!("{error:#}");
        }
    })?;
    let told = interfaces.told(started.monotonic, meter.rest());
    let teller = Teller::new(config.exporting.observation_domain, system_start_ms, told);
    let woken = woken(&readiness).context("cannot wait for sockets")?;
    let answers = Answers::default();
    let keep = monitor.keep;
    let mut agent = Agent { meter, interfaces, dispatch, readiness, woken, teller, answers, pins, keep };
    let manager = Manager::connect();
    let ended = guard::caught_async(agent.until_stopped(&config, &socket, &manager, &mut stop)).await;
    if let Err(error) = &ended {
        log::error!("{error:#}; what was metered is exported, and then the agent ends");
    }
    manager.stopping();
    let left = if agent.keep { agent.leave().await } else { agent.finish().await };
    guard::first(ended, left)
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

/// Gives up what is not needed any more, unless `no-confine` is set.
fn confined(config: &Config, loaded: &mut Loaded) -> anyhow::Result<()> {
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
    let needs = Needs::new(config);
    confine(&if config.monitor.chain { needs.chained(config.monitor.chain_pins()) } else { needs })
}

/// Loads and attaches, with exporters between the two: they go on where an earlier agent's stopped.
///
/// In generic mode packets may come on every CPU, which is only known afterwards.
fn meter(
    config: &Config,
    interfaces: &mut Interfaces,
    pins: Option<&Rc<Pins>>,
    exporting: impl Fn(Option<Keeping>) -> anyhow::Result<Dispatch>,
) -> anyhow::Result<(Dispatch, Meter)> {
    let monitor = &config.monitor;
    let mut shape = Shape {
        flows_v4: monitor.flows,
        flows_v6: monitor.flows_v6(),
        partitions: cpus::with_spare(interfaces.partitions()?)?,
        ring: RING,
        replay: false,
        chained: monitor.chain,
    };
    preflight::memory(&shape)?;
    loop {
        let mut table = Table::open(&mut shape, pins)?;
        if monitor.chain {
            table.loaded.chain(monitor.chain_pins())?;
        }
        if table.adopted {
            log::info!("an earlier agent's table goes on");
        }
        let keeper = pins.map(|_| table.keeper()).transpose()?;
        let dispatch = exporting(keeper.clone())?;
        let (generation, old) = (table.generation, table.old()?);
        let mut meter = Meter::new(table.loaded, monitor.timeouts())?;
        if let Some(keeper) = keeper {
            meter.keep(keeper, generation, old);
        }
        let started = interfaces.start(&mut meter, clock::monotonic())?;
        let is_generic = started.iter().any(|(_, attached)| *attached == Attached::Generic);
        if is_generic && shape.partitions < cpus::online()? {
            shape.partitions = cpus::with_spare(cpus::online()?)?;
            continue;
        }
        interfaces.announce(&started);
        if let Some(pins) = pins {
            let metered = |index| meter.loaded.attached(index).is_some();
            for index in pins.links()?.into_iter().filter(|index| !metered(*index)) {
                pins.remove_link(index)?;
                log::info!("interface {index}: no longer metered");
            }
        }
        meter.forget_interfaces()?;
        return Ok((dispatch, meter));
    }
}

impl Agent {
    /// Recovers what an earlier agent left, gives up privileges, and drives the loop.
    async fn until_stopped(
        &mut self,
        config: &Config,
        socket: &Socket,
        manager: &Manager,
        stop: &mut Stop,
    ) -> anyhow::Result<()> {
        self.adopt()?;
        confined(config, &mut self.meter.loaded)?;
        manager.ready();
        self.drive(socket, stop).await
    }

    /// Meters and exports until told to stop.
    async fn drive(&mut self, socket: &Socket, stop: &mut Stop) -> anyhow::Result<()> {
        let ring = self.meter.ring_readiness()?;
        let (mut check_at, mut checked, mut listening, mut said) = (0, 0, true, false);
        loop {
            let now = clock::now();
            let more = self.meter.drain_some();
            self.meter.hand_over(now.monotonic)?;
            check_at = check_at.min(self.meter.next_look(checked));
            if now.monotonic >= check_at {
                check_at = self.check(now, None)?;
                if self.meter.loaded.chain.as_ref().is_some_and(Chain::has_changed) {
                    self.interfaces.hurry();
                }
                checked = now.monotonic;
                listening = true;
            }
            if now.monotonic >= self.interfaces.look_at() {
                self.interfaces.look(&mut self.meter, now.monotonic)?;
                self.tell(now, false);
            }
            let wake = self.export(now, false).min(self.interfaces.look_at());
            let wake = wake.min(if more { 0 } else { check_at });
            if more {
                // So that signals and questions are heard, however much comes in.
                tokio::task::yield_now().await;
            }
            tokio::select! {
                biased;
                asked = stop.asked() => match asked {
                    Asked::Stop => return Ok(()),
                    Asked::ReadAgain => self.read_again(),
                },
                ready = ring.readable() => ready?.clear_ready(),
                ready = self.woken.readable() => {
                    ready?.clear_ready();
                    self.readiness.clear()?;
                }
                () = self.interfaces.changed() => {}
                stream = socket.listener.accept(), if listening => match stream {
                    Ok((stream, _)) => {
                        said = false;
                        self.answer(stream, socket).await?;
                        // They leave before the next question is taken, which may be there already.
                        tokio::task::yield_now().await;
                    }
                    Err(error) => {
                        // Out of descriptors, perhaps: metering goes on, and the next look tries again.
                        if !said {
                            log::warn!("cannot take a question for the books: {error}; trying again");
                        }
                        (listening, said) = (false, true);
                    }
                },
                () = until(wake) => {}
            }
        }
    }

    /// Certificates and lists, of every collector over TLS.
    fn read_again(&mut self) {
        log::info!("SIGHUP: certificates and lists of peers are read again");
        let real = clock::monotonic();
        self.dispatch.all_mut().iter_mut().for_each(|exporter| exporter.look(real, true));
    }

    /// A look at the flow table; gives the time of the next one.
    fn check(&mut self, now: Now, forced: Option<EndReason>) -> anyhow::Result<u64> {
        self.teller.follow_clock(&mut self.dispatch, now);
        let room = self.dispatch.room();
        let (dispatch, mut records) = (&mut self.dispatch, 0_usize);
        self.meter.check(now.monotonic, clock::wall_clock(), forced, room, |record| {
            dispatch.push(&record, now);
            records += 1;
            if records.is_multiple_of(BETWEEN) {
                dispatch.poll(now.monotonic, now, false);
            }
        })?;
        self.meter.say_partitions();
        self.tell(now, false);
        self.forget_old()?;
        // Out of room: what is due waits in the table, and is looked for as soon as the queue is shorter.
        let soon = now.monotonic + 10 * MILLISECOND;
        Ok(if self.meter.is_done() { self.meter.next_look(now.monotonic) } else { soon })
    }

    /// Goes on with what an earlier agent had taken out of the table.
    fn adopt(&mut self) -> anyhow::Result<()> {
        let now = clock::now();
        let known = self.dispatch.all().iter().fold(0, |known, exporter| known | exporter.bit());
        let dispatch = &mut self.dispatch;
        let mut records: u64 = 0;
        self.meter.adopt(now.monotonic, clock::wall_clock(), known, |record| {
            records += 1;
            dispatch.push(&record, now);
        })?;
        if records > 0 {
            log::info!("{records} records of an earlier agent are exported");
        }
        Ok(())
    }

    /// Tables of another size are removed once they are empty.
    fn forget_old(&mut self) -> anyhow::Result<()> {
        let Some(pins) = &self.pins else { return Ok(()) };
        for generation in self.meter.emptied() {
            pins.remove(&generation)?;
            log::info!("the table of another size is empty, and removed");
        }
        Ok(())
    }

    /// Leaves table and attachments to the next agent, and writes the books whatever fails before.
    async fn leave(&mut self) -> anyhow::Result<()> {
        let handed_over = guard::caught_async(self.hand_over()).await;
        let said = guard::caught(|| self.say_books("stopped, and metering goes on for the next agent"));
        guard::first(handed_over, said)
    }

    /// Waits until everything that is made has left, and lets go of collectors and other programs.
    async fn hand_over(&mut self) -> anyhow::Result<()> {
        let begun = clock::monotonic();
        loop {
            let now = clock::now();
            let wake = self.export(now, true);
            if self.dispatch.is_settled(now, true) || now.monotonic > begun + PATIENCE {
                break;
            }
            self.wait(wake.min(now.monotonic + 100 * MILLISECOND)).await;
        }
        let now = clock::now();
        self.dispatch.all_mut().iter_mut().for_each(|exporter| exporter.leave(now.monotonic, now));
        self.close().await;
        if let Some(chain) = &mut self.meter.loaded.chain {
            chain.leave();
        }
        Ok(())
    }

    /// Writes the last books on the log.
    fn say_books(&mut self, end: &str) -> anyhow::Result<()> {
        let books = self.books().context("the books cannot be read")?;
        log::info!("{end}; the books:\n{}", report::table(&serde_json::to_value(books)?));
        Ok(())
    }

    /// Gives every collector what options data tell.
    fn tell(&mut self, now: Now, force: bool) {
        self.teller.set_interfaces(self.interfaces.told(now.monotonic, self.meter.rest()));
        self.teller.tell(&self.meter, &mut self.dispatch, now, force);
    }

    /// Lets every collector send; gives the time at which one wants to go on.
    fn export(&mut self, now: Now, flush: bool) -> u64 {
        self.dispatch.poll(now.monotonic, now, flush).unwrap_or(u64::MAX)
    }

    fn books(&mut self) -> anyhow::Result<Books> {
        let (mut books, bracket) = self.meter.books()?;
        self.dispatch.enter(&mut books);
        books.options = Some(self.teller.told().clone());
        books.close(bracket);
        Ok(books)
    }

    /// Answers a question for the books, and all that wait with it: the table is scanned once for them.
    async fn answer(&mut self, first: UnixStream, socket: &Socket) -> anyhow::Result<()> {
        let mut asking: Vec<_> = self.answers.place().map(|place| (place, first)).into_iter().collect();
        while let Some(place) = self.answers.place() {
            tokio::select! {
                biased;
                Ok((stream, _)) = socket.listener.accept() => asking.push((place, stream)),
                () = std::future::ready(()) => break,
            }
        }
        if asking.is_empty() {
            log::debug!("too many questions for the books at once");
            return Ok(());
        }
        let mut text = serde_json::to_vec(&self.books()?)?;
        text.push(b'\n');
        asking.into_iter().for_each(|(place, stream)| place.answer(stream, text.clone()));
        Ok(())
    }

    /// Exports everything that is left, and writes the books whatever fails before.
    async fn finish(&mut self) -> anyhow::Result<()> {
        let exported = guard::caught_async(self.export_rest()).await;
        let said = guard::caught(|| self.say_books("stopped"));
        let cleared = match &self.pins {
            Some(pins) if exported.is_ok() => pins.clear(),
            Some(pins) => {
                let folder = pins.directory().display();
                log::warn!("the flow table stays pinned in {folder}: the next start exports what is in it");
                Ok(())
            }
            None => Ok(()),
        };
        guard::first(exported, guard::first(said, cleared))
    }

    /// Lets go of the interfaces, and exports everything that is left.
    async fn export_rest(&mut self) -> anyhow::Result<()> {
        let stopped = self.meter.stop();
        self.meter.drain_ring();
        let begun = clock::monotonic();
        loop {
            self.flush(begun).await?;
            self.last_options().await;
            self.close().await;
            let given_up = |exporter: &Exporter| exporter.is_given_up() || exporter.queued().records == 0;
            if self.dispatch.all().iter().all(given_up) {
                return stopped;
            }
        }
    }

    /// Until nothing is left, or nobody waits for the rest: `begun` is when the end began.
    async fn flush(&mut self, begun: u64) -> anyhow::Result<()> {
        let mut left = true;
        loop {
            let now = clock::now();
            if left && self.dispatch.room() > 0 {
                self.check(now, Some(EndReason::Forced))?;
                left = !self.meter.is_done();
            }
            let wake = self.export(now, true);
            if !left && self.dispatch.is_settled(now, true) {
                return Ok(());
            }
            self.dispatch.lose_patience(now.monotonic, now, true, begun, PATIENCE);
            self.wait(wake.min(now.monotonic + 100 * MILLISECOND)).await;
        }
    }

    /// The final totals, for collectors that are there.
    async fn last_options(&mut self) {
        let now = clock::now();
        self.tell(now, true);
        let begun = now.monotonic;
        loop {
            let now = clock::now();
            let wake = self.export(now, true);
            if self.dispatch.is_settled(now, true) || now.monotonic > begun + SECOND {
                return;
            }
            self.wait(wake.min(now.monotonic + 100 * MILLISECOND)).await;
        }
    }

    /// Ends connections in order, and waits for a refusal of the last datagram.
    async fn close(&mut self) {
        let begun = clock::monotonic();
        loop {
            let real = clock::monotonic();
            let closed = self.dispatch.close(real);
            if real > begun + PATIENCE && !closed {
                self.dispatch.give_up_open(real, clock::now());
            }
            if closed && real >= begun + LAST_WORD {
                break;
            }
            self.wait(real + 10 * MILLISECOND).await;
        }
        let real = clock::monotonic();
        self.dispatch.all_mut().iter_mut().for_each(|exporter| exporter.judge_last(real));
    }

    /// Until a socket has news, or an instant of the monotonic clock.
    async fn wait(&self, instant: u64) {
        tokio::select! {
            ready = self.woken.readable() => {
                if let Ok(mut ready) = ready {
                    ready.clear_ready();
                }
                // It is looked at again in any case.
                drop(self.readiness.clear());
            }
            () = until(instant) => {}
        }
    }
}

/// What the runtime wakes for when a socket has news.
fn woken(readiness: &Readiness) -> std::io::Result<AsyncFd<OwnedFd>> {
    let descriptor = readiness.as_fd().try_clone_to_owned()?;
    // SAFETY: an open descriptor of its own, which `AsyncFd` owns from now on.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    registered.map_err(std::io::Error::other)
}

/// Sleeps until an instant of the monotonic clock.
async fn until(instant: u64) {
    let left = instant.saturating_sub(clock::monotonic());
    tokio::time::sleep(Duration::from_nanos(left.min(3600 * SECOND))).await;
}

/// SIGTERM, SIGINT and SIGHUP.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn asked(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::ReadAgain,
        }
    }
}

/// What a signal asks for.
enum Asked {
    Stop,
    ReadAgain,
}
