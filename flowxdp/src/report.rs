//! The books, for people: the JSON object as aligned tables.
//!
//! Works on the JSON, so that `status` can show the books of another agent than the one it came with.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value};

use crate::text::printable;

/// Rows of a table; all others are counted.
const MOST_ROWS: usize = 10_000;

/// Renders the JSON object of the books: in total, by interface and by collector, and whether they balance.
///
/// Absent terms count as zero; a value that is no number shows as a dash.
pub fn table(books: &Value) -> String {
    let mut text = total(books);
    text.push('\n');
    text.push_str(&verdict(books));
    let parts = [
        pressure(books),
        partitions(books),
        names(books),
        interfaces(books),
        collectors(books),
        options(books),
        loader(books),
    ];
    for part in parts.into_iter().flatten() {
        text.push('\n');
        text.push_str(&part);
    }
    text
}

/// A number with its thousands apart: `1,234,567`.
pub fn grouped<N: Into<u128>>(number: N) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The terms of the equation and their sum.
fn total(books: &Value) -> String {
    let mut table = Rows::new(["", "packets", "octets"]);
    let mut row = |name: String, term: &Value| {
        table.add([name, cell(term, "packets"), cell(term, "octets")]);
    };
    row("seen".to_owned(), &books["seen"]);
    for (name, key) in PLAIN_TERMS {
        row(name.to_owned(), &books[key]);
    }
    for key in ["ignored", "lost"] {
        for (reason, term) in entries(&books[key]) {
            row(format!("{key}: {}", words(reason)), term);
        }
    }
    table.aligned(1)
}

/// Terms that are not given by reason: name for people, key.
const PLAIN_TERMS: [(&str, &str); 3] =
    [("exported", "exported"), ("queued", "queued"), ("in table", "in_table")];

/// One line: whether everything that was seen is in one of the terms.
fn verdict(books: &Value) -> String {
    let mut text = String::new();
    for unit in ["packets", "octets"] {
        let seen = u128::from(books["seen"][unit].as_u64().unwrap_or(0));
        let plain = PLAIN_TERMS.iter().filter_map(|(_, key)| books[key][unit].as_u64());
        let by_reason = ["ignored", "lost"].into_iter().flat_map(|key| entries(&books[key]));
        let by_reason = by_reason.filter_map(|(_, term)| term[unit].as_u64());
        let sum: u128 = plain.chain(by_reason).map(u128::from).sum();
        if sum != seen {
            let (apart, side) =
                (grouped(sum.abs_diff(seen)), if sum < seen { "missing" } else { "too many" });
            // Writing to a String cannot fail.
            let _ = writeln!(text, "The books do NOT balance: {apart} {unit} {side}.");
        }
    }
    if text.is_empty() {
        text.push_str("The books balance: seen = exported + queued + in table + ignored + lost.\n");
    }
    text
}

/// Tables under aggressive aging.
fn pressure(books: &Value) -> Option<String> {
    let mut table = Rows::new(["under pressure", "% full", "idle timeout ms"]);
    for (name, pressed) in entries(&books["pressure"]) {
        let name = printable(name).into_owned();
        table.add([name, cell(pressed, "percent"), cell(pressed, "idle_timeout_ms")]);
    }
    table.any().then(|| table.aligned(1))
}

/// Which CPU has which partition of the flow table.
fn partitions(books: &Value) -> Option<String> {
    let partitions = &books["partitions"];
    let number = |value: &Value| value.as_u64().map_or_else(|| "-".to_owned(), grouped::<u64>);
    let mut table = Rows::new(["CPU", "partition of the flow table"]);
    let mut by_cpu: Vec<_> = entries(&partitions["by_cpu"]).collect();
    by_cpu.sort_by_key(|(cpu, _)| (cpu.len(), *cpu));
    for (cpu, partition) in by_cpu {
        let total = number(&partitions["total"]);
        table.add([printable(cpu).into_owned(), format!("{} of {total}", number(partition))]);
    }
    for cpu in partitions["without"].as_array().into_iter().flatten() {
        table.add([number(cpu), "none: by the ring buffer".to_owned()]);
    }
    table.any().then(|| table.aligned(2))
}

