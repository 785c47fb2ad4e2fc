//! A session that is driven as an input says, in the ways in which the exporter drives it.

use std::collections::VecDeque;

use flowxdp_core::clock::{MeterTime, Now, SECOND};
use flowxdp_core::exporting::legacy::NotRepresentable;
use flowxdp_core::exporting::options::{Snapshot, Statistics};
use flowxdp_core::exporting::session::{Message, Session, SessionConfig};
use flowxdp_core::record::{Addresses, Entry, Flow, FlowRecord, RecordTotal};

use super::awaited::{Collector, is_fixed};
use super::input::{self, Octets};
use super::{Export, options};

/// Delivered messages that may be sent again in a new session.
const KEPT: usize = 3;
/// Milliseconds in an hour.
const HOUR: u64 = 3_600_000;
/// A size of messages in which a text of any options record has 254 octets.
const ROOMY: usize = 600;

pub(super) struct Run<'a, 'b> {
    octets: &'a mut Octets<'b>,
    session: Session,
    config: SessionConfig,
    now: Now,
    /// Polled and not delivered.
    outbox: VecDeque<Message>,
    /// The last ones that were delivered, with their records.
    kept: VecDeque<(Message, Vec<Flow>)>,
    collector: Collector,
    sent: Statistics,
    offered: Option<Snapshot>,
}

impl<'a, 'b> Run<'a, 'b> {
    pub(super) fn new(octets: &'a mut Octets<'b>) -> Self {
        let (session, config) = input::session(octets);
        let wall_ms = config.system_start_ms + HOUR + u64::from(octets.short()) * HOUR;
        let now = Now::new(100 * SECOND, wall_ms);
        let (outbox, kept) = (VecDeque::new(), VecDeque::new());
        let (collector, sent) = (Collector::default(), Statistics::default());
        Self { octets, session, config, now, outbox, kept, collector, sent, offered: None }
    }

    pub(super) fn all(mut self) -> Export {
        while !self.octets.0.is_empty() {
            match self.octets.octet() % 16 {
                0..7 => self.push(1),
                7 => {
                    let count = self.octets.octet();
                    self.push(count.into());
                }
                8 => {
                    let message = self.poll(false);
                    self.outbox.extend(message);
                }
                9 => self.ready(false),
                10 => {
                    self.ready(true);
                    self.deliver(usize::MAX);
                }
                11 => self.offer(),
                12 if self.config.reliable => self.begin(),
                12 | 13 => self.resume(),
                14 => self.resize(),
                _ => self.wait(),
            }
            let count = self.octets.octet() / 32;
            self.deliver(count.into());
        }
        self.ready(true);
        self.deliver(usize::MAX);
        assert_eq!(self.session.queued(), RecordTotal::default());
        assert_eq!(self.session.poll_timeout(), None);
        assert!(self.collector.flows.is_empty(), "{:?} never come", self.collector.flows);
        assert!(self.collector.options.is_empty(), "{:?} never come", self.collector.options);
        Export { protocol: self.config.protocol, sessions: self.collector.sessions }
    }

    fn push(&mut self, count: u16) {
        let mut record = input::record(self.octets, &self.config, self.now);
        for _ in 0..count {
            let flow = FlowRecord::from(record);
            match self.session.push(Entry { record: &flow, more: &input::row(&record) }, self.now) {
                Ok(()) => self.collector.flows.push_back(record),
                Err(NotRepresentable::Ipv6) => {
                    assert!(is_fixed(self.config.protocol), "{record:?}");
                    assert!(matches!(record.key.addresses, Addresses::V6 { .. }), "{record:?}");
                }
                Err(NotRepresentable::Times) => assert!(is_fixed(self.config.protocol), "{record:?}"),
            }
            record.key.source_port = record.key.source_port.wrapping_add(1);
        }
    }

    fn poll(&mut self, flush: bool) -> Option<Message> {
        let due = self.session.poll_timeout();
        let message = self.session.poll_message(self.now, flush);
        let is_due = due.is_some_and(|due| flush || due <= self.now.monotonic);
        assert_eq!(message.is_some(), is_due, "due at {due:?} of {:?}", self.now);
        let length = message.as_ref().map_or(0, |message| message.bytes.len());
        assert!(length <= self.config.max_message, "{length} octets of {}", self.config.max_message);
        message
    }

