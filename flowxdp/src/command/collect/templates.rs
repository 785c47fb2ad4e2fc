//! The memory that one stream's templates take: an upper bound, counted from the templates as they come.

use std::collections::HashMap;

use netflow_parser::variable_versions::{ipfix, v9};

/// Templates of each kind that the parser keeps, the most recently used ones.
pub(super) const MOST: usize = 128;

/// Octets of memory that a template takes beside its fields, and each of its fields.
const TEMPLATE: usize = 256;
const FIELD: usize = 24;

/// Memory that the templates in so many octets of a message take at most. The smallest template has eight octets,
/// and each further field four.
pub(super) const fn octets_at_most(message: usize) -> usize {
    (message / 8 + 1).saturating_mul(TEMPLATE + FIELD)
}

/// The parser's own tables, one for each kind of template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Flow,
    Options,
    V9Flow,
    V9Options,
}

/// Octets of each template of a stream, by kind and id.
#[derive(Debug, Default)]
pub(super) struct Templates {
    octets: HashMap<(Kind, u16), usize>,
    total: usize,
}

impl Templates {
    /// Octets of memory that all templates of the stream take at most.
    pub(super) const fn octets(&self) -> usize {
        self.total
    }

    /// Counts the templates in one set of an IPFIX message.
    pub(super) fn ipfix(&mut self, set: &ipfix::FlowSetBody) {
        use ipfix::FlowSetBody as Body;
        match set {
            Body::Template(it) => self.add(Kind::Flow, it.template_id, it.fields.len()),
            Body::Templates(all) => {
                all.iter().for_each(|it| self.add(Kind::Flow, it.template_id, it.fields.len()));
            }
            Body::OptionsTemplate(it) => self.add(Kind::Options, it.template_id, it.fields.len()),
            Body::OptionsTemplates(all) => {
                all.iter().for_each(|it| self.add(Kind::Options, it.template_id, it.fields.len()));
            }
            Body::V9Template(it) => self.add(Kind::V9Flow, it.template_id, it.fields.len()),
            Body::V9Templates(all) => {
                all.iter().for_each(|it| self.add(Kind::V9Flow, it.template_id, it.fields.len()));
            }
            Body::V9OptionsTemplate(it) => self.v9_options(it),
            Body::V9OptionsTemplates(all) => all.iter().for_each(|it| self.v9_options(it)),
            _ => {}
        }
    }

    /// Counts the templates in one set of a v9 message.
    pub(super) fn v9(&mut self, set: &v9::FlowSetBody) {
        match set {
            v9::FlowSetBody::Template(all) => {
                all.templates.iter().for_each(|it| self.add(Kind::V9Flow, it.template_id, it.fields.len()));
            }
            v9::FlowSetBody::OptionsTemplate(all) => {
                all.templates.iter().for_each(|it| self.v9_options(it));
            }
            _ => {}
        }
    }

    fn v9_options(&mut self, template: &v9::OptionsTemplate) {
        let fields = template.scope_fields.len() + template.option_fields.len();
        self.add(Kind::V9Options, template.template_id, fields);
    }

    fn add(&mut self, kind: Kind, id: u16, fields: usize) {
        let octets = TEMPLATE + fields * FIELD;
        self.total += octets;
        if let Some(before) = self.octets.insert((kind, id), octets) {
            self.total -= before;
        }
        let of_kind = |other: &&(Kind, u16)| other.0 == kind;
        if self.octets.keys().filter(of_kind).count() <= MOST {
            return;
        }
        // Whichever the parser forgot, the largest that remain are an upper bound.
        let smallest = self.octets.iter().filter(|(key, _)| key.0 == kind).min_by_key(|(_, octets)| **octets);
        if let Some((key, octets)) = smallest.map(|(key, octets)| (*key, *octets)) {
            self.octets.remove(&key);
            self.total -= octets;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_comes_again_counts_once() {
        let mut templates = Templates::default();
        (0..1000).for_each(|_| templates.add(Kind::Flow, 256, 10));
        assert_eq!(templates.octets(), TEMPLATE + 10 * FIELD);
        templates.add(Kind::Flow, 256, 4);
        templates.add(Kind::Options, 256, 4);
        assert_eq!(templates.octets(), 2 * (TEMPLATE + 4 * FIELD));
    }

    #[test]
    fn small_templates_do_not_hide_large_ones() {
        let mut templates = Templates::default();
        (0..MOST).zip(0..).for_each(|(_, id)| templates.add(Kind::Flow, id, 500));
        (0..5000).for_each(|id| templates.add(Kind::Flow, 1000 + id, 1));
        assert_eq!(templates.octets(), MOST * (TEMPLATE + 500 * FIELD));
    }
}
