//! The engine: one state machine over metering and exporting, without input and output of its own.
//!
//! [`Engine::step`] does the work that is due at an instant and gives the next one; [`Engine::take`] is fed
//! signals and questions. The caller waits in between, for sockets or until the wake-up, and decides nothing.
//!
//! running → stopping → flushing → announcing → closing → done; with `leave` running → leaving → closing → done
//!
//! - [`metering`]: the trait of the metered side. [`arms`]: the order of a turn's work.
//! - [`deadlines`]: the one table of instants. [`ending`]: the states behind running.
//! - [`capture`]: the seconds of a capture's clock. [`questions`]: verbs of the control socket.

pub mod arms;
pub mod capture;
pub mod deadlines;
mod ending;
pub mod metering;
mod questions;
mod reload;

use std::{collections::VecDeque, sync::Arc};

use flowxdp_core::{
    books::Books,
    clock::{AgentTime, MILLISECOND, MeterTime, Reading, SECOND},
    record::{EndReason, Entry, RecordTotal},
};

use self::{
    arms::Arm,
    deadlines::{Deadlines, Timer},
    ending::Ending,
    metering::{Metering, Sweep},
    questions::Flush,
};
use super::{
    control::{Question, Reply},
    reporter::Reporter,
};
use crate::exporting::dispatch::Dispatch;

/// Records of a sweep after which collectors get their messages before the sweep continues: the records of that many
/// stay in a CPU's cache.
pub const BETWEEN: u64 = 1 << 12;

/// A sweep that ended for want of room is resumed after so long, nanoseconds.
const RESUME: u64 = 10 * MILLISECOND;

/// Nanoseconds between two readings of first packets: the program wakes no reader.
const INSPECT: u64 = 20 * MILLISECOND;

/// Nanoseconds between two checks of the collectors' progress in a wait.
const PROGRESS: u64 = 100 * MILLISECOND;

/// The clock that flows are due by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The machine's. Records leave in the order of the sweep, and the clock waits for no collector.
    Live,
    /// A capture's. Records leave by their ends, and the clock stands still until collectors were sent all that
    /// is ready.
    Capture,
}

/// How an engine treats time and its end.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The clock.
    pub order: Order,
    /// The end leaves the tables to the next agent.
    pub leave: bool,
    /// A collector that is waited for so long without progress is given up, nanoseconds of the machine's clock.
    pub patience: u64,
    /// How long the last options data are waited for; `u64::MAX` for as long as a collector makes progress.
    pub announcing: u64,
}

impl Rules {
    /// Of `run`.
    pub const fn live(leave: bool) -> Self {
        Self { order: Order::Live, leave, patience: 5 * SECOND, announcing: SECOND }
    }

    /// Of `replay`.
    pub const fn capture() -> Self {
        Self { order: Order::Capture, leave: false, patience: 10 * SECOND, announcing: u64::MAX }
    }
}

/// News from outside.
#[derive(Debug)]
pub enum Event {
    /// A socket, the ring buffer or the kernel's links have news, or the wake-up has come.
    Woken,
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    ReadAgain,
    /// A question at the control socket.
    Asked(Question),
}

/// The caller's wait until the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Work is left: the next step follows at once.
    Again,
    /// Waits until this instant, or news.
    At(AgentTime),
    /// All work that is due on the capture's clock is done: the clock may advance.
    Idle,
    /// Nothing is left: the books can be closed.
    Done,
}

/// Metering and exporting, driven by time.
pub struct Engine<M> {
    metering: M,
    dispatch: Dispatch,
    reporter: Reporter,
    rules: Rules,
    /// `None` while running.
    ending: Option<Ending>,
    deadlines: Deadlines,
    /// The last sweep.
    swept: MeterTime,
    /// The last sweep ended for want of room.
    resumes: bool,
    /// More packets without a slot wait, or more first packets.
    more: bool,
    /// The capture's second that is being worked off.
    second: Option<MeterTime>,
    /// Since when collectors are waited for at this second.
    waiting: Option<AgentTime>,
    questions: VecDeque<Question>,
    flush: Option<Flush>,
    /// Clients that wait for a reload, none after SIGHUP.
    reload: Option<Vec<Reply>>,
    /// The effective configuration, as a file.
    config: Arc<[u8]>,
}

impl<M: Metering> Engine<M> {
    /// An engine that has not begun: the first step sweeps.
    pub fn new(metering: M, dispatch: Dispatch, reporter: Reporter, rules: Rules) -> Self {
        let mut deadlines = Deadlines::default();
        if rules.order == Order::Live {
            deadlines.set(Timer::Sweep, AgentTime::START, "start");
        }
        Self {
            metering,
            dispatch,
            reporter,
            rules,
            ending: None,
            deadlines,
            swept: MeterTime::START,
            resumes: false,
            more: false,
            second: None,
            waiting: None,
            questions: VecDeque::new(),
            flush: None,
            reload: None,
            config: Arc::default(),
        }
    }

