//! Messages that try a larger size: templates, which the collector has already, so that one may be lost.

use super::Message;
use super::templated::{Content, Templated};
use crate::clock::Now;
use crate::exporting::template::Template;

impl Templated {
    pub(super) fn probe(&mut self, octets: usize, now: Now) -> Option<Message> {
        let templates = self.groups.first()?.layout.templates().clone();
        let room = octets.checked_sub(self.protocol.header())?;
        let chosen = choose(&templates, self.protocol.set_room(room)?)?;
        let mut writer = self.writer();
        writer.set(self.protocol.template_set(), |set| {
            chosen.iter().for_each(|template| template.describe(set.next()));
        });
        let domain = self.config.observation_domain;
        Some(self.finish(writer, now, Content { domain, ..Content::default() }))
    }
}

/// As many templates as fill so many octets but for a few; `None` if one of them does not fit.
fn choose(templates: &[Template], room: usize) -> Option<Vec<&Template>> {
    let smallest = templates.iter().min_by_key(|template| template.described_length())?;
    let unit = smallest.described_length();
    let mut left = room % unit;
    let larger = |left: usize| {
        let usable = templates.iter().filter(|template| template.described_length() - unit <= left);
        usable.max_by_key(|template| template.described_length()).unwrap_or(smallest)
    };
    let chosen: Vec<_> = (0..room / unit)
        .map(|_| {
            let template = larger(left);
            left -= template.described_length() - unit;
            template
        })
        .collect();
    (!chosen.is_empty()).then_some(chosen)
}

#[cfg(test)]
mod tests {
    use super::super::samples::record;
    use super::super::{Session, SessionConfig};
    use crate::clock::Now;
    use crate::exporting::protocol::Protocol;

    #[test]
    fn a_probe_has_the_size_that_is_tried_and_no_part_in_the_sequence_of_records() {
        for protocol in [Protocol::Ipfix, Protocol::V9] {
            let mut session = Session::new(SessionConfig::new(protocol, 0)).unwrap();
            session.set_max_message(524).unwrap();
            for octets in [900, 1_252, 1_400, 1_452, 1_472, 8_972] {
                let probe = session.probe(octets, Now::default()).unwrap();
                assert!(
                    probe.bytes.len() <= octets && probe.bytes.len() + 8 > octets,
                    "{}",
                    probe.bytes.len()
                );
                assert!(probe.templates_only && probe.total.records == 0);
                assert_eq!(probe.counted, u32::from(protocol == Protocol::V9));
            }
            assert!(session.probe(40, Now::default()).is_none());
            session.push(&record(1), Now::default()).unwrap();
            assert!(session.poll_message(Now::default(), true).unwrap().bytes.len() <= 524);
        }
    }

    #[test]
    fn protocols_without_templates_have_no_message_that_may_be_lost() {
        let mut session = Session::new(SessionConfig::new(Protocol::V5, 0)).unwrap();
        assert!(session.probe(1_472, Now::default()).is_none());
    }
}
