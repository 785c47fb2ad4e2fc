//! The templates of a file, by observation domain and id.

use std::collections::BTreeMap;

use super::be_16;
use super::content::Fault;
use super::shape::RecordShape;
use crate::exporting::session::Definition;

/// The most octets of template records that are kept of one file.
pub const MOST_TEMPLATES: usize = 1 << 20;

/// The smallest template id; the ids below are those of sets (RFC 7011 section 3.4.1).
const SMALLEST_ID: u16 = 256;

/// Templates that a file has defined so far.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    known: BTreeMap<(u32, u16), (Definition, RecordShape)>,
    /// Octets of all template records.
    octets: usize,
}

impl Templates {
    /// The templates of one observation domain, by ascending id.
    pub fn definitions(&self, domain: u32) -> Vec<Definition> {
        let known = self.known.range((domain, 0)..=(domain, u16::MAX));
        known.map(|(_, (definition, _))| definition.clone()).collect()
    }

    pub(super) fn get(&self, domain: u32, id: u16) -> Option<(bool, &RecordShape)> {
        self.known.get(&(domain, id)).map(|(definition, shape)| (definition.is_options, shape))
    }

    /// Learns from a set of templates or of options templates, whose header is not in `octets`.
    ///
    /// Zeros behind the records are padding. Templates before a fault are learned.
    pub(super) fn learn(&mut self, domain: u32, is_options: bool, mut octets: &[u8]) -> Result<(), Fault> {
        while octets.len() >= 4 && octets.iter().any(|octet| *octet != 0) {
            let (id, fields) = (be_16(&octets[..2]), be_16(&octets[2..4]));
            let length = if fields == 0 {
                self.withdraw(domain, is_options, id);
                4
            } else {
                self.define(domain, is_options, id, octets)?
            };
            octets = octets.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    /// Takes the template record that `octets` begin with; gives its length.
    ///
    /// ```text
    ///  0                   1                   2                   3
    ///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |      Template ID (> 255)      |         Field Count           |
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |  options: Scope Field Count   |         field specifiers      |
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// ```
    ///
    /// RFC 7011 sections 3.4.1 and 3.4.2.2.
    fn define(&mut self, domain: u32, is_options: bool, id: u16, octets: &[u8]) -> Result<usize, Fault> {
        let fields = be_16(&octets[2..4]);
        let head = if is_options { 6 } else { 4 };
        let specifiers = octets.get(head..).ok_or(Fault::Template)?;
        let has_scope = !is_options || (1..=fields).contains(&be_16(&octets[4..6]));
        if id < SMALLEST_ID || !has_scope {
            return Err(Fault::Template);
        }
        let (shape, length) = RecordShape::read(specifiers, fields)?;
        let length = head + length;
        // An id that is taken is defined anew: a file is no session that could be ended for it.
        self.forget(domain, id);
        if self.octets + length > MOST_TEMPLATES {
            return Err(Fault::TooManyTemplates);
        }
        let octets = octets.get(..length).ok_or(Fault::Template)?.to_vec();
        self.octets += length;
        self.known.insert((domain, id), (Definition { id, is_options, octets }, shape));
        Ok(length)
    }

    /// A template record without fields: the id is no more, or, where it is that of the set, none of
    /// this kind is (RFC 7011 section 8.1).
    fn withdraw(&mut self, domain: u32, is_options: bool, id: u16) {
        if id >= SMALLEST_ID {
            return self.forget(domain, id);
        }
        let known = self.known.range((domain, 0)..=(domain, u16::MAX));
        let ids: Vec<u16> = known
            .filter(|(_, (definition, _))| definition.is_options == is_options)
            .map(|((_, id), _)| *id)
            .collect();
        ids.into_iter().for_each(|id| self.forget(domain, id));
    }

    fn forget(&mut self, domain: u32, id: u16) {
        if let Some((old, _)) = self.known.remove(&(domain, id)) {
            self.octets -= old.octets.len();
        }
    }
}
