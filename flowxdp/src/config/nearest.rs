//! The known key that is nearest to an unknown one.

use super::{
    key::{Key, Table},
    keys::KEYS,
};

/// A hint behind the name of an unknown key of a table: the nearest known key, or all keys of the table.
pub(super) fn hint(table: Table, name: &str) -> String {
    // A key of the same table is nearer than the same name in another one would be by a slip of the pen.
    let distance = |key: &Key| {
        let flag = key.flag().map_or(usize::MAX, |flag| slips(name, &flag));
        (slips(name, key.name).min(flag), key.table != table)
    };
    match KEYS.iter().min_by_key(|key| distance(key)) {
        Some(key) if distance(key).0 <= tolerance(name) => format!("the nearest known key is {}", key.path()),
        _ => format!("the keys of [{}] are {}", table.name(), names(table)),
    }
}

/// A hint behind the name of an unknown table.
pub(super) fn table_hint(name: &str) -> String {
    if let Some(key) = KEYS.iter().find(|key| key.name == name || key.flag().as_deref() == Some(name)) {
        return format!("the key is {}", key.path());
    }
    let nearest = Table::ALL.into_iter().min_by_key(|table| slips(name, table.name()));
    match nearest.filter(|table| slips(name, table.name()) <= tolerance(name)) {
        Some(table) => format!("the nearest known table is {}", table.header()),
        None => format!("the tables are {}", Table::ALL.map(Table::header).join(", ")),
    }
}

fn names(table: Table) -> String {
    let names: Vec<&str> = KEYS.iter().filter(|key| key.table == table).map(|key| key.name).collect();
    names.join(", ")
}

fn slips(one: &str, other: &str) -> usize {
    strsim::damerau_levenshtein(&one.to_ascii_lowercase(), other)
}

/// Slips that leave a word recognisable.
fn tolerance(name: &str) -> usize {
    (name.chars().count() / 3).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        for (table, name, hinted) in [
            (Table::Monitor, "idel-timeout", "monitor.idle-timeout"),
            (Table::Exporting, "idle_timeout", "monitor.idle-timeout"),
            (Table::Exporting, "spool-limit", "spool.limit"),
            (Table::Exporter, "Protocol", "exporter.protocol"),
            (Table::Tls, "certs", "tls.cert"),
            (Table::Spool, "colour", "the keys of [spool] are directory, limit, age"),
        ] {
            let hint = hint(table, name);
            assert!(hint.ends_with(hinted), "{name}: {hint}");
        }
        for (name, hinted) in [
            ("exporters", "[[exporter]]"),
            ("interface", "monitor.interface"),
            ("tls-ca", "tls.ca"),
            ("nat", "[monitor], [record], [names], [exporting], [[exporter]], [spool], [tls]"),
        ] {
            let hint = table_hint(name);
            assert!(hint.ends_with(hinted), "{name}: {hint}");
        }
    }
}