    /// Takes the messages that are ready, or all.
    fn ready(&mut self, flush: bool) {
        while let Some(message) = self.poll(flush) {
            self.outbox.push_back(message);
        }
    }

    /// Takes messages that are made already.
    fn made(&mut self) -> bool {
        let mut of_process = false;
        while self.session.poll_timeout() == Some(MeterTime::START) {
            let message = self.poll(false);
            of_process |= message.as_ref().is_some_and(|message| message.domain == 0);
            self.outbox.extend(message);
        }
        of_process
    }

    fn offer(&mut self) {
        self.made();
        let force = self.octets.octet() < 128;
        let snapshot = input::snapshot(self.octets, &self.config);
        self.session.offer(&snapshot, self.now, force);
        let made = self.made();
        assert!(made || !force || is_fixed(self.config.protocol), "options are not told");
        if made {
            self.offered = Some(snapshot);
            self.await_options();
        }
    }

    /// The last offer is sent.
    fn await_options(&mut self) {
        let Some(snapshot) = &self.offered else { return };
        let room = if self.config.max_message < ROOMY { 64 } else { 254 };
        let awaited = options::awaited(snapshot, self.sent, &self.config);
        self.collector.options.extend(awaited.into_iter().map(|it| (it, room)));
    }

    fn deliver(&mut self, count: usize) {
        for _ in 0..count.min(self.outbox.len()) {
            let Some(message) = self.outbox.pop_front() else { return };
            self.session.handed(&message);
            self.sent.messages += 1;
            self.sent.records += message.total.records;
            self.sent.octets += message.bytes.len() as u64;
            let records = self.collector.take(&self.config, &message);
            if records.is_empty() {
                self.session.recycle(message);
            } else {
                self.kept.push_back((message, records));
                if self.kept.len() > KEPT {
                    self.kept.pop_front();
                }
            }
        }
    }

    /// The collector may have started anew.
    fn resume(&mut self) {
        if self.config.reliable {
            return;
        }
        self.session.restart();
        let unsent = std::mem::take(&mut self.outbox);
        self.outbox = self.session.resume(unsent, self.now);
        self.collector.options.clear();
        if !is_fixed(self.config.protocol) {
            self.collector.forget();
            if !self.outbox.is_empty() {
                self.await_options();
            }
        }
    }

    /// A new connection: messages that may not have been delivered go first.
    fn begin(&mut self) {
        self.session.begin();
        self.collector.begin();
        self.collector.options.clear();
        let kept = std::mem::take(&mut self.kept);
        let again = usize::from(self.octets.octet()) % (KEPT + 1);
        let mut messages = Vec::new();
        for (message, records) in kept.into_iter().rev().take(again).rev() {
            self.collector.flows.extend(records);
            messages.push(message);
        }
        let unsent = std::mem::take(&mut self.outbox);
        messages.extend(unsent.into_iter().filter(|message| message.total.records > 0));
        for message in messages {
            self.outbox.extend(self.session.again(message, None, self.now));
        }
    }

    fn resize(&mut self) {
        self.made();
        let max = input::size(self.octets, &self.config);
        assert!(self.session.set_max_message(max).is_ok());
        assert!(self.session.set_max_message(usize::from(u16::MAX) + 1).is_err());
        assert!(self.session.set_max_message(20).is_err());
        self.config.max_message = max;
    }

    /// The time of day may step in both directions.
    fn wait(&mut self) {
        let (how, by) = (self.octets.octet(), u64::from(self.octets.short()));
        self.now.monotonic = self.now.monotonic + by * (SECOND / 1000);
        self.now.wall_ms = match how % 8 {
            0 => self.now.wall_ms.saturating_sub(by * HOUR).max(HOUR),
            1 => {
                // Records that wait so long cannot be told in 32 bits of milliseconds.
                self.ready(true);
                self.deliver(usize::MAX);
                self.now.wall_ms + by * (HOUR / 4)
            }
            2 => self.now.wall_ms.saturating_sub(by),
            _ => self.now.wall_ms + by,
        };
    }
}
