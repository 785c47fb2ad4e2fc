//! A configuration as the file that makes it again.

use std::ffi::{OsStr, OsString};

use super::{
    Config,
    key::{Form, Key, Table},
    keys::{self, KEYS},
};
use crate::collector_url::CollectorUrl;

/// The file: every key that has a value, also by default.
pub fn toml(config: &Config) -> String {
    let mut lines = Vec::new();
    for table in Table::ALL {
        if table == Table::Exporter {
            config.exporter.iter().for_each(|url| section(&mut lines, table, exporter(url)));
            continue;
        }
        let rows = KEYS.iter().filter(|key| key.table == table);
        let set = rows.filter_map(|key| {
            Some((key, key.get(config))).filter(|(key, texts)| {
                // An empty list is not the default.
                !texts.is_empty() || key.list && !key.default.is_empty()
            })
        });
        section(&mut lines, table, set.map(|(key, texts)| line(key, &texts)).collect());
    }
    lines.join("\n") + "\n"
}

fn section(lines: &mut Vec<String>, table: Table, keys: Vec<String>) {
    if keys.is_empty() {
        return;
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(table.header());
    lines.extend(keys);
}

/// The keys of a collector, in the order of its URL, which is its name in the books.
fn exporter(url: &CollectorUrl) -> Vec<String> {
    let whole = || vec![format!("collector = {}", quoted(&url.to_string()))];
    let Some((base, parameters)) = url.split() else { return whole() };
    let mut lines: Vec<String> = vec![format!("collector = {}", quoted(base))];
    let mut texts: Vec<(&'static Key, Vec<OsString>)> = Vec::new();
    for (name, value) in parameters {
        let Some(key) = keys::find(Table::Exporter, name).filter(|_| value.to_str().is_some()) else {
            return whole();
        };
        let values = || value.to_str().unwrap_or_default().split(',').map(OsString::from);
        if key.is_one_value() {
            texts.push((key, values().collect()));
            continue;
        }
        match texts.iter().position(|(other, _)| *other == key) {
            None => texts.push((key, vec![value])),
            Some(at) if at + 1 == texts.len() => texts[at].1.push(value),
            // A key stands once in a table, and the order is that of the URL.
            Some(_) => return whole(),
        }
    }
    lines.extend(texts.iter().map(|(key, texts)| line(key, texts)));
    lines
}

/// A key with its value; a comment where the value is no text.
pub(super) fn line(key: &Key, texts: &[OsString]) -> String {
    if let Some(text) = texts.iter().find(|text| text.to_str().is_none()) {
        return format!("# {} is not UTF-8, and stays a flag: {:?}", key.name, text);
    }
    let values: Vec<String> = texts.iter().map(|text| value(key.form, text)).collect();
    if let Form::Tree = key.form {
        format!("{} = {}", key.name, tree(texts))
    } else if key.list {
        format!("{} = [{}]", key.name, values.join(", "))
    } else {
        format!("{} = {}", key.name, values.concat())
    }
}

fn value(form: Form, text: &OsStr) -> String {
    let text = text.to_string_lossy();
    let is_integer = || text.parse::<i64>().is_ok();
    match form {
        Form::Number | Form::Switch => text.into_owned(),
        Form::Count | Form::Size if is_integer() => text.into_owned(),
        _ => quoted(&text),
    }
}

/// Texts like `path.to.key=value` as an inline table.
fn tree(texts: &[OsString]) -> toml::Value {
    let mut root = toml::Table::new();
    for text in texts {
        let text = text.to_string_lossy();
        let Some((path, value)) = text.split_once('=') else { continue };
        let (mut table, mut names) = (&mut root, path.split('.').peekable());
        while let Some(name) = names.next() {
            let is_last = names.peek().is_none();
            let empty = || if is_last { value.into() } else { toml::Table::new().into() };
            match table.entry(name).or_insert_with(empty) {
                toml::Value::Table(inner) => table = inner,
                last => {
                    *last = value.into();
                    break;
                }
            }
        }
    }
    root.into()
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
