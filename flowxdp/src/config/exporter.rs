//! A table `[[exporter]]`: a collector's URL, and its parameters as keys.

use std::{
    ffi::{OsStr, OsString},
    ops::Range,
};

use toml::de::DeTable;

use super::{
    document::{Entry, entries, unknown},
    fault::{Fault, Place},
    form,
    key::{Key, Table},
    keys,
};
use crate::collector_url::{CollectorUrl, UrlError};

/// The key without which a table is no exporter.
const COLLECTOR: &str = "collector";

/// A URL that takes every parameter, so that the parameters of a wrong one are judged too.
const ANY: &str = "tls://collector";

/// A collector, and where it and its parameters stand.
pub(super) struct Found {
    pub(super) url: CollectorUrl,
    pub(super) place: Place,
    pub(super) parameters: Vec<(&'static str, Place)>,
}

/// The collector of a table, if every value is one; and all faults.
pub(super) fn read(span: Range<usize>, table: &DeTable<'_>) -> (Option<Found>, Vec<Fault>) {
    let mut faults = Vec::new();
    let found = collector(table, &mut faults);
    if !table.keys().any(|name| name.get_ref() == COLLECTOR) {
        let text = "the exporter has no collector: write collector = \"udp://HOST\" below [[exporter]]";
        faults.push(Fault::new(Place::File(span), text));
    }
    let mut is_right = found.is_some();
    let place = found.as_ref().map_or(Place::Nowhere, |(_, place)| place.clone());
    let base = found.map(|(url, _)| url).or_else(|| CollectorUrl::begin(ANY).ok());
    let Some(mut url) = base else { return (None, faults) };
    let mut parameters = Vec::new();
    for entry in entries(table) {
        is_right &= parameter(&mut url, entry, &mut faults);
        if let Some(key) = keys::find(Table::Exporter, entry.0.get_ref()) {
            parameters.push((key.name, Place::File(entry.1.span())));
        }
    }
    match url.finish() {
        Ok(url) if is_right => (Some(Found { url, place, parameters }), faults),
        Ok(_) => (None, faults),
        Err(error) => {
            let of_parameter = parameters.iter().find(|(name, _)| *name == culprit(&error));
            let place = of_parameter.map_or(place, |(_, place)| place.clone());
            faults.push(Fault::new(place, format!("exporter: {error}")));
            (None, faults)
        }
    }
}

/// The key whose value does not agree with the others.
pub(super) const fn culprit(error: &UrlError) -> &'static str {
    match error {
        UrlError::UdpAlone(..) => "protocol",
        UrlError::SourceFamily(..) => "source",
        UrlError::NoKey => "cert",
        UrlError::NoCertificate => "key",
        _ => COLLECTOR,
    }
}

/// The URL of the key `collector`.
fn collector(table: &DeTable<'_>, faults: &mut Vec<Fault>) -> Option<(CollectorUrl, Place)> {
    let (_, value) = table.iter().find(|(name, _)| name.get_ref() == COLLECTOR)?;
    let key = keys::find(Table::Exporter, COLLECTOR)?;
    let texts = form::texts(key, value).map_err(|wrong| faults.extend(wrong)).ok()?;
    let (text, span) = texts.into_iter().next()?;
    let place = Place::File(span);
    match CollectorUrl::begin(&text.to_string_lossy()) {
        Ok(url) => Some((url, place)),
        Err(error) => {
            faults.push(Fault::value(place, key, &text, &error.to_string()));
            None
        }
    }
}

/// Adds a key's value to the URL; gives whether the value is right. A key that is unknown has none.
fn parameter(url: &mut CollectorUrl, (name, value): Entry<'_>, faults: &mut Vec<Fault>) -> bool {
    if name.get_ref() == COLLECTOR {
        return true;
    }
    let Some(key) = keys::find(Table::Exporter, name.get_ref()) else {
        unknown(Table::Exporter, name, faults);
        return true;
    };
    let before = faults.len();
    match form::texts(key, value) {
        Ok(texts) => {
            for (text, span) in joined(key, texts, value.span()) {
                if let Err(error) = url.add(key.name, &text) {
                    faults.push(Fault::value(Place::File(span), key, &text, &error.to_string()));
                }
            }
        }
        Err(wrong) => faults.extend(wrong),
    }
    faults.len() == before
}

/// The values of a parameter: peers repeat, all other lists are one value with commas.
fn joined(
    key: &Key,
    texts: Vec<(OsString, Range<usize>)>,
    whole: Range<usize>,
) -> Vec<(OsString, Range<usize>)> {
    if !key.is_one_value() {
        return texts;
    }
    let terms: Vec<OsString> = texts.into_iter().map(|(text, _)| text).collect();
    vec![(terms.join(OsStr::new(",")), whole)]
}
