//! The session of protocols with templates: IPFIX and NetFlow v9.

use std::collections::VecDeque;

use super::domains::{Definition, Domains};
use super::group::{Group, Times};
use super::process::Process;
use super::resend::Due;
use super::{MS, Message, SessionConfig, SessionError, modulo_32};
use crate::clock::Now;
use crate::facts::uptime;
use crate::options::Statistics;
use crate::record::{FlowRecord, RecordTotal, Ticket};
use crate::wire::{Header, Protocol, Writer};

/// Buffers kept for reuse: more than a caller has on the way at once.
const SPARE_BUFFERS: usize = 64;

/// What is in a message, and for whom.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) domain: u32,
    /// Flow records.
    pub(super) total: RecordTotal,
    /// When the latest of them ends, milliseconds since 1970.
    pub(super) latest_ms: u64,
    /// Data records of options.
    pub(super) options: u32,
    pub(super) tickets: Vec<Ticket>,
}

impl Content {
    fn count(&mut self, records: &[FlowRecord]) {
        for record in records {
            self.total.count(record);
            self.latest_ms = self.latest_ms.max(record.end_ms);
            if record.ticket != Ticket::NONE {
                self.tickets.push(record.ticket);
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Templated {
    pub(super) protocol: Protocol,
    pub(super) config: SessionConfig,
    /// The usual group, and behind it those with other templates once a record needed them.
    pub(super) groups: Vec<Group>,
    pub(super) domains: Domains,
    pub(super) process: Process,
    /// Messages that are made and not polled.
    pub(super) ready: VecDeque<Message>,
    pub(super) statistics: Statistics,
    /// Export time of the last message, seconds since 1970.
    pub(super) export_secs: u64,
    /// No record whose time is told by the header ends later, milliseconds since 1970.
    latest_ms: u64,
    spare: Vec<Vec<u8>>,
    spare_tickets: Vec<Vec<Ticket>>,
}

impl Templated {
    pub(super) fn new(protocol: Protocol, config: SessionConfig) -> Result<Self, SessionError> {
        Ok(Self {
            protocol,
            groups: vec![Group::new(protocol, &config, Times::OfProtocol)?],
            domains: Domains::default(),
            process: Process::new(&config),
            ready: VecDeque::new(),
            statistics: Statistics::default(),
            // A sysUptime below zero would read as one of 49 days.
            export_secs: match protocol {
                Protocol::Ipfix => 0,
                Protocol::V9 => config.system_start_ms.div_ceil(MS),
            },
            latest_ms: 0,
            spare: Vec::new(),
            spare_tickets: Vec::new(),
            config,
        })
    }

    pub(super) fn push(&mut self, record: &FlowRecord, now: Now) {
        let export_ms = now.wall_ms.max(self.export_secs.saturating_mul(MS)).max(self.latest_ms);
        let times = Times::of(record, export_ms, self.protocol, self.config.system_start_ms);
        if times == Times::OfProtocol {
            self.latest_ms = self.latest_ms.max(record.end_ms);
        }
        let group = self.group(times);
        self.groups[group].queue.push(record, now.monotonic);
    }

    /// The place of a group, which is made now if this is its first record.
    fn group(&mut self, times: Times) -> usize {
        let place = |groups: &[Group]| groups.iter().position(|group| group.times == times);
        place(&self.groups).unwrap_or_else(|| {
            // Its templates are as large as the usual ones but for some octets a record. Where they do not
            // fit into a message, its records go with the usual ones: times modulo 2^32, and an aggregate
            // as a flow from nowhere.
            self.groups.extend(Group::new(self.protocol, &self.config, times));
            place(&self.groups).unwrap_or_default()
        })
    }

    pub(super) fn poll_message(&mut self, now: Now, flush: bool) -> Option<Message> {
        if let Some(message) = self.ready.pop_front() {
            return Some(message);
        }
        let (deadline, group) = self.next()?;
        if !flush && now.monotonic < deadline {
            return None;
        }
        let layout = &self.groups[group].layout;
        match self.groups[group].resend.due(now.monotonic) {
            Due::No => Some(self.data_message(group, now, false)),
            Due::Again if layout.templates_leave_room() => {
                let message = self.data_message(group, now, true);
                self.tell_flow_keys(now);
                Some(message)
            }
            Due::First | Due::Again => {
                self.tell_templates(group, now);
                Some(self.ready.pop_front().unwrap_or_else(|| self.data_message(group, now, false)))
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<u64> {
        if !self.ready.is_empty() {
            return Some(0);
        }
        self.next().map(|(deadline, _)| deadline)
    }

    /// The group that has the next message, and when.
    pub(super) fn next(&self) -> Option<(u64, usize)> {
        let deadlines = self.groups.iter().enumerate();
        deadlines.filter_map(|(group, it)| Some((it.deadline(self.config.linger)?, group))).min()
    }

    pub(super) fn queued(&self) -> RecordTotal {
        let mut queued = RecordTotal::default();
        for group in &self.groups {
            queued += group.queue.total();
        }
        queued
    }

    pub(super) fn drain(&mut self) -> Vec<FlowRecord> {
        self.latest_ms = 0;
        self.groups.iter_mut().flat_map(|group| group.queue.drain()).collect()
    }

    pub(super) fn clear(&mut self) {
        drop(self.drain());
        self.ready.clear();
    }

    pub(super) fn restart(&mut self) {
        for group in &mut self.groups {
            group.resend.restart();
        }
        self.process.restart();
    }

    pub(super) const fn handed(&mut self, message: &Message) {
        self.statistics.messages += 1;
        self.statistics.records += message.total.records;
        self.statistics.octets += message.bytes.len() as u64;
    }

    pub(super) fn recycle(&mut self, mut message: Message) {
        if self.spare.len() < SPARE_BUFFERS {
            self.spare.push(message.bytes);
        }
        if self.spare_tickets.len() < SPARE_BUFFERS && message.tickets.capacity() > 0 {
            message.tickets.clear();
            self.spare_tickets.push(message.tickets);
        }
    }

    /// Makes the messages that tell a group's templates, as far as the collector does not know them.
    pub(super) fn tell_templates(&mut self, group: usize, now: Now) {
        let mut definitions = self.groups[group].layout.definitions();
        definitions.extend(self.flow_keys_definition());
        self.define(self.config.observation_domain, definitions, now);
        self.tell_flow_keys(now);
        self.groups[group].resend.sent(now.monotonic, true);
    }

    /// Makes messages of templates alone. Over TCP and TLS only what is new, and what had the same id
    /// before is withdrawn first (RFC 7011 section 8.1).
    pub(super) fn define(&mut self, domain: u32, wanted: Vec<Definition>, now: Now) {
        let (missing, withdrawn) =
            if self.config.reliable { self.domains.missing(domain, wanted) } else { (wanted, Vec::new()) };
        for definition in &missing {
            self.domains.define(domain, definition);
        }
        let withdrawals = withdrawn
            .into_iter()
            .map(|it| Definition { octets: [it.id.to_be_bytes(), [0; 2]].concat(), ..it });
        let records: Vec<Definition> = withdrawals.chain(missing).collect();
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            rest = self.template_message(domain, rest, now);
        }
    }

    /// Makes one message of as many of these template records as fit; gives those that do not.
    fn template_message<'a>(&mut self, domain: u32, records: &'a [Definition], now: Now) -> &'a [Definition] {
        let mut writer = self.writer();
        let mut rest = records;
        while let Some(first) = rest.first() {
            // Withdrawals and definitions of one id never share a set.
            let run = rest.iter().take_while(|it| {
                it.is_options == first.is_options && is_withdrawal(it) == is_withdrawal(first)
            });
            let (mut count, mut octets) = (0, 0);
            for definition in run {
                octets += definition.octets.len();
                if writer.len() + self.protocol.set(octets) > self.config.max_message
                    && rest.len() < records.len() + count
                {
                    break;
                }
                count += 1;
            }
            if count == 0 {
                break;
            }
            let id = if first.is_options {
                self.protocol.options_template_set()
            } else {
                self.protocol.template_set()
            };
            writer.set(id, |set| {
                for definition in &rest[..count] {
                    set.next().extend_from_slice(&definition.octets);
                }
            });
            rest = &rest[count..];
            if writer.len() >= self.config.max_message {
                break;
            }
        }
        let message = self.finish(writer, now, Content { domain, ..Content::default() });
        self.ready.push_back(message);
        rest
    }

    pub(super) fn data_message(&mut self, group: usize, now: Now, templates: bool) -> Message {
        let mut writer = self.writer();
        if templates {
            self.write_templates(group, &mut writer);
        }
        // Messages that follow count for every template, whatever is in them.
        for other in &mut self.groups {
            other.resend.followed();
        }
        let group = &mut self.groups[group];
        if templates {
            group.resend.sent(now.monotonic, false);
        }
        let counts = group.queue.plan(&group.layout, templates);
        let tickets = self.spare_tickets.pop().unwrap_or_default();
        let mut content = Content { domain: self.config.observation_domain, tickets, ..Content::default() };
        for (kind, (&count, template)) in counts.iter().zip(group.layout.templates()).enumerate() {
            if count == 0 {
                continue;
            }
            let length = template.record_length();
            writer.records(template.id(), count, count * length, |mut octets| {
                group.queue.take(kind, count, |records| {
                    let (these, rest) = std::mem::take(&mut octets).split_at_mut(records.len() * length);
                    template.encode(records, self.config.system_start_ms, these);
                    content.count(records);
                    octets = rest;
                });
            });
        }
        group.queue.sent(content.total);
        content.latest_ms = group.latest_ms(content.latest_ms, now.wall_ms);
        self.finish(writer, now, content)
    }

    pub(super) fn writer(&mut self) -> Writer {
        let buffer = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(self.config.max_message));
        Writer::new(self.protocol, buffer)
    }

    pub(super) fn write_templates(&self, group: usize, writer: &mut Writer) {
        writer.set(self.protocol.template_set(), |set| {
            for template in self.groups[group].layout.templates() {
                template.describe(set.next());
            }
        });
        if let Some(definition) = self.flow_keys_definition() {
            let id = self.protocol.options_template_set();
            writer.set(id, |set| set.next().extend_from_slice(&definition.octets));
        }
    }

    /// Completes a message.
    pub(super) fn finish(&mut self, writer: Writer, now: Now, content: Content) -> Message {
        self.export_secs = self.export_secs.max(now.wall_ms / MS);
        if self.protocol == Protocol::V9 {
            // v9 says seconds where its records say milliseconds: collectors take UNIX Secs and
            // sysUptime for one instant, and records that end after it for future ones.
            self.export_secs = self.export_secs.max(content.latest_ms.div_ceil(MS));
        }
        let bytes = writer.finish(&self.header(content.domain));
        let counted = match self.protocol {
            Protocol::Ipfix => modulo_32(content.total.records) + content.options,
            Protocol::V9 => 1,
        };
        self.domains.advance(content.domain, counted);
        let Content { domain, total, tickets, .. } = content;
        let next = self.domains.sequence(domain);
        Message { bytes, total, templates_only: total.records == 0, domain, counted, next, tickets }
    }

    /// The header of a message that is sent now.
    pub(super) fn header(&self, domain: u32) -> Header {
        Header {
            export_secs: modulo_32(self.export_secs),
            uptime_ms: uptime(self.export_secs.saturating_mul(MS), self.config.system_start_ms),
            sequence: self.domains.sequence(domain),
            domain,
        }
    }

    pub(super) fn set_sequence(&mut self, domain: u32, sequence: u32) {
        self.domains.set_sequence(domain, sequence);
    }
}

/// A template record without fields withdraws (RFC 7011 section 8.1).
fn is_withdrawal(definition: &Definition) -> bool {
    definition.octets.get(2..4) == Some(&[0; 2])
}
