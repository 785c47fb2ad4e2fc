//! A TOML document: its keys, each with its place, and every fault of it.

use std::{collections::HashSet, ffi::OsString, ops::Range};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    Config,
    contradictions::{self, Places},
    exporter,
    fault::{Fault, Place, SHOWN},
    form,
    key::{Key, Table},
    keys, nearest,
};

/// An entry of a table: the key and its value, with their places.
pub(super) type Entry<'a> = (&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>);

/// Puts the keys of a document into `config`, and their places into `places`; gives all faults, in their order.
pub(super) fn read(text: &str, config: &mut Config, places: &mut Places) -> Vec<Fault> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let syntax: Vec<Fault> = errors.iter().map(|error| no_toml(text, error)).collect();
    let mut reader = Reader { config, places, faults: Vec::new() };
    entries(root.get_ref()).into_iter().for_each(|entry| reader.table(entry));
    if !syntax.is_empty() {
        reader.places.refuse_all();
    }
    // A value that is no TOML is one fault, not two.
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line = |fault: &Fault| ends.partition_point(|end| *end < fault.place.start());
    let lines: HashSet<usize> = syntax.iter().map(line).collect();
    let mut faults = reader.faults;
    faults.retain(|fault| !lines.contains(&line(fault)));
    faults.extend(syntax);
    faults.sort_by_key(|fault| fault.place.start());
    faults
}

/// The fault of a text that is no TOML.
fn no_toml(text: &str, error: &toml::de::Error) -> Fault {
    let span = error.span().unwrap_or_default();
    let sentence = match (error.message(), text.get(span.clone())) {
        ("duplicate key", Some(name)) => format!("{name} stands twice: keep one"),
        (message, _) => format!("no TOML: {message}"),
    };
    Fault::new(Place::File(span), sentence)
}

/// The entries of a table in the order of the document.
pub(super) fn entries<'a>(table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

struct Reader<'a> {
    config: &'a mut Config,
    places: &'a mut Places,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, span: Range<usize>, text: String) {
        self.faults.push(Fault::new(Place::File(span), text));
    }

    fn table(&mut self, (name, value): Entry<'_>) {
        let Some(table) = Table::named(name.get_ref()) else {
            let hint = nearest::table_hint(name.get_ref());
            let kind = if value.get_ref().is_table() { "table" } else { "key" };
            return self.fault(name.span(), format!("unknown {kind} {}: {hint}", name.get_ref()));
        };
        match (table, value.get_ref()) {
            (Table::Exporter, DeValue::Array(exporters)) => {
                for value in exporters {
                    match value.get_ref() {
                        DeValue::Table(entries) => self.exporter(value.span(), entries),
                        _ => self
                            .fault(value.span(), format!("an exporter is a table: write {}", table.header())),
                    }
                }
            }
            (Table::Exporter, _) | (_, DeValue::Array(_)) => {
                let text = format!("{} is written {}", name.get_ref(), table.header());
                self.fault(name.span(), text);
            }
            (_, DeValue::Table(keys)) => entries(keys).into_iter().for_each(|entry| self.key(table, entry)),
            _ => self.fault(name.span(), format!("{} is a table: write {}", name.get_ref(), table.header())),
        }
    }

    fn exporter(&mut self, span: Range<usize>, table: &DeTable<'_>) {
        let (found, faults) = exporter::read(span, table);
        self.faults.extend(faults);
        match found {
            Some(found) => {
                self.config.exporter.push(found.url);
                self.places.exporter(found.place, found.parameters);
            }
            None => self.places.refuse(contradictions::COLLECTOR.to_owned()),
        }
    }

    fn key(&mut self, table: Table, (name, value): Entry<'_>) {
        let Some(key) = keys::find(table, name.get_ref()) else {
            return unknown(table, name, &mut self.faults);
        };
        self.places.set(key.path(), Place::File(value.span()));
        let texts = match form::texts(key, value) {
            Ok(texts) => texts,
            Err(faults) => {
                self.places.refuse(key.path());
                return self.faults.extend(faults);
            }
        };
        let (texts, spans): (Vec<OsString>, Vec<Range<usize>>) = texts.into_iter().unzip();
        for (index, why) in key.set(self.config, &texts) {
            let span = spans.get(index).cloned().unwrap_or_default();
            let typed = texts.get(index).cloned().unwrap_or_default();
            self.places.refuse(key.path());
            self.faults.push(Fault::value(Place::File(span), key, &typed, &why));
        }
    }
}

/// Adds the fault of a key that is none of its table's.
pub(super) fn unknown(table: Table, name: &Spanned<DeString<'_>>, faults: &mut Vec<Fault>) {
    // The hint takes longer than all else, and a file without any known key has one for each line.
    let hint = if faults.len() < SHOWN { nearest::hint(table, name.get_ref()) } else { String::new() };
    let text = format!("unknown key {}.{}: {hint}", table.name(), name.get_ref());
    faults.push(Fault::new(Place::File(name.span()), text));
}

/// The fault of a value whose form is not the key's.
pub(super) fn wrong_form(key: &Key, span: Range<usize>, remedy: &str) -> Fault {
    Fault::new(Place::File(span), format!("{}: {remedy}", key.path()))
}
