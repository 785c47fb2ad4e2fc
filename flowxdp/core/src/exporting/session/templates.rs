//! Templates on their way: in front of the data that needs them, or in messages of their own.

use super::Message;
use super::domains::Definition;
use super::resend::How;
use super::templated::{Content, Templated};
use crate::clock::Now;
use crate::exporting::wire::{Writer, set_ids};

impl Templated {
    /// Over UDP and in a new session: the templates of usual flow records before all else, so that a
    /// collector has them long before the first data.
    pub(super) fn tell_at_start(&mut self, now: Now) {
        let room = self.groups[0].layout.templates_leave_room();
        let how = if self.config.reliable || !room { How::Alone } else { How::AtStart };
        self.tell_templates(0, now, how);
    }

    /// Makes the messages that tell a group's templates without data, as far as the collector does not know
    /// them.
    pub(super) fn tell_templates(&mut self, group: usize, now: Now, how: How) {
        let definitions = self.of_group(group);
        self.define(self.config.observation_domain, definitions, now);
        self.groups[group].resend.sent(now.monotonic, how);
        self.tell_flow_keys(now);
    }

    /// A group's templates, and that of the flow keys.
    pub(super) fn of_group(&self, group: usize) -> Vec<Definition> {
        self.groups[group].layout.definitions().chain(self.flow_keys_definition()).collect()
    }

    /// The definitions that must go to the collector, and those that must be withdrawn before (RFC 7011
    /// section 8.1): over UDP all and none, over TCP and TLS those that the collector does not know.
    fn untold(&self, domain: u32, wanted: Vec<Definition>) -> (Vec<Definition>, Vec<Definition>) {
        if self.config.reliable { self.domains.missing(domain, wanted) } else { (wanted, Vec::new()) }
    }

    /// Whether a group's templates can stand in front of its data: withdrawals have messages of their own.
    pub(super) fn can_lead(&self, group: usize) -> bool {
        let domain = self.config.observation_domain;
        self.groups[group].layout.templates_leave_room()
            && (!self.config.reliable || self.untold(domain, self.of_group(group)).1.is_empty())
    }

    /// Makes messages of templates alone.
    pub(super) fn define(&mut self, domain: u32, wanted: Vec<Definition>, now: Now) {
        let (missing, withdrawn) = self.untold(domain, wanted);
        self.note(domain, &missing);
        let withdrawals = withdrawn
            .into_iter()
            .map(|it| Definition { octets: [it.id.to_be_bytes(), [0; 2]].concat(), ..it });
        let records: Vec<Definition> = withdrawals.chain(missing).collect();
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            let mut writer = self.writer();
            let written = self.write(rest, &mut writer);
            rest = &rest[written..];
            let message = self.finish(writer, now, Content { domain, ..Content::default() });
            self.ready.push_back(message);
        }
    }

    /// The collector has these definitions from now on.
    fn note(&mut self, domain: u32, definitions: &[Definition]) {
        if self.config.reliable {
            definitions.iter().for_each(|definition| self.domains.define(domain, definition));
        }
    }

    /// Writes as many of these template records as fit, at least one if the message is empty; gives how many.
    fn write(&self, records: &[Definition], writer: &mut Writer) -> usize {
        let header = self.protocol.header();
        let mut written = 0;
        while let Some(first) = records.get(written) {
            let together = records[written..].iter().take_while(|it| share_a_set(first, it)).count();
            let (mut count, mut octets) = (0, 0);
            for definition in &records[written..][..together.max(1)] {
                octets += definition.octets.len();
                let fits = writer.len() + self.protocol.set(octets) <= self.config.max_message;
                if !fits && (count > 0 || writer.len() > header) {
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
                for definition in &records[written..][..count] {
                    set.next().extend_from_slice(&definition.octets);
                }
            });
            written += count;
        }
        written
    }

    /// Writes these definitions in front of data with at least `room` octets, as far as the collector does not
    /// know them. Where they do not fit, or something must be withdrawn before, they have messages of their
    /// own, which are ready then.
    pub(super) fn write_or_define(
        &mut self,
        domain: u32,
        wanted: Vec<Definition>,
        room: usize,
        writer: &mut Writer,
        now: Now,
    ) {
        let (missing, withdrawn) = self.untold(domain, wanted);
        let sets = |it: &Definition| self.protocol.set(it.octets.len());
        let octets: usize = missing.iter().map(sets).sum();
        if withdrawn.is_empty() && writer.len() + octets + room <= self.config.max_message {
            self.write(&missing, writer);
            self.note(domain, &missing);
        } else {
            self.define(domain, missing, now);
        }
    }

    /// Writes a group's templates in front of its data, as far as the collector does not know them.
    pub(super) fn write_templates(&mut self, group: usize, writer: &mut Writer) {
        let domain = self.config.observation_domain;
        let (missing, _) = self.untold(domain, self.of_group(group));
        self.write(&missing, writer);
        self.note(domain, &missing);
    }

    /// Gives a message that was made before the templates that its data need and that were not told in this
    /// session: inside where there is room, otherwise as messages before it, which are ready then.
    pub(super) fn lead(&mut self, message: &mut Message, wanted: Vec<Definition>, now: Now) {
        let mut writer = self.writer();
        let data = message.bytes.len() - self.protocol.header();
        self.write_or_define(message.domain, wanted, data, &mut writer, now);
        message.templates += writer.len() - self.protocol.header();
        let buffer = writer.precede(&mut message.bytes);
        self.keep_buffer(buffer);
    }

    /// The group whose records are in a message that was made before.
    pub(super) fn group_of(&self, message: &Message) -> Option<usize> {
        let mut sets = set_ids(self.protocol, &message.bytes);
        sets.find_map(|set| self.groups.iter().position(|group| group.has(set)))
    }
}

/// Whether two template records can stand in one set: withdrawals and definitions never do, and decoders
/// exist that read the first options template of a set alone.
fn share_a_set(first: &Definition, second: &Definition) -> bool {
    !first.is_options && !second.is_options && is_withdrawal(first) == is_withdrawal(second)
}

/// A template record without fields withdraws (RFC 7011 section 8.1).
fn is_withdrawal(definition: &Definition) -> bool {
    definition.octets.get(2..4) == Some(&[0; 2])
}
