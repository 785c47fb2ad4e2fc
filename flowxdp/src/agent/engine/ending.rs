//! The one ending: all slots retire, all records leave, connections end in order, and the last refusal is
//! waited for.

use flowxdp_core::{
    clock::{AgentTime, MILLISECOND, Reading},
    record::EndReason,
};

use super::{
    Engine, Order, PROGRESS,
    deadlines::{Deadlines, Timer},
    metering::Metering,
};
use crate::exporting::exporter::Exporter;

/// How long a refusal of the last datagram may take to come back, nanoseconds.
const LAST_REFUSAL: u64 = 50 * MILLISECOND;

/// Nanoseconds between two checks of connections that are being ended.
const CLOSING: u64 = 10 * MILLISECOND;

/// The state of an ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Packets are metered still.
    Stopping,
    /// Every flow retires with end reason 4 and leaves.
    Flushing,
    /// The last options data leave: the final totals.
    Announcing,
    /// Records that were made leave; the tables stay for the next agent.
    Leaving,
    /// Connections end in order, and refusals of the last datagram come back.
    Closing,
    Done,
}

/// An ending, and how far it is. Instants are of the machine's clock.
#[derive(Debug)]
pub(super) struct Ending {
    state: State,
    leave: bool,
    /// When it began, once a step has seen it.
    begun: Option<AgentTime>,
    /// When the state began.
    since: AgentTime,
    /// Flows are left in the tables.
    left: bool,
    /// Metering did not end as it should; said when all is exported.
    fault: Option<anyhow::Error>,
}

impl Ending {
    pub(super) const fn new(leave: bool) -> Self {
        let state = if leave { State::Leaving } else { State::Stopping };
        Self { state, leave, begun: None, since: AgentTime::START, left: true, fault: None }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Enters a state; the next step follows at once.
    fn enter(&mut self, state: State, real: AgentTime, deadlines: &mut Deadlines) {
        log::debug!("ending: {:?} after {} ms", state, real.since(self.begun.unwrap_or(real)) / MILLISECOND);
        (self.state, self.since) = (state, real);
        *deadlines = Deadlines::default();
        if state != State::Done {
            deadlines.set(Timer::Ending, real, "a new state");
        }
    }
}

impl<M: Metering> Engine<M> {
    /// One step of the ending.
    pub(super) fn step_ending(&mut self, at: &Reading) -> anyhow::Result<()> {
        let Some(mut ending) = self.ending.take() else { return Ok(()) };
        let real = at.real;
        if ending.begun.is_none() {
            (ending.begun, ending.since) = (Some(real), real);
        }
        let stepped = match ending.state {
            State::Stopping => {
                self.stop(&mut ending, real);
                Ok(())
            }
            State::Flushing => self.flush_all(&mut ending, at),
            State::Announcing => {
                self.announce_last(&mut ending, at);
                Ok(())
            }
            State::Leaving => {
                self.leave(&mut ending, at);
                Ok(())
            }
            State::Closing => self.close(&mut ending, at),
            State::Done => Ok(()),
        };
        self.ending = Some(ending);
        stepped
    }

    fn stop(&mut self, ending: &mut Ending, real: AgentTime) {
        // The export of metered packets comes first; the error is the caller's at the end.
        ending.fault = self.metering.stop().err();
        self.metering.drain_all();
        self.resumes = false;
        ending.enter(State::Flushing, real, &mut self.deadlines);
    }

    /// Until nothing is left, or no collector makes progress any more.
    fn flush_all(&mut self, ending: &mut Ending, at: &Reading) -> anyhow::Result<()> {
        let has_room = match self.rules.order {
            Order::Live => self.dispatch.room() > 0,
            Order::Capture => !self.resumes || self.dispatch.is_settled(at.now, true),
        };
        if ending.left && has_room {
            self.sweep(at, Some(EndReason::Forced))?;
            ending.left = !self.metering.is_swept();
        }
        self.export(at, true);
        if !ending.left && self.dispatch.is_settled(at.now, true) {
            self.announce(at, true);
            ending.enter(State::Announcing, at.real, &mut self.deadlines);
        } else {
            self.lose_patience(ending, at);
        }
        Ok(())
    }

    /// The final totals, for collectors that are there.
    fn announce_last(&mut self, ending: &mut Ending, at: &Reading) {
        self.export(at, true);
        let limit = ending.since.after(self.rules.announcing);
        if self.dispatch.is_settled(at.now, true) || at.real > limit {
            ending.enter(State::Closing, at.real, &mut self.deadlines);
        } else if limit == AgentTime::NEVER {
            self.lose_patience(ending, at);
        } else {
            self.deadlines.set(Timer::Ending, at.real.after(PROGRESS), "the last options data");
        }
    }

    /// A collector that is waited for counts the whole ending.
    fn lose_patience(&mut self, ending: &Ending, at: &Reading) {
        let begun = ending.begun.unwrap_or(at.real);
        self.dispatch.lose_patience(at.real, at.now, true, begun, self.rules.patience);
        self.deadlines.set(Timer::Ending, at.real.after(PROGRESS), "collectors that are waited for");
    }

    /// Until records that are made have left; records without a slot go to disk otherwise.
    fn leave(&mut self, ending: &mut Ending, at: &Reading) {
        self.export(at, true);
        if self.dispatch.is_settled(at.now, true) || at.real > ending.since.after(self.rules.patience) {
            self.dispatch.all_mut().iter_mut().for_each(|exporter| exporter.leave(at.real, at.now));
            ending.enter(State::Closing, at.real, &mut self.deadlines);
        } else {
            self.deadlines.set(Timer::Ending, at.real.after(PROGRESS), "collectors that are waited for");
        }
    }

    /// Ends connections in order, and waits for a refusal of the last datagram: its records go out again.
    fn close(&mut self, ending: &mut Ending, at: &Reading) -> anyhow::Result<()> {
        let is_closed = self.dispatch.close(at.real);
        if !is_closed && at.real > ending.since.after(self.rules.patience) {
            self.dispatch.give_up_open(at.real, at.now);
        }
        if !is_closed || at.real < ending.since.after(LAST_REFUSAL) {
            self.deadlines.set(Timer::Ending, at.real.after(CLOSING), "connections that end");
            return Ok(());
        }
        self.dispatch.all_mut().iter_mut().for_each(|exporter| exporter.judge_last(at.real));
        let is_over = |exporter: &Exporter| exporter.is_given_up() || exporter.queued().records == 0;
        if ending.leave {
            self.metering.leave();
        } else if !self.dispatch.all().iter().all(is_over) {
            (ending.left, self.resumes) = (true, false);
            ending.enter(State::Flushing, at.real, &mut self.deadlines);
            return Ok(());
        }
        ending.enter(State::Done, at.real, &mut self.deadlines);
        ending.fault.take().map_or(Ok(()), Err)
    }
}
