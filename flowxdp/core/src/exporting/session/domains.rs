//! The collector's state of each observation domain: the sequence, and over TCP and TLS the templates.

use std::collections::BTreeMap;

use crate::exporting::template::Template;

/// A template as the collector was told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Template id.
    pub id: u16,
    /// An options template.
    pub is_options: bool,
    /// The template record.
    pub octets: Vec<u8>,
}

impl Definition {
    pub(super) fn of(template: &Template) -> Self {
        let mut octets = Vec::new();
        template.describe(&mut octets);
        Self { id: template.id(), is_options: false, octets }
    }
}

#[derive(Debug, Default)]
pub(super) struct Domains {
    /// IPFIX: data records in messages so far, modulo 2^32 (RFC 7011 section 3.1).
    /// v9: messages so far, modulo 2^32 (RFC 3954 section 5.1).
    sequences: BTreeMap<u32, u32>,
    /// By domain and template id.
    defined: BTreeMap<(u32, u16), Definition>,
}

impl Domains {
    pub(super) fn sequence(&self, domain: u32) -> u32 {
        self.sequences.get(&domain).copied().unwrap_or(0)
    }

    pub(super) fn set_sequence(&mut self, domain: u32, sequence: u32) {
        self.sequences.insert(domain, sequence);
    }

    pub(super) fn advance(&mut self, domain: u32, counted: u32) {
        let sequence = self.sequences.entry(domain).or_default();
        *sequence = sequence.wrapping_add(counted);
    }

    pub(super) fn roll_back(&mut self, domain: u32, counted: u32) {
        let sequence = self.sequences.entry(domain).or_default();
        *sequence = sequence.wrapping_sub(counted);
    }

    /// The templates of `wanted` that the collector does not know yet, and those that must be withdrawn
    /// before.
    pub(super) fn missing(&self, domain: u32, wanted: Vec<Definition>) -> (Vec<Definition>, Vec<Definition>) {
        let known = |definition: &Definition| self.defined.get(&(domain, definition.id));
        let missing: Vec<_> = wanted.into_iter().filter(|it| known(it) != Some(it)).collect();
        let withdrawn = missing.iter().filter_map(known).cloned().collect();
        (missing, withdrawn)
    }

    pub(super) fn define(&mut self, domain: u32, definition: &Definition) {
        self.defined.insert((domain, definition.id), definition.clone());
    }

    /// A new transport session.
    pub(super) fn forget(&mut self) {
        self.sequences.clear();
        self.defined.clear();
    }
}
