//! Sizes of messages: the records that fit into one.

use super::{Definition, SessionError};
use crate::exporting::template::{Kind, Template};
use crate::exporting::wire::Protocol;

/// Records of each kind, by the order of [`Kind::ALL`].
pub(super) type Counts = [usize; Kind::ALL.len()];

/// Octets of the data records of each kind.
pub(super) type Octets = [usize; Kind::ALL.len()];

/// The templates of a session and the sizes that follow from them.
#[derive(Debug)]
pub(super) struct Layout {
    protocol: Protocol,
    max_message: usize,
    templates: [Template; Kind::ALL.len()],
    /// Octets of the sets of all templates.
    template_set: usize,
}

impl Layout {
    /// `options_set` are the octets of the set of options templates that goes with the templates.
    ///
    /// # Errors
    ///
    /// `max_message` is too large, or too small for all templates or for one record of every kind.
    pub(super) fn new(
        protocol: Protocol,
        max_message: usize,
        templates: [Template; Kind::ALL.len()],
        options_set: usize,
    ) -> Result<Self, SessionError> {
        if max_message > usize::from(u16::MAX) {
            return Err(SessionError::MessageTooLarge { max: max_message });
        }
        let template_set = protocol.set(templates.iter().map(Template::described_length).sum()) + options_set;
        let layout = Self { protocol, max_message, templates, template_set };
        let record = layout.templates.iter().map(|template| protocol.set(template.longest())).max();
        let needed = protocol.header() + template_set.max(record.unwrap_or_default());
        if max_message < needed {
            return Err(SessionError::MessageTooSmall {
                max: max_message,
                needed,
                protocol: protocol.into(),
            });
        }
        Ok(layout)
    }

    pub(super) const fn templates(&self) -> &[Template; Kind::ALL.len()] {
        &self.templates
    }

    /// The templates as the collector is told them.
    pub(super) fn definitions(&self) -> impl Iterator<Item = Definition> {
        self.templates.iter().map(Definition::of)
    }

    /// Octets that the records of the kind with index `kind` can have, beside those of other kinds in `octets`.
    pub(super) fn room(&self, octets: &Octets, kind: usize, templates: bool) -> usize {
        let mut others = *octets;
        others[kind] = 0;
        let room = self.max_message.saturating_sub(self.size(&others, templates));
        self.protocol.set_room(room).unwrap_or(0)
    }

    /// Octets of a message with these records, and with all templates in front of them or without.
    fn size(&self, octets: &Octets, templates: bool) -> usize {
        let sets = octets.iter().filter(|octets| **octets > 0).map(|octets| self.protocol.set(*octets));
        let template_set = if templates { self.template_set } else { 0 };
        self.protocol.header() + template_set + sets.sum::<usize>()
    }

    /// Whether a message with these records, and so many octets more of one kind, fits.
    fn fits(&self, octets: &Octets, kind: usize, more: usize, templates: bool) -> bool {
        let mut octets = *octets;
        octets[kind] += more;
        self.size(&octets, templates) <= self.max_message
    }

    /// Whether a finished message of so many octets has room for the templates in front of its data.
    pub(super) const fn has_room(&self, octets: usize) -> bool {
        octets + self.template_set <= self.max_message
    }

    /// The largest message, octets.
    pub(super) const fn max_message(&self) -> usize {
        self.max_message
    }

    /// Whether these records leave no room for one more of any kind.
    pub(super) fn is_full(&self, octets: &Octets) -> bool {
        self.templates
            .iter()
            .enumerate()
            .all(|(kind, it)| !self.fits(octets, kind, it.record_length(), false))
    }

    /// Whether a record of any kind fits behind the templates.
    pub(super) fn templates_leave_room(&self) -> bool {
        self.templates
            .iter()
            .enumerate()
            .all(|(kind, it)| self.fits(&Octets::default(), kind, it.longest(), true))
    }
}