    /// Whether the end leaves the tables to the next agent.
    pub const fn leaves(&self) -> bool {
        self.rules.leave
    }

    /// Keeps the effective configuration, as a file, for the verb `config`.
    pub fn configured(&mut self, file: String) {
        self.config = file.into_bytes().into();
    }

    /// The metered side.
    pub const fn metering(&self) -> &M {
        &self.metering
    }

    /// The metered side.
    pub const fn metering_mut(&mut self) -> &mut M {
        &mut self.metering
    }

    /// All collectors.
    pub const fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// Replaces collectors and reporter, before anything was exported: a capture's first packet says when the
    /// system started.
    pub fn begin(&mut self, dispatch: Dispatch, reporter: Reporter) {
        (self.dispatch, self.reporter) = (dispatch, reporter);
    }

    /// Whether the ending has not begun.
    pub const fn is_running(&self) -> bool {
        self.ending.is_none()
    }

    /// Exports the slots that an earlier agent had retired.
    ///
    /// # Errors
    ///
    /// The errors of [`Metering::recover`].
    pub fn recover(&mut self, at: &Reading) -> anyhow::Result<()> {
        let known = self.dispatch.all().iter().fold(0, |known, exporter| known | exporter.bit());
        let (dispatch, mut records) = (&mut self.dispatch, 0_u64);
        self.metering.recover(at, known, |record, more| {
            records += 1;
            dispatch.push(Entry { record: &record, more }, at.now);
        })?;
        if records > 0 {
            log::info!("{records} records of an earlier agent are exported");
        }
        Ok(())
    }

    /// Takes news; the next step acts on it.
    pub fn take(&mut self, event: Event, at: &Reading) {
        match event {
            Event::Woken => {}
            Event::Stop => self.end(),
            Event::ReadAgain => {
                self.read_again(at.real);
                if self.metering.can_reload() {
                    self.begin_reload(Vec::new());
                }
            }
            Event::Asked(question) => self.questions.push_back(question),
        }
    }

    /// Begins the ending, unless it has begun.
    pub fn end(&mut self) {
        if self.ending.is_none() {
            self.deadlines = Deadlines::default();
            self.flush.take().into_iter().for_each(Flush::refuse);
            self.refuse_reload();
            self.ending = Some(Ending::new(self.rules.leave));
        }
    }

    /// Does everything that is due, in the order of [`Arm`]; gives the next instant.
    ///
    /// # Errors
    ///
    /// The kernel fails underneath. The ending can follow an error, but no step of an ending that failed.
    pub fn step(&mut self, at: &Reading) -> anyhow::Result<Wake> {
        match self.ending {
            None => Arm::ALL.into_iter().try_for_each(|arm| self.serve(arm, at))?,
            Some(_) => {
                self.step_ending(at)?;
                self.serve(Arm::Control, at)?;
            }
        }
        let wake = self.wake();
        log::trace!("{wake:?}; deadlines: {}", self.deadlines_shown(at.real));
        Ok(wake)
    }

    fn serve(&mut self, arm: Arm, at: &Reading) -> anyhow::Result<()> {
        match arm {
            Arm::Ring => self.more = self.metering.drain(at.now.metering())?,
            Arm::Inspect => self.inspect(at),
            Arm::Sweep => match self.rules.order {
                Order::Live => self.sweep_live(at)?,
                Order::Capture => self.sweep_capture(at)?,
            },
            Arm::Reload => self.step_reload(at)?,
            Arm::Interfaces => self.check_interfaces(at)?,
            Arm::Export => self.export(at, self.flush.is_some()),
            Arm::Patience => self.wait_for_collectors(at),
            Arm::Control => self.answer(at)?,
        }
        Ok(())
    }

    /// A share of the first packets, and the time of the next.
    fn inspect(&mut self, at: &Reading) {
        let more = self.metering.inspect(at);
        self.more |= more == Some(true);
        let next = more.map_or(AgentTime::NEVER, |_| at.real.after(INSPECT));
        self.deadlines.set(Timer::Inspect, next, "first packets of flows");
    }

    fn wake(&self) -> Wake {
        let earliest = self.deadlines.earliest().map_or(AgentTime::NEVER, |(_, deadline)| deadline.at);
        match (&self.ending, self.rules.order) {
            (Some(ending), _) if ending.is_done() => Wake::Done,
            (None, Order::Live) if self.more => Wake::Again,
            (None, Order::Capture) if self.second.is_none() => Wake::Idle,
            _ => Wake::At(earliest),
        }
    }

    /// The table of deadlines, as text.
    fn deadlines_shown(&self, real: AgentTime) -> String {
        let name = |number: usize| self.dispatch.all().get(number).map(|it| it.url().to_string());
        self.deadlines.shown(real, |number| name(number).unwrap_or_default())
    }

