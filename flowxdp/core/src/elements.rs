//! Information elements: the form of a row of THE [`table`], and the elements that a collector gets.
//!
//! Templates, their lists of copies and the manual follow from it; a row more here is an element more in all
//! three. The order of the rows is the order of the fields in every template.
//!
//! Architecture invariant: only this table (and the registry that it is tested against) knows element
//! numbers, and no length is typed twice: a field is as long as the column or the cold field that it copies.
//! [`options`] is its second part, [`registry`] IANA's list that both are tested against, with the
//! [`data_type`]s; [`application`] has the numbers of applications; [`manual`] writes their page.

pub mod application;
mod choice;
pub mod data_type;
mod kind;
pub mod manual;
pub mod options;
pub mod registry;
mod table;

pub use self::choice::{Choice, FieldsError};
pub use self::kind::{Kind, Within};
pub use self::table::ELEMENTS;

use flowxdp_common::field::{Cold, Group, Groups};

use crate::elements::data_type::DataType;
use crate::exporting::wire::Protocol;
use crate::record::FlowRecord;
use crate::record::row::{self, Column};
use crate::record::tail::{self, Text};

/// An information element that we export.
#[derive(Clone, Copy, Debug)]
pub struct Element {
    /// Number in IANA's registry, which RFC 3954 field types share up to 127 and v9 collectors beyond; or in that of
    /// the enterprise.
    pub id: u16,
    /// Private enterprise number of the registry, 0 for IANA's.
    pub enterprise: u32,
    /// Name in the registry.
    pub name: &'static str,
    /// Abstract data type in the registry.
    pub data_type: DataType,
    /// Where its value comes from.
    pub source: Source,
    /// The kinds of flow record that carry it.
    pub within: Within,
    /// The protocols that carry it.
    pub carried: Carried,
    /// Flows or aggregates (RFC 7015).
    pub of: Of,
    /// Whether it is part of the flow key.
    pub key: Key,
    /// The group that must be collected for it.
    pub group: Group,
    /// A line for the manual.
    pub manual: &'static str,
}

/// Where the value of an element comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A column of the base row.
    Row(Column),
    /// A field of the extension row.
    Cold(Cold),
    /// Milliseconds from system start to the time in this column, modulo 2^32.
    Uptime(Column),
    /// A number of so many octets that follows from the record.
    Computed(usize, fn(&FlowRecord) -> u64),
    /// The application of the tail.
    Application,
    /// A text of the tail: of variable length in IPFIX, and of [`FIXED_TEXT`] octets in v9.
    Text(Text),
}

/// Octets of a text in NetFlow v9, which has no fields of variable length: filled up with zeros, or cut.
pub const FIXED_TEXT: usize = 64;

/// Private enterprise number of ntop, whose elements of names tshark, nfdump and ntopng read.
pub const NTOP: u32 = 35_632;

/// The number in NetFlow v9 of ntop's element 0; the others follow.
const NTOP_V9: u16 = 57_472;

impl Source {
    /// Octets of the value at full size.
    pub const fn length(&self) -> usize {
        match self {
            Self::Row(column) => column.length(),
            Self::Cold(cold) => cold.field().octets as usize,
            Self::Uptime(_) => size_of::<u32>(),
            Self::Computed(length, _) => *length,
            Self::Application => tail::APPLICATION,
            Self::Text(_) => FIXED_TEXT,
        }
    }

    /// Whether it stands in the tail.
    pub const fn is_of_tail(&self) -> bool {
        matches!(self, Self::Application | Self::Text(_))
    }

    /// Whether it is this column of the base row.
    pub fn is(&self, column: Column) -> bool {
        matches!(self, Self::Row(own) if *own == column)
    }
}

/// The protocols that carry an element, and the size of its field there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// Both.
    Both,
    /// IPFIX alone: v9 says the same by another element.
    Ipfix,
    /// v9 alone: IPFIX says the same by another element.
    V9,
    /// Both, reduced to the low octet (RFC 7011 section 6.2), but at full size in IPFIX where a value needs it.
    LowOctet,
}

/// Records of flows or of aggregates (RFC 7015).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Both.
    All,
    /// Records of flows alone.
    Flows,
    /// Records of aggregates alone.
    Aggregates,
}

/// Whether an element is part of the flow key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The element has no such value.
    No,
    /// Of flows and of aggregates.
    Always,
    /// Of flows alone: an aggregate has flows of any source.
    FlowsOnly,
}