/// First packets of flows on their way to the inspector of names.
fn names(books: &Value) -> Option<String> {
    let names = books["names"].as_object()?;
    let mut table = Rows::new(["names: first packets", "packets", "octets"]);
    let mut row = |name: String, term: &Value| table.add([name, cell(term, "packets"), cell(term, "octets")]);
    for term in ["offered", "inspected", "waiting"] {
        row(term.to_owned(), names.get(term).unwrap_or(&Value::Null));
    }
    for (reason, term) in entries(names.get("skipped").unwrap_or(&Value::Null)) {
        row(format!("skipped: {}", words(reason)), term);
    }
    Some(table.aligned(1))
}

/// The process with the privileges that the agent gave up.
fn loader(books: &Value) -> Option<String> {
    let loader = &books["loader"];
    let pid = loader["pid"].as_u64()?;
    if loader["running"] != true {
        return Some(format!("the loader, process {pid}, ended: what needs privileges is refused\n"));
    }
    let holds = loader["holds"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let holds = holds.take(MOST_ROWS).map(printable).collect::<Vec<_>>().join(", ");
    Some(format!("the loader, process {pid}, holds {holds}\n"))
}

fn interfaces(books: &Value) -> Option<String> {
    let mut table = Rows::new(["interface", "hook", "seen", "octets", "ignored", "octets", "lost", "octets"]);
    for (name, interface) in entries(&books["interfaces"]) {
        let tap = if interface["tap"] == true { " (tap)" } else { "" };
        let hook = interface["hook"].as_str().map(printable).unwrap_or_default();
        let mut cells = vec![format!("{}{tap}", printable(name)), hook.into_owned()];
        for term in ["seen", "ignored", "lost"] {
            cells.extend(["packets", "octets"].map(|unit| cell(&interface[term], unit)));
        }
        table.add(cells);
    }
    table.any().then(|| table.aligned(2) + &taps_in_use(books))
}

/// A line for each tap that the machine uses otherwise.
fn taps_in_use(books: &Value) -> String {
    let used = entries(&books["interfaces"])
        .filter_map(|(name, interface)| Some((name, interface["tap_in_use"].as_str()?)));
    used.map(|(name, why)| format!("tap {}: {}\n", printable(name), printable(why))).collect()
}

fn collectors(books: &Value) -> Option<String> {
    let mut table = Rows::new(["collector", "", "records", "packets", "octets"]);
    for (url, collector) in entries(&books["collectors"]) {
        let url = printable(url);
        let mut first = &*url;
        for (name, key) in COLLECTOR_TERMS {
            let term = &collector[key];
            // The first two say how it is; the others only when there is something to say.
            if !matches!(key, "exported" | "queued") && is_zero(term) {
                continue;
            }
            let cells = ["records", "packets", "octets"].map(|unit| cell(term, unit));
            table.add([first.to_owned(), name.to_owned()].into_iter().chain(cells));
            first = "";
        }
        for (reason, term) in entries(&collector["lost_by_reason"]) {
            let cells = ["records", "packets", "octets"].map(|unit| cell(term, unit));
            table.add([String::new(), format!("lost: {}", words(reason))].into_iter().chain(cells));
        }
    }
    table.any().then(|| table.aligned(2))
}

/// Options data for the collectors, beside the terms above.
fn options(books: &Value) -> Option<String> {
    let told = books["options"].as_object()?;
    let text = |value: &Value| printable(value.as_str().unwrap_or("-")).into_owned();
    let number = |value: &Value| value.as_u64().map_or_else(|| "-".to_owned(), |number| number.to_string());
    let mut table = Rows::new(["options data", "", "", ""]);
    let (name, process) = (told.get("name").map(text), told.get("process").map(number));
    table.add([
        "exporter".to_owned(),
        name.unwrap_or_default(),
        "domain".to_owned(),
        process.unwrap_or_default(),
    ]);
    table.add(["sampler", "every packet", "", ""].map(str::to_owned));
    for interface in told.get("interfaces").and_then(Value::as_array).into_iter().flatten() {
        let index = number(&interface["index"]);
        table.add(["interface".to_owned(), text(&interface["name"]), index, text(&interface["description"])]);
    }
    for (url, collector) in entries(&books["collectors"]) {
        let sent = &collector["statistics"];
        let octets = format!("{} octets", cell(sent, "octets"));
        let messages = format!("{} messages", cell(sent, "messages"));
        table.add(["sent".to_owned(), printable(url).into_owned(), messages, octets]);
    }
    Some(table.aligned(4))
}

/// Terms of a collector: name for people, key.
const COLLECTOR_TERMS: [(&str, &str); 7] = [
    ("exported", "exported"),
    ("queued", "queued"),
    ("lost", "lost"),
    ("perhaps twice", "perhaps_twice"),
    ("inherited", "inherited"),
    ("inherited: exported", "inherited_exported"),
    ("inherited: lost", "inherited_lost"),
];

fn is_zero(term: &Value) -> bool {
    entries(term).all(|(_, number)| number.as_u64() == Some(0))
}

fn entries(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flat_map(Map::iter)
}

/// A key of the JSON as words.
fn words(key: &str) -> String {
    printable(&key.replace('_', " ")).into_owned()
}

fn cell(term: &Value, unit: &str) -> String {
    match &term[unit] {
        Value::Null => "0".to_owned(),
        number => number.as_u64().map_or_else(|| "-".to_owned(), grouped::<u64>),
    }
}

/// A table that takes no more than [`MOST_ROWS`].
struct Rows {
    table: Table,
    count: usize,
}

impl Rows {
    fn new<const N: usize>(header: [&str; N]) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(header);
        Self { table, count: 0 }
    }

    fn add(&mut self, cells: impl IntoIterator<Item = String>) {
        self.count += 1;
        if self.count <= MOST_ROWS {
            self.table.add_row(cells);
        }
    }

    const fn any(&self) -> bool {
        self.count > 0
    }

    /// The text; columns from `first` on are numbers.
    fn aligned(mut self, first: usize) -> String {
        for column in self.table.column_iter_mut().skip(first) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let lines = self.table.lines();
        let mut text: String =
            lines.map(|line| line.get(1..).unwrap_or_default().trim_end().to_owned() + "\n").collect();
        if let Some(more @ 1..) = self.count.checked_sub(MOST_ROWS) {
            let _ = writeln!(text, "({} more rows)", grouped(more as u64));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::committed::compare;
    use serde_json::json;

    fn books() -> Value {
        json!({
            "seen": {"packets": 1_234_567, "octets": 987_654_321_u64},
            "exported": {"packets": 1_200_000, "octets": 980_000_000},
            "queued": {"packets": 30_000, "octets": 7_000_000},
            "in_table": {"packets": 4_000, "octets": 600_000},
            "ignored": {
                "not_ip": {"packets": 500, "octets": 30_000},
                "truncated": {"packets": 0, "octets": 0},
                "malformed": {"packets": 60, "octets": 4_000},
            },
            "lost": {"ring_buffer_full": {"packets": 7, "octets": 20_321}},
            "interfaces": {
                "eth0": {
                    "seen": {"packets": 1_000_000, "octets": 900_000_000},
                    "ignored": {"packets": 560, "octets": 34_000},
                    "lost": {"packets": 7, "octets": 20_321},
                },
                "lan": {"seen": {"packets": 234_567, "octets": 87_654_321}},
            },
            "collectors": {
                "udp://192.0.2.1:4739": {
                    "exported": {"records": 40_000, "packets": 1_200_000, "octets": 980_000_000},
                    "queued": {"records": 900, "packets": 30_000, "octets": 7_000_000},
                    "lost": {"records": 0, "packets": 0, "octets": 0},
                    "perhaps_twice": {"records": 0, "packets": 0, "octets": 0},
                    "lost_by_reason": {},
                },
                "udp://[2001:db8::1]?protocol=v9": {
                    "exported": {"records": 40_888, "packets": 1_229_990, "octets": 986_990_000},
                    "queued": {"records": 0, "packets": 0, "octets": 0},
                    "lost": {"records": 12, "packets": 10, "octets": 10_000},
                    "perhaps_twice": {"records": 3, "packets": 5, "octets": 700},
                    "inherited": {"records": 30, "packets": 300, "octets": 4_000},
                    "inherited_exported": {"records": 30, "packets": 300, "octets": 4_000},
                    "inherited_lost": {"records": 0, "packets": 0, "octets": 0},
                    "lost_by_reason": {"queue_full": {"records": 12, "packets": 10, "octets": 10_000}},
                },
            },
            "bracket": {},
        })
    }

    #[test]
    fn books_that_balance() {
        compare("src/snapshots/books_that_balance.txt", &table(&books()));
    }

    #[test]
    fn books_that_do_not_balance_say_by_how_much() {
        let mut books = books();
        books["seen"]["packets"] = json!(1_234_570);
        books["in_table"]["octets"] = json!(600_001);
        let text = table(&books);
        assert!(text.contains("The books do NOT balance: 3 packets missing.\n"), "{text}");
        assert!(text.contains("The books do NOT balance: 1 octets too many.\n"), "{text}");
    }

    #[test]
    fn what_options_data_tell_is_shown() {
        let mut books = books();
        books["options"] = json!({
            "name": "gw\u{1b}[1m", "process": 7, "interfaces": [{"index": 3, "name": "eth0", "description": "north"}],
        });
        books["collectors"]["udp://192.0.2.1:4739"]["statistics"] =
            json!({"messages": 2000, "octets": 2_800_000});
        let text = table(&books);
        for words in
            ["gw\\u{1b}[1m", "domain", "every packet", "eth0", "north", "2,000 messages", "2,800,000 octets"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn the_partition_of_each_cpu_is_shown() {
        let mut books = books();
        books["partitions"] = json!({"total": 2, "by_cpu": {"10": 1, "9": 2}, "without": [3]});
        let text = table(&books);
        let rows = text.lines().skip_while(|line| !line.starts_with("CPU")).take(4);
        let rows = rows.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "));
        assert_eq!(
            rows.collect::<Vec<_>>(),
            ["CPU partition of the flow table", "9 2 of 2", "10 1 of 2", "3 none: by the ring buffer"]
        );
    }

    #[test]
    fn the_loaders_privileges_are_shown() {
        let mut books = books();
        books["loader"] = json!({"pid": 77, "running": true, "holds": ["CAP_BPF", "CAP_PERF\u{1b}"]});
        let text = table(&books);
        assert!(text.ends_with("\nthe loader, process 77, holds CAP_BPF, CAP_PERF\\u{1b}\n"), "{text}");
        books["loader"]["running"] = json!(false);
        assert!(table(&books).contains("process 77, ended"));
    }

    #[test]
    fn empty_books_are_books() {
        compare("src/snapshots/empty_books_are_books.txt", &table(&json!({})));
    }

    #[test]
    fn no_shape_of_json_panics() {
        let hostile = json!({"partitions": {"by_cpu": {"a": "b"}, "without": [null, {}]}});
        for books in
            [json!(null), json!([1]), json!({"seen": 3, "lost": [], "interfaces": {"a": null}}), hostile]
        {
            assert!(table(&books).contains("balance"));
        }
    }

    #[test]
    fn a_table_ends_somewhere() {
        let rows: Map<String, Value> = (0..=MOST_ROWS).map(|row| (row.to_string(), json!({}))).collect();
        let text = table(&json!({ "interfaces": rows }));
        assert!(text.ends_with("(1 more rows)\n") && text.lines().count() < MOST_ROWS + 20);
    }

    #[test]
    fn thousands_stand_apart() {
        let numbers = [0, 12, 123, 1_234, 123_456, 1_234_567, u64::MAX].map(grouped::<u64>).join(" ");
        assert_eq!(numbers, "0 12 123 1,234 123,456 1,234,567 18,446,744,073,709,551,615");
    }
}
