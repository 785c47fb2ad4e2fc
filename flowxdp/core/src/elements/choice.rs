//! Which elements the records of a collector have.

use flowxdp_common::field::{self, Groups};

use super::ELEMENTS;

/// A choice of elements: those of the groups that are collected, as far as a collector wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Choice {
    /// The groups that the meter collects: they lay the extension row out.
    groups: Groups,
    /// A bit for each row of [`ELEMENTS`].
    rows: u128,
}

const _: () = assert!(ELEMENTS.len() <= 128, "a choice has a bit for each row");

impl Default for Choice {
    fn default() -> Self {
        Self::of(Groups::BASE)
    }
}

impl Choice {
    /// All elements of these groups.
    pub fn of(groups: Groups) -> Self {
        let rows = ELEMENTS.iter().enumerate().filter(|(_, element)| element.is_in(groups));
        Self { groups, rows: rows.fold(0, |rows, (row, _)| rows | 1 << row) }
    }

    /// The groups that the meter collects.
    pub const fn groups(&self) -> Groups {
        self.groups
    }

    /// Octets of the extension row.
    pub const fn width(&self) -> usize {
        field::width(self.groups)
    }

    /// The elements, in the order of the table.
    pub fn elements(&self) -> impl Iterator<Item = &'static super::Element> + use<> {
        let rows = self.rows;
        ELEMENTS.iter().enumerate().filter(move |(row, _)| rows >> row & 1 == 1).map(|(_, element)| element)
    }
}
