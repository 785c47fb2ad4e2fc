//! A reload: the metered side prepares it, and all of its changes hold in one turn, or none does.

use flowxdp_core::clock::Reading;
use serde_json::json;

use super::{Engine, deadlines::Timer, metering::Metering};
use crate::agent::control::Reply;

impl<M: Metering> Engine<M> {
    /// Begins a reload, unless one is being prepared. SIGHUP has no reply.
    pub(super) fn begin_reload(&mut self, replies: Vec<Reply>) {
        let begun = if !self.is_running() {
            Err("the agent is ending".to_owned())
        } else if self.reload.is_some() {
            Err("an earlier reload is not through: ask again".to_owned())
        } else {
            self.metering.reload().map_err(|error| format!("{error:#}"))
        };
        match begun {
            Ok(()) => self.reload = Some(replies),
            Err(why) => refuse(replies, &why),
        }
    }

    /// The arm of a reload: applies it once it is prepared.
    pub(super) fn step_reload(&mut self, at: &Reading) -> anyhow::Result<()> {
        let Some(replies) = self.reload.take() else { return Ok(()) };
        match self.metering.reloaded(at, &mut self.dispatch)? {
            None => self.reload = Some(replies),
            Some(Err(why)) => refuse(replies, &format!("{why:#}")),
            Some(Ok(applied)) => {
                let changed = if applied.changed.is_empty() {
                    "nothing differs".to_owned()
                } else {
                    applied.changed.join(", ")
                };
                log::info!("the configuration was read again: {changed}");
                self.configured(applied.file);
                self.rules.leave = applied.leave;
                self.reporter.observe(applied.observation_domain, &mut self.dispatch);
                self.announce(at, false);
                self.deadlines.set(Timer::Sweep, at.real, "reload");
                let answer = json!({ "reloaded": applied.changed });
                replies.into_iter().for_each(|reply| reply.line(&answer));
            }
        }
        Ok(())
    }

    /// The agent ends, and with it a reload that is being prepared.
    pub(super) fn refuse_reload(&mut self) {
        if let Some(replies) = self.reload.take() {
            refuse(replies, "the agent is ending");
        }
    }
}

fn refuse(replies: Vec<Reply>, why: &str) {
    log::warn!("the configuration stays as it is: {why}");
    replies.into_iter().for_each(|reply| reply.refusal(why));
}
