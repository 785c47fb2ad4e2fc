//! Options data: of the whole process in observation domain 0, and the flow keys in the flows' own.

use super::domains::Definition;
use super::resend::{Due, Resend};
use super::templated::{Content, Templated};
use super::{SessionConfig, modulo_32};
use crate::clock::Now;
use crate::elements::options::{Kind, OPTIONS, OptionsTemplate};
use crate::options::{Interface, Snapshot, Source, describe, records};

/// The domain of what is true of the whole process (RFC 7011 section 3.1).
const PROCESS_WIDE: u32 = 0;

/// What was sent of process-wide options.
#[derive(Debug)]
pub(super) struct Process {
    resend: Resend,
    /// Monotonic nanoseconds.
    sent_at: Option<u64>,
    interfaces: Vec<Interface>,
}

impl Process {
    pub(super) fn new(config: &SessionConfig) -> Self {
        let resend = Resend::of(config);
        Self { resend, sent_at: None, interfaces: Vec::new() }
    }

    pub(super) fn restart(&mut self) {
        self.resend.restart();
        self.sent_at = None;
    }

    fn is_due(&self, snapshot: &Snapshot, now: Now, interval: u64) -> bool {
        self.sent_at.is_none_or(|at| now.monotonic.saturating_sub(at) >= interval)
            || self.interfaces != snapshot.interfaces
    }
}

impl Templated {
    /// Makes the messages of process-wide options, if they are due.
    pub(super) fn offer(&mut self, snapshot: &Snapshot, now: Now, force: bool) {
        if !force && !self.process.is_due(snapshot, now, self.config.options_interval) {
            return;
        }
        self.process.sent_at = Some(now.monotonic);
        self.process.interfaces.clone_from(&snapshot.interfaces);
        let protocol = self.protocol;
        let templates = OPTIONS.iter().filter(move |it| !it.is_of_flows() && it.is_in(protocol));
        if self.process.resend.due(now.monotonic) != Due::No {
            let definitions = templates.clone().map(|template| self.definition(template)).collect();
            self.define(PROCESS_WIDE, definitions, now);
            self.process.resend.sent(now.monotonic, false);
        }
        for template in templates {
            self.tell(template, snapshot, now);
        }
    }

    /// Makes the messages with one kind of options record; a new one when the last is full.
    fn tell(&mut self, template: &'static OptionsTemplate, snapshot: &Snapshot, now: Now) {
        let count = records(template.kind, snapshot);
        let mut next = 0;
        while next < count {
            let mut writer = self.writer();
            let room = self.config.max_message.saturating_sub(writer.len() + self.protocol.set(0) + 4);
            let mut options = 0_usize;
            let (statistics, protocol) = (self.statistics, self.protocol);
            writer.set(template.id, |set| {
                let mut octets = Vec::new();
                while next < count {
                    let interface = snapshot.interfaces.get(next);
                    let source = Source { snapshot, statistics, protocol, interface, flow_keys: (0, 0) };
                    let before = octets.len();
                    source.encode(template, &mut octets);
                    // At least one goes, so that none waits for ever.
                    if octets.len() > room && options > 0 {
                        octets.truncate(before);
                        break;
                    }
                    set.next();
                    options += 1;
                    next += 1;
                }
                set.extend(&octets);
            });
            let options = modulo_32(options as u64);
            let content = Content { domain: PROCESS_WIDE, options, ..Content::default() };
            let message = self.finish(writer, now, content);
            self.process.resend.followed();
            self.ready.push_back(message);
        }
    }

    /// Makes the message that tells the fields of the flow key for each template of flow records.
    pub(super) fn tell_flow_keys(&mut self, now: Now) {
        let template = OPTIONS.iter().find(|it| it.kind == Kind::FlowKeys && it.is_in(self.protocol));
        let (true, Some(template)) = (self.config.flow_keys, template) else { return };
        let domain = self.config.observation_domain;
        let definition = self.definition(template);
        if self.config.reliable && self.domains.missing(domain, vec![definition.clone()]).0.is_empty() {
            return;
        }
        let keys: Vec<(u16, u64)> =
            self.groups.iter().flat_map(|group| group.layout.templates()).map(|it| it.flow_keys()).collect();
        self.domains.define(domain, &definition);
        let (statistics, protocol) = (self.statistics, self.protocol);
        let snapshot = Snapshot::default();
        let mut writer = self.writer();
        writer.set(protocol.options_template_set(), |set| set.next().extend_from_slice(&definition.octets));
        writer.set(template.id, |set| {
            for &flow_keys in &keys {
                let source = Source { snapshot: &snapshot, statistics, protocol, interface: None, flow_keys };
                source.encode(template, set.next());
            }
        });
        let options = modulo_32(keys.len() as u64);
        let message = self.finish(writer, now, Content { domain, options, ..Content::default() });
        self.ready.push_back(message);
    }

    fn definition(&self, template: &OptionsTemplate) -> Definition {
        let mut octets = Vec::new();
        describe(template, self.protocol, &mut octets);
        Definition { id: template.id, is_options: true, octets }
    }
}
