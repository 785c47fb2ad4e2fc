//! Messages that were handed to the kernel lately: an ICMP message may still say that they were refused.

use std::collections::VecDeque;

use flowxdp_core::{
    clock::{AgentTime, MILLISECOND, SECOND},
    exporting::session::Message,
};

use crate::transport::udp::reports::QUOTED;

/// Messages that are kept at most.
pub(super) const MOST: usize = 512;

/// Nearly every refusal comes within this time: until then the slots of a message are kept. Nanoseconds.
pub(super) const SURE: u64 = SECOND;

/// Until then the message itself is kept, nanoseconds: a router looks for a host for three seconds (RFC 4861
/// section 10) before it says that the host is unreachable.
const KEPT: u64 = 5 * SECOND;

/// Refusals are looked for so often, nanoseconds: shortly after a message, and later.
const SOON: u64 = 50 * MILLISECOND;
const LATER: u64 = 500 * MILLISECOND;

/// Octets of the shortest header with times and sequence: a shorter quote fits too many messages.
pub(super) const TELLING: usize = 16;

#[derive(Debug)]
struct Sent {
    message: Message,
    at: AgentTime,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Lately {
    sent: VecDeque<Sent>,
    /// So many from the front have no slots any more.
    confirmed: usize,
    /// The first octets of messages that were refused, and when.
    refused: VecDeque<(Vec<u8>, AgentTime)>,
}

/// Whether a message begins with the octets that an ICMP message quotes.
fn begins(message: &[u8], quoted: &[u8]) -> bool {
    let length = message.len().min(quoted.len());
    length >= TELLING && message.get(..length) == quoted.get(..length)
}

impl Lately {
    /// A message was handed to the kernel.
    pub(super) fn push(&mut self, message: Message, real: AgentTime) {
        self.sent.push_back(Sent { message, at: real });
    }

    /// Messages whose slots need not be kept from now on; with `all`, those of every message.
    pub(super) fn confirm(&mut self, real: AgentTime, all: bool) -> impl Iterator<Item = &mut Message> {
        let old = |sent: &Sent| all || sent.at.after(SURE) <= real;
        let more = self.sent.iter().skip(self.confirmed).take_while(|sent| old(sent)).count();
        let before = self.confirmed;
        self.confirmed += more;
        self.sent.iter_mut().skip(before).take(more).map(|sent| &mut sent.message)
    }

    /// The oldest message, if it is too old or there are too many.
    pub(super) fn pop(&mut self, real: AgentTime) -> Option<Message> {
        let front = self.sent.front()?;
        if self.sent.len() <= MOST && front.at.after(KEPT) > real {
            return None;
        }
        self.pop_front()
    }

    /// The oldest message.
    pub(super) fn pop_front(&mut self) -> Option<Message> {
        self.confirmed = self.confirmed.saturating_sub(1);
        self.sent.pop_front().map(|sent| sent.message)
    }

    /// The place of the last message that begins with these octets.
    pub(super) fn find(&self, quoted: &[u8]) -> Option<usize> {
        self.sent.iter().rposition(|sent| begins(&sent.message.bytes, quoted))
    }

    /// The place of the last message, if a refusal of it can be under way.
    pub(super) fn last(&self, real: AgentTime) -> Option<usize> {
        let is_recent = self.sent.back().is_some_and(|last| last.at.after(SURE) > real);
        self.sent.len().checked_sub(1).filter(|_| is_recent)
    }

    /// The place of the first message with more octets than these, if a refusal of it can be under way.
    pub(super) fn larger(&self, octets: usize, real: AgentTime) -> Option<usize> {
        self.sent.iter().position(|it| it.message.bytes.len() > octets && it.at.after(SURE) > real)
    }

    /// The place of the first message of data from `from` on with more octets than these.
    pub(super) fn larger_data(&self, from: usize, octets: usize) -> Option<usize> {
        let is_it = |sent: &Sent| !sent.message.templates_only && sent.message.bytes.len() > octets;
        self.sent.iter().skip(from).position(is_it).map(|place| from + place)
    }

    /// The message at a place.
    pub(super) fn get(&self, place: usize) -> Option<&Message> {
        self.sent.get(place).map(|sent| &sent.message)
    }

    /// Takes out the messages from a place on, in order.
    pub(super) fn take_from(&mut self, place: usize, real: AgentTime) -> VecDeque<Message> {
        self.confirmed = self.confirmed.min(place);
        let taken = self.sent.split_off(place.min(self.sent.len()));
        for sent in &taken {
            let first = sent.message.bytes.iter().take(QUOTED).copied().collect();
            self.refused.push_back((first, real));
        }
        let surplus = self.refused.len().saturating_sub(MOST);
        self.refused.drain(..surplus);
        taken.into_iter().map(|sent| sent.message).collect()
    }

    /// Whether the message that begins with these octets was refused lately: no datagram is refused twice.
    pub(super) fn was_refused(&self, quoted: &[u8], real: AgentTime) -> bool {
        let is_it = |(first, at): &(Vec<u8>, AgentTime)| at.after(KEPT) > real && begins(first, quoted);
        self.refused.iter().any(is_it)
    }

    /// When to look for refusals again, and whether slots can be let go of; `None` if no message is left.
    pub(super) fn wake(&self, real: AgentTime) -> Option<AgentTime> {
        let wait = if self.last(real).is_some() { SOON } else { LATER };
        (!self.sent.is_empty()).then(|| real.after(wait))
    }
}
