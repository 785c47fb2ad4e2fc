//! The fields of a collector's records.

use flowxdp_core::elements::{Choice, FieldsError};

use super::CollectorUrl;
use crate::config::Record;

/// The term for every field that is collected.
const DEFAULT: &str = "default";

impl CollectorUrl {
    /// Whether the URL lists the fields of the collector's records, itself or by its preset.
    pub fn lists_fields(&self) -> bool {
        !self.fields.is_empty() || self.preset.is_some_and(|preset| !preset.row().fields.is_empty())
    }

    /// The elements of the collector's records, of all that the meter collects; and the elements that its list
    /// leaves out although they are not there.
    ///
    /// # Errors
    ///
    /// The list names an element that is not collected, or leaves one out that every record needs.
    pub fn choice(&self, record: &Record) -> Result<(Choice, Vec<String>), FieldsError> {
        let (groups, others) = (record.groups(), record.others());
        let preset = self.preset.map_or(&[][..], |preset| preset.row().fields);
        if self.fields.is_empty() && others.is_empty() && preset.is_empty() {
            return Ok((Choice::of(groups), Vec::new()));
        }
        let default = if preset.is_empty() { &[DEFAULT][..] } else { preset };
        let default: Vec<String> = default.iter().map(|term| (*term).to_owned()).collect();
        let listed = if self.fields.is_empty() { &default } else { &self.fields };
        let mut terms = Vec::new();
        for term in listed {
            terms.push(term.clone());
            if term.trim_start_matches('+') == DEFAULT {
                // A group came along with a single element of it.
                terms.extend(others.iter().map(|name| format!("-{name}")));
            }
        }
        Choice::parse(groups, &terms)
    }
}
