//! When the templates go out, first and again.
//!
//! Over UDP nobody tells the exporter that a collector has started anew, so templates are repeated
//! (RFC 7011 section 8.4, RFC 3954 section 7): after an interval and after a number of messages,
//! whichever is first. A clock that jumps over many intervals makes them due once.

use super::SessionConfig;
use crate::clock::MeterTime;

/// Whether the next message has templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// None.
    No,
    /// All: the collector has none of them.
    First,
    /// All, again.
    Again,
}

/// How templates were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// At the start of a session; the first data has them again. A collector with several workers may read
    /// two datagrams in either order.
    AtStart,
    /// In a message without data, as they leave no room for any.
    Alone,
    /// With data.
    WithData,
}

/// Templates that were sent.
#[derive(Debug)]
pub(super) struct Resend {
    interval: u64,
    messages: u32,
    sent: Option<Sent>,
}

#[derive(Debug)]
struct Sent {
    at: MeterTime,
    /// Messages since, without templates.
    following: u32,
    how: How,
}

impl Resend {
    /// As the transport wants it: over TCP and TLS once for each session.
    pub(super) fn of(config: &SessionConfig) -> Self {
        if config.reliable {
            Self::new(u64::MAX, u32::MAX)
        } else {
            Self::new(config.template_interval, config.template_messages)
        }
    }

    /// Templates every `interval` nanoseconds and in every `messages`-th message.
    pub(super) const fn new(interval: u64, messages: u32) -> Self {
        Self { interval, messages, sent: None }
    }

    pub(super) fn due(&self, now: MeterTime) -> Due {
        match &self.sent {
            None => Due::First,
            Some(Sent { how: How::AtStart, .. }) => Due::Again,
            // Data follow templates that went alone, at any interval.
            Some(Sent { how: How::Alone, following: 0, .. }) => Due::No,
            Some(sent) => {
                let counted = self.messages < u32::MAX && sent.following.saturating_add(1) >= self.messages;
                let timed = now.since(sent.at) >= self.interval;
                if counted || timed { Due::Again } else { Due::No }
            }
        }
    }

    /// Templates were sent.
    pub(super) const fn sent(&mut self, now: MeterTime, how: How) {
        self.sent = Some(Sent { at: now, following: 0, how });
    }

    /// A message without templates was sent.
    pub(super) const fn followed(&mut self) {
        if let Some(sent) = &mut self.sent {
            sent.following = sent.following.saturating_add(1);
        }
    }

    /// The collector may have forgotten them.
    pub(super) fn restart(&mut self) {
        self.sent = None;
    }
}
