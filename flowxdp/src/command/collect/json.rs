//! A record as a line of JSON.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::header::Header;
use super::record::Record;
use crate::text;

/// A record with where it comes from: an object whose keys are IANA's element names.
///
/// An element that is there again, or that has the name of a key in front, gets `#2` behind its name,
/// and so on.
struct Line<'a> {
    exporter: &'a str,
    header: &'a Header,
    record: &'a Record,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("exporter", self.exporter)?;
        map.serialize_entry("observationDomainId", &self.header.domain)?;
        map.serialize_entry("version", &self.header.version)?;
        map.serialize_entry("exportTime", &self.header.export_ms)?;
        if self.record.options {
            map.serialize_entry("optionsTemplate", &true)?;
            let scopes = self.record.fields.iter().take(self.record.scopes);
            map.serialize_entry("scope", &scopes.map(|(key, _)| key.name()).collect::<Vec<_>>())?;
        }
        // How often each name is there, those in front among them.
        let mut names = HashMap::from([(Cow::Borrowed("observationDomainId"), 1_u32)]);
        for (key, value) in &self.record.fields {
            let name = key.name();
            let times = names.entry(name.clone()).or_default();
            *times += 1;
            match *times {
                1 => map.serialize_entry(&name, value)?,
                times => map.serialize_entry(&format!("{name}#{times}"), value)?,
            }
        }
        map.end()
    }
}

/// Writes one line.
pub(super) fn write(
    out: &mut impl Write,
    exporter: &str,
    header: &Header,
    record: &Record,
) -> io::Result<()> {
    text::json::write(&mut *out, &Line { exporter, header, record })?;
    out.write_all(b"\n")
}