impl Element {
    /// Octets of the field in a protocol, or [`VARIABLE`](options::VARIABLE); `None` if it does not carry the element.
    ///
    /// `wide` is for records with a value that the usual field has no room for.
    pub const fn length(&self, protocol: Protocol, wide: bool) -> Option<usize> {
        match (self.carried, protocol) {
            (Carried::Ipfix, Protocol::V9) | (Carried::V9, Protocol::Ipfix) => None,
            (Carried::LowOctet, Protocol::Ipfix) if wide => Some(self.source.length()),
            (Carried::LowOctet, _) => Some(1),
            (_, Protocol::Ipfix) if matches!(self.source, Source::Text(_)) => {
                Some(options::VARIABLE as usize)
            }
            _ => Some(self.source.length()),
        }
    }

    /// Its number and enterprise in a protocol. NetFlow v9 has no enterprises: there ntop's elements have numbers of
    /// their own.
    pub const fn number(&self, protocol: Protocol) -> (u16, u32) {
        match (protocol, self.enterprise) {
            (Protocol::V9, NTOP) => (NTOP_V9 + self.id, 0),
            (_, enterprise) => (self.id, enterprise),
        }
    }

    /// Whether it is part of the key of a flow or of an aggregate.
    pub(crate) const fn is_key(&self, of_aggregates: bool) -> bool {
        match self.key {
            Key::No => false,
            Key::Always => true,
            Key::FlowsOnly => !of_aggregates,
        }
    }

    /// Whether records of flows have it, or records of aggregates do.
    pub(crate) const fn is_of(&self, aggregates: bool) -> bool {
        match self.of {
            Of::All => true,
            Of::Flows => !aggregates,
            Of::Aggregates => aggregates,
        }
    }

    /// Whether the groups that are collected have it.
    pub const fn is_in(&self, groups: Groups) -> bool {
        groups.has(self.group)
    }

    /// Whether it says when the first or the last packet was.
    pub(crate) fn is_time(&self) -> bool {
        matches!(self.source, Source::Row(row::START_MS | row::END_MS) | Source::Uptime(_))
    }
}

/// The first row with this number in IANA's registry. Rows that share one have the same type.
pub fn get(id: u16) -> Option<&'static Element> {
    of_enterprise(0, id)
}

/// The first row with this number in the registry of an enterprise, 0 for IANA's.
pub fn of_enterprise(enterprise: u32, id: u16) -> Option<&'static Element> {
    ELEMENTS.iter().find(|element| (element.enterprise, element.id) == (enterprise, id))
}

/// The enterprise and number of an element that NetFlow v9 has by the number `id`: 0 for IANA's.
pub const fn from_v9(id: u16) -> (u32, u16) {
    match id.checked_sub(NTOP_V9) {
        Some(own) => (NTOP, own),
        None => (0, id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elements::data_type::DataType::{Unsigned16, Unsigned64, Unsigned256};
    use crate::elements::registry;

    #[test]
    fn every_row_agrees_with_the_registry() {
        for element in ELEMENTS.iter().filter(|element| element.enterprise == 0) {
            let entry = registry::get(element.id).unwrap();
            assert_eq!((element.name, element.data_type), (entry.name, entry.data_type), "{}", element.id);
        }
    }

    #[test]
    fn no_field_is_longer_than_its_value_or_its_type() {
        for element in &ELEMENTS {
            for protocol in [Protocol::Ipfix, Protocol::V9] {
                let lengths = [false, true].into_iter().filter_map(|wide| element.length(protocol, wide));
                for length in lengths.filter(|length| *length != usize::from(options::VARIABLE)) {
                    assert!(length > 0 && length <= element.source.length(), "{}", element.name);
                    assert!(element.data_type.length().is_none_or(|full| length <= full), "{}", element.name);
                }
            }
        }
    }

    #[test]
    fn columns_of_the_tail_come_last_and_texts_alone_are_of_variable_length() {
        assert!(ELEMENTS.is_sorted_by_key(|element| element.source.is_of_tail()));
        for element in &ELEMENTS {
            let is_text = matches!(element.source, Source::Text(_));
            let of = |protocol| element.length(protocol, false);
            assert_eq!(of(Protocol::Ipfix) == Some(65_535), is_text, "{}", element.name);
            assert!(
                of(Protocol::V9).is_none_or(|length| length <= 64)
                    && (!is_text || element.enterprise == NTOP)
            );
            let (id, enterprise) = element.number(Protocol::V9);
            assert_eq!((from_v9(id), enterprise), ((element.enterprise, element.id), 0));
        }
    }

    #[test]
    fn only_unsigned_elements_are_reduced_in_size() {
        for element in &ELEMENTS {
            let Some(full) = element.data_type.length() else { continue };
            let reduced = [Protocol::Ipfix, Protocol::V9]
                .iter()
                .any(|&protocol| element.length(protocol, false).is_some_and(|n| n != full));
            assert!(
                !reduced || matches!(element.data_type, Unsigned16 | Unsigned64 | Unsigned256),
                "{}",
                element.name
            );
        }
    }
}
