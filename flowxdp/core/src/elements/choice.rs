//! Which elements the records of a collector have.

use flowxdp_common::field::{self, Group, Groups};

use super::{ELEMENTS, Element, Source};
use crate::elements::registry;
use crate::record::tail::Text;
use crate::record::{Batch, row};

/// The term that stands for every element of the collected groups.
const DEFAULT: &str = "default";

/// A choice of elements: elements of the collected groups, as far as a collector wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Choice {
    /// The groups that the meter collects: they lay the extension row out.
    groups: Groups,
    /// A bit for each row of [`ELEMENTS`].
    rows: u128,
}

const _: () = assert!(ELEMENTS.len() <= 128, "a choice has a bit for each row");

/// Why a list of fields cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldsError {
    /// IANA's registry has no element of this name.
    #[error("fields: {0:?} is no information element: give names of IANA's registry, like minimumTTL")]
    Unknown(String),
    /// No record has the element.
    #[error(
        "fields: {0} is an element that no record has: the manual's elements.md lists those that there are"
    )]
    NotExported(String),
    /// The element's group is not collected.
    #[error("fields: {0} is not collected: add its group by --collect {group}", group = .1.name())]
    NotCollected(String, Group),
    /// The element cannot be left out.
    #[error("fields: {0} cannot be left out, as the books are read from it: take it in")]
    Needed(&'static str),
}

impl Default for Choice {
    fn default() -> Self {
        Self::of(Groups::BASE)
    }
}

impl Choice {
    /// All elements of these groups.
    pub fn of(groups: Groups) -> Self {
        Self { groups, rows: rows(|element| element.is_in(groups)) }
    }

    /// The choice of a list: each term adds the element with its name of IANA's registry, or all that are collected
    /// (`default`), or takes one out (`-NAME`). A `+` in front of a name says nothing more. Behind it the names that
    /// were to be taken out and were not there.
    ///
    /// Fields stand in the order of the table, whatever the order of the terms.
    ///
    /// # Errors
    ///
    /// A name is unknown or not collected; or a counter that the books are read from is left out.
    pub fn parse(groups: Groups, terms: &[String]) -> Result<(Self, Vec<String>), FieldsError> {
        let (mut choice, mut absent) = (Self { groups, rows: 0 }, Vec::new());
        for term in terms {
            match term.strip_prefix('-') {
                Some(name) => {
                    let rows = named(name)?;
                    if choice.rows & rows == 0 {
                        absent.push(name.to_owned());
                    }
                    choice.rows &= !rows;
                }
                None => choice.add(term.strip_prefix('+').unwrap_or(term))?,
            }
        }
        for element in &ELEMENTS {
            let is_needed = element.source.is(row::PACKETS) || element.source.is(row::OCTETS);
            if is_needed && !choice.elements().any(|it| it.id == element.id) {
                return Err(FieldsError::Needed(element.name));
            }
        }
        Ok((choice, absent))
    }

    fn add(&mut self, name: &str) -> Result<(), FieldsError> {
        if name == DEFAULT {
            self.rows |= Self::of(self.groups).rows;
            return Ok(());
        }
        let rows = named(name)?;
        let Some(element) = ELEMENTS.get(rows.trailing_zeros() as usize) else {
            return Err(FieldsError::NotExported(name.to_owned()));
        };
        if !element.is_in(self.groups) {
            return Err(FieldsError::NotCollected(name.to_owned(), element.group));
        }
        self.rows |= rows;
        Ok(())
    }

    /// Whether it is all elements of the base group and no other.
    pub fn is_base(&self) -> bool {
        self.rows == Self::default().rows
    }

    /// The groups that the meter collects.
    pub const fn groups(&self) -> Groups {
        self.groups
    }

    /// Octets of the extension row.
    pub const fn width(&self) -> usize {
        field::width(self.groups)
    }

    /// An empty batch of records of these groups: rows of their width, and tails where names are collected.
    pub fn batch(&self) -> Batch {
        Batch::with_tails(self.width(), self.groups.has(Group::Names))
    }

    /// The texts that records can have, one each.
    pub fn texts(&self) -> Vec<Text> {
        let texts = self.elements().filter_map(|element| match element.source {
            Source::Text(text) => Some(text),
            _ => None,
        });
        texts.collect()
    }

    /// The elements, in the order of the table.
    pub fn elements(&self) -> impl Iterator<Item = &'static Element> + use<> {
        let rows = self.rows;
        ELEMENTS.iter().enumerate().filter(move |(row, _)| rows >> row & 1 == 1).map(|(_, element)| element)
    }
}

/// The bits of all rows that hold to `is`.
fn rows(is: impl Fn(&Element) -> bool) -> u128 {
    let rows = ELEMENTS.iter().enumerate().filter(|(_, element)| is(element));
    rows.fold(0, |rows, (row, _)| rows | 1 << row)
}

/// The rows with this name; none for an element of the registry that no record has.
fn named(name: &str) -> Result<u128, FieldsError> {
    let found = rows(|element| element.name == name);
    if found != 0 || registry::REGISTRY.iter().any(|entry| entry.name == name) {
        Ok(found)
    } else {
        Err(FieldsError::Unknown(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(Choice, Vec<String>), FieldsError> {
        let terms: Vec<String> = text.split(',').map(str::to_owned).collect();
        Choice::parse(Groups::BASE, &terms)
    }

    fn ids(choice: &Choice) -> Vec<u16> {
        choice.elements().map(|element| element.id).collect()
    }

    #[test]
    fn terms_add_and_take_out_in_their_order() {
        let all = Choice::default();
        assert_eq!(parse("default").unwrap(), (all, vec![]));
        assert_eq!(parse("+default,-minimumTTL,minimumTTL").unwrap(), (all, vec![]));
        let (choice, absent) = parse("default,-minimumTTL,-bgpSourceAsNumber,-minimumTTL").unwrap();
        assert_eq!(absent, ["bgpSourceAsNumber", "minimumTTL"]);
        assert!(ids(&choice).iter().eq(ids(&all).iter().filter(|id| **id != 52)));
        let (choice, _) = parse("octetDeltaCount,sourceIPv4Address,+packetDeltaCount").unwrap();
        assert_eq!(ids(&choice), [8, 2, 1]);
    }

    #[test]
    fn a_list_that_cannot_be_is_refused_with_the_remedy() {
        for (text, error) in [
            (
                "default,-minimumTtl",
                "fields: \"minimumTtl\" is no information element: give names of IANA's registry, like minimumTTL",
            ),
            (
                "default,",
                "fields: \"\" is no information element: give names of IANA's registry, like minimumTTL",
            ),
            (
                "+bgpSourceAsNumber",
                "fields: bgpSourceAsNumber is an element that no record has: the manual's elements.md lists those that there are",
            ),
            (
                "default,-octetDeltaCount",
                "fields: octetDeltaCount cannot be left out, as the books are read from it: take it in",
            ),
            (
                "sourceIPv4Address,octetDeltaCount",
                "fields: packetDeltaCount cannot be left out, as the books are read from it: take it in",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error);
        }
    }
}
