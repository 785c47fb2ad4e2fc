//! Questions at the control socket: answered in a turn, or when a flush is through.

use std::{collections::VecDeque, sync::Arc};

use flowxdp_core::{
    clock::{AgentTime, Reading, SECOND},
    record::{EndReason, RecordTotal},
};
use serde_json::json;

use super::{Engine, Order, deadlines::Timer, metering::Metering};
use crate::agent::control::{Answering, Question, Reply};

/// A flush ends after so long without a record that retired, nanoseconds.
const PATIENCE: u64 = 5 * SECOND;

/// A flush whose flows come faster than they leave ends after so long, nanoseconds.
const LONGEST: u64 = 60 * SECOND;

/// Every flow retires now, and metering continues.
#[derive(Debug)]
pub(super) struct Flush {
    replies: Vec<Reply>,
    retired: RecordTotal,
    /// Flows from before it are left in the tables.
    left: bool,
    begun: AgentTime,
    /// When it is given up.
    until: AgentTime,
}

impl Flush {
    fn new(replies: Vec<Reply>, real: AgentTime) -> Self {
        let retired = RecordTotal::default();
        Self { replies, retired, left: true, begun: real, until: real.after(PATIENCE) }
    }

    /// The reason by which each flow of a sweep is due, until one sweep saw them all.
    pub(super) fn forced(&self) -> Option<EndReason> {
        self.left.then_some(EndReason::Forced)
    }

    /// A sweep retired so much of the tables.
    pub(super) fn swept(&mut self, total: RecordTotal, is_swept: bool, real: AgentTime) {
        if !self.left {
            return;
        }
        self.retired += total;
        self.left = !is_swept;
        if total.records > 0 {
            self.until = real.after(PATIENCE).min(self.begun.after(LONGEST));
        }
    }

    /// The agent ends, and with it the flush.
    pub(super) fn refuse(self) {
        self.replies
            .into_iter()
            .for_each(|reply| reply.refusal("the agent is ending: it exports everything"));
    }

    /// One JSON object: the records that retired, and records that still wait for collectors.
    fn answer(self, queued: RecordTotal) {
        let object = if self.left {
            let why = "no collector has room: what has not retired stays in the table";
            json!({ "error": why, "flushed": self.retired, "queued": queued })
        } else {
            json!({ "flushed": self.retired, "queued": queued })
        };
        for reply in self.replies {
            reply.line(&object);
        }
    }
}

impl<M: Metering> Engine<M> {
    /// Answers all questions that wait; questions of one verb share its work.
    pub(super) fn answer(&mut self, at: &Reading) -> anyhow::Result<()> {
        while let Some(first) = self.questions.pop_front() {
            let (same, others): (VecDeque<Question>, _) =
                self.questions.drain(..).partition(|other| other.verb == first.verb);
            self.questions = others;
            let replies = std::iter::once(first.reply).chain(same.into_iter().map(|it| it.reply)).collect();
            (first.verb.handler)(self, at, replies)?;
        }
        Ok(())
    }

    /// The arm of whatever waits for collectors while metering continues.
    pub(super) fn wait_for_collectors(&mut self, at: &Reading) {
        if self.rules.order == Order::Capture {
            return self.wait_for_capture(at);
        }
        let Some(flush) = self.flush.take() else { return };
        let is_through = !flush.left && self.dispatch.is_settled(at.now, true);
        if is_through || at.real >= flush.until {
            self.deadlines.clear(Timer::Flush);
            let mut queued = RecordTotal::default();
            self.dispatch.all().iter().for_each(|exporter| queued += exporter.queued());
            return flush.answer(queued);
        }
        self.deadlines.set(Timer::Flush, flush.until, "records that do not leave");
        self.flush = Some(flush);
    }
}

impl<M: Metering> Answering for Engine<M> {
    fn books(&mut self, replies: Vec<Reply>) -> anyhow::Result<()> {
        let books = Engine::books(self)?;
        let mut text = serde_json::to_vec(&books)?;
        text.push(b'\n');
        let text: Arc<[u8]> = text.into();
        replies.into_iter().for_each(|reply| reply.text(Arc::clone(&text)));
        Ok(())
    }

    fn config(&mut self, replies: Vec<Reply>) {
        replies.into_iter().for_each(|reply| reply.text(Arc::clone(&self.config)));
    }

    fn flush(&mut self, at: &Reading, replies: Vec<Reply>) -> anyhow::Result<()> {
        if !self.is_running() {
            Flush::new(replies, at.real).refuse();
            return Ok(());
        }
        self.metering.drain_all();
        self.deadlines.set(Timer::Sweep, at.real, "flush");
        // One that comes in the middle of another begins again: flows that came meanwhile retire too.
        let flush = match self.flush.take() {
            Some(mut before) => {
                before.replies.extend(replies);
                (before.left, before.until) = (true, at.real.after(PATIENCE));
                before
            }
            None => Flush::new(replies, at.real),
        };
        self.flush = Some(flush);
        Ok(())
    }

    fn reload(&mut self, replies: Vec<Reply>) {
        self.begin_reload(replies);
    }
}
