//! The session of protocols with templates: IPFIX and NetFlow v9.

use std::collections::VecDeque;

use super::change::Former;
use super::domains::Domains;
use super::group::{self, Group};
use super::preset::Place;
use super::process::Process;
use super::queue::Plan;
use super::resend::{Due, How};
use super::{MS, Message, SessionConfig, SessionError, modulo_32};
use crate::clock::{MeterTime, Now, uptime};
use crate::exporting::options::Statistics;
use crate::exporting::template::RecordFormat;
use crate::exporting::wire::{Header, Protocol, Writer};
use crate::record::tail::{self, Text};
use crate::record::{Batch, DeliveryId, FlowRecord, RecordTotal};

/// Buffers kept for reuse: more than a caller has on the way at once.
const SPARE_BUFFERS: usize = 64;

/// A message's content and its domain.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) domain: u32,
    /// Flow records.
    pub(super) total: RecordTotal,
    /// When the latest of them ends, milliseconds since 1970.
    pub(super) latest_ms: u64,
    /// Data records of options.
    pub(super) options: u32,
    /// Octets of the sets of templates in front of flow records.
    pub(super) templates: usize,
    pub(super) deliveries: Vec<DeliveryId>,
}

impl Content {
    fn count(&mut self, records: &[FlowRecord]) {
        for record in records {
            DeliveryId::keep(&mut self.deliveries, self.total.records, record.delivery);
            self.total.count(record);
            self.latest_ms = self.latest_ms.max(record.end_ms());
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
    /// The texts that its records can have.
    texts: Vec<Text>,
    /// Of configurations of before.
    pub(super) former: Former,
    pub(super) process: Process,
    /// Messages that are made and not polled.
    pub(super) ready: VecDeque<Message>,
    pub(super) statistics: Statistics,
    /// Export time of the last message, seconds since 1970.
    pub(super) export_secs: u64,
    /// No record whose time is told by the header ends later, milliseconds since 1970.
    latest_ms: u64,
    spare: Vec<Vec<u8>>,
    spare_deliveries: Vec<Vec<DeliveryId>>,
}

impl Templated {
    pub(super) fn new(protocol: Protocol, config: SessionConfig) -> Result<Self, SessionError> {
        Ok(Self {
            protocol,
            groups: vec![Group::new(protocol, &config, RecordFormat::USUAL)?],
            domains: Domains::default(),
            texts: config.choice.texts(),
            former: Former::default(),
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
            spare_deliveries: Vec::new(),
            config,
        })
    }

    pub(super) fn push(&mut self, record: &FlowRecord, more: &[u8], now: Now) {
        let export_ms = now.wall_ms.max(self.export_secs.saturating_mul(MS)).max(self.latest_ms);
        let mut format = group::format(record, export_ms, self.protocol, self.config.system_start_ms);
        if !self.texts.is_empty() && !format.aggregates {
            format.text = self.text(more);
        }
        if !format.wide {
            self.latest_ms = self.latest_ms.max(record.end_ms());
        }
        let group = self.group(format);
        self.groups[group].queue.push(record, more, now.monotonic);
    }

    /// The column of the text that the records of this collector have of a row with its tail.
    fn text(&self, more: &[u8]) -> Option<Text> {
        let (column, _) = tail::text(more.get(self.config.choice.width()..)?)?;
        self.texts.contains(&column).then_some(column)
    }

    /// The place of a group, which is made now if this is its first record.
    fn group(&mut self, format: RecordFormat) -> usize {
        let place = |groups: &[Group]| groups.iter().position(|group| group.format == format);
        place(&self.groups).unwrap_or_else(|| {
            // Its templates are as large as the usual ones but for some octets a record. Where they do not
            // fit into a message, its records go with the usual ones: times modulo 2^32, the low eight TCP
            // flags, an aggregate as a flow from nowhere, and no text.
            self.groups.extend(Group::new(self.protocol, &self.config, format));
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
        // Two comparisons for a message, whatever the number of its records.
        if self.groups[0].resend.due(now.monotonic) == Due::First {
            self.tell_at_start(now);
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
        }
        let due = self.groups[group].resend.due(now.monotonic) != Due::No;
        if due && self.can_lead(group) {
            let message = self.data_message(group, now, true);
            self.tell_flow_keys(now);
            return Some(message);
        }
        if due {
            self.tell_templates(group, now, How::Alone);
        }
        Some(self.ready.pop_front().unwrap_or_else(|| self.data_message(group, now, false)))
    }

    /// A message of the flows' domain follows. Every template of that domain counts it, with any content.
    pub(super) fn followed(&mut self) {
        self.groups.iter_mut().for_each(|group| group.resend.followed());
        self.process.followed(Place::Flows);
    }

    pub(super) fn poll_timeout(&self) -> Option<MeterTime> {
        if !self.ready.is_empty() {
            return Some(MeterTime::START);
        }
        self.next().map(|(deadline, _)| deadline)
    }

    /// The group that has the next message, and when.
    pub(super) fn next(&self) -> Option<(MeterTime, usize)> {
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

    pub(super) fn drain(&mut self) -> Batch {
        self.latest_ms = 0;
        let mut batch = self.config.choice.batch();
        self.groups.iter_mut().for_each(|group| group.queue.drain(&mut batch));
        batch
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
        self.keep_buffer(std::mem::take(&mut message.bytes));
        if self.spare_deliveries.len() < SPARE_BUFFERS && message.deliveries.capacity() > 0 {
            message.deliveries.clear();
            self.spare_deliveries.push(message.deliveries);
        }
    }

    pub(super) fn data_message(&mut self, group: usize, now: Now, templates: bool) -> Message {
        let mut writer = self.writer();
        let header = writer.len();
        if templates {
            self.write_templates(group, &mut writer);
        }
        let written = writer.len() - header;
        self.followed();
        let group = &mut self.groups[group];
        if templates {
            group.resend.sent(now.monotonic, How::WithData);
        }
        let Plan { counts, octets } = group.queue.plan(&group.layout, templates);
        let deliveries = self.spare_deliveries.pop().unwrap_or_default();
        let domain = self.config.observation_domain;
        let mut content = Content { domain, templates: written, deliveries, ..Content::default() };
        for (kind, template) in group.layout.templates().iter().enumerate() {
            let (count, octets) = (counts[kind], octets[kind]);
            if count == 0 {
                continue;
            }
            writer.records(template.id(), count, octets, |mut octets| {
                group.queue.take(kind, count, |slice| {
                    let rest = std::mem::take(&mut octets);
                    let written = template.encode(slice, self.config.system_start_ms, rest);
                    content.count(slice.records);
                    octets = rest.get_mut(written..).unwrap_or_default();
                });
            });
        }
        group.queue.sent(content.total);
        content.latest_ms = group.latest_ms(content.latest_ms, now.wall_ms);
        self.finish(writer, now, content)
    }

    /// Keeps a buffer for a later message.
    pub(super) fn keep_buffer(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS {
            self.spare.push(buffer);
        }
    }

    pub(super) fn writer(&mut self) -> Writer {
        let buffer = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(self.config.max_message));
        Writer::new(self.protocol, buffer)
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
        let Content { domain, total, templates, deliveries, .. } = content;
        let next = self.domains.sequence(domain);
        let templates_only = total.records == 0;
        Message { bytes, templates, total, templates_only, domain, counted, next, deliveries }
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