    /// Certificates and lists, of every collector over TLS.
    fn read_again(&mut self, real: AgentTime) {
        if self.is_running() {
            log::info!("SIGHUP: certificates and lists of peers are read again");
            self.dispatch.all_mut().iter_mut().for_each(|exporter| exporter.read_files(real, true));
        }
    }

    /// The live sweep: at its second, at once under aggressive aging or for a flush, and again soon where the
    /// last one found no room.
    fn sweep_live(&mut self, at: &Reading) -> anyhow::Result<()> {
        let next = at.agent_time(self.metering.next_sweep(self.swept));
        self.deadlines.lower(Timer::Sweep, next, "aggressive aging");
        if !self.deadlines.is_due(Timer::Sweep, at.real) {
            return Ok(());
        }
        let forced = self.flush.as_ref().and_then(Flush::forced);
        let total = self.sweep(at, forced)?;
        if let Some(flush) = &mut self.flush {
            flush.swept(total, self.metering.is_swept(), at.real);
        }
        if self.metering.is_swept() {
            let next = at.agent_time(self.metering.next_sweep(at.now.metering()));
            self.deadlines.set(Timer::Sweep, next, "each second");
        } else {
            self.deadlines.set(Timer::Sweep, at.real.after(RESUME), "no room for all that was due");
        }
        log::debug!("swept; deadlines: {}", self.deadlines_shown(at.real));
        Ok(())
    }

    /// One sweep; gives the total that retired.
    fn sweep(&mut self, at: &Reading, forced: Option<EndReason>) -> anyhow::Result<RecordTotal> {
        let (now, mut total) = (at.now, RecordTotal::default());
        let sweep = Sweep { now: now.metering(), wall: at.wall, forced, room: self.room() };
        match self.rules.order {
            Order::Live => {
                self.reporter.follow_clock(&mut self.dispatch, now);
                let dispatch = &mut self.dispatch;
                self.metering.sweep(&sweep, |record, more| {
                    total.count(&record);
                    dispatch.push(Entry { record: &record, more }, now);
                    if total.records.is_multiple_of(BETWEEN) {
                        dispatch.poll(at.real, now, false);
                    }
                })?;
            }
            Order::Capture => {
                let (mut records, mut rows) = (Vec::new(), Vec::new());
                self.metering.sweep(&sweep, |record, more| {
                    records.push((record, rows.len()..rows.len() + more.len()));
                    rows.extend_from_slice(more);
                })?;
                // A header of v5 places times within 49.7 days before it, and never goes back.
                records.sort_by_key(|(record, _)| record.end_ms());
                for (record, more) in &records {
                    total.count(record);
                    let more = rows.get(more.clone()).unwrap_or_default();
                    self.dispatch.push(Entry { record, more }, now);
                }
            }
        }
        (self.swept, self.resumes) = (now.metering(), !self.metering.is_swept());
        self.metering.after_sweep()?;
        self.announce(at, false);
        Ok(total)
    }

    /// Records that a sweep may retire. A live sweep waits for the collector with most room alone, as one that
    /// stalls must slow no other; a capture waits for all.
    fn room(&self) -> usize {
        match self.rules.order {
            Order::Live => self.dispatch.room(),
            Order::Capture => self.dispatch.least_room(),
        }
    }

    /// Lists the interfaces when that is due.
    fn check_interfaces(&mut self, at: &Reading) -> anyhow::Result<()> {
        let now = at.now.metering();
        if now >= self.metering.check_at() {
            self.metering.check_interfaces(now)?;
            self.announce(at, false);
        }
        let next = at.agent_time(self.metering.check_at());
        self.deadlines.set(Timer::Interfaces, next, "links changed, or one was refused");
        Ok(())
    }

    /// Gives every collector the exporter's own state.
    fn announce(&mut self, at: &Reading, force: bool) {
        let interfaces = self.metering.interfaces(at.now.metering());
        let ignored = self.metering.ignored();
        self.reporter.announce(interfaces, ignored, &mut self.dispatch, at.now, force);
    }

    /// Lets every collector send. With `flush`, part-filled messages leave too.
    fn export(&mut self, at: &Reading, flush: bool) {
        self.dispatch.poll(at.real, at.now, flush);
        for (number, wake) in self.dispatch.wakes().iter().enumerate() {
            let at = wake.unwrap_or(AgentTime::NEVER);
            self.deadlines.set(Timer::Collector(number), at, "session, pace or retry");
        }
        self.deadlines.forget_collectors(self.dispatch.wakes().len());
    }

    /// The books, closed at this instant.
    ///
    /// # Errors
    ///
    /// The kernel offers no grace period.
    pub fn books(&mut self) -> anyhow::Result<Books> {
        let (mut books, bracket) = self.metering.books()?;
        self.dispatch.enter(&mut books);
        books.options = Some(self.reporter.announced().clone());
        books.close(bracket);
        Ok(books)
    }
}

#[cfg(test)]
mod tests;
