//! Comparing the rows that an export gave with the rows that are true.

use anyhow::{Result, bail, ensure};

use crate::flows::{Flows, Key, Sums};

/// How many differences an error lists; the rest is counted.
const SHOWN: usize = 20;

/// Which columns must be there and equal. Packets and octets always are.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// TCP flags.
    pub flags: bool,
    /// First and last time, to the millisecond.
    pub times: bool,
    /// Smallest and largest TTL.
    pub ttl: bool,
}

impl Columns {
    /// All columns that the truth knows.
    pub const ALL: Self = Self { flags: true, times: true, ttl: true };
    /// All that nfdump prints.
    pub const WITHOUT_TTL: Self = Self { ttl: false, ..Self::ALL };
    /// Packets and octets.
    pub const COUNTS: Self = Self { flags: false, times: false, ttl: false };
}

/// Fails, with every difference named, unless both tables hold the same keys with the same counts.
///
/// A column that is asked for and that the export does not have is a difference: else a record without
/// times would pass. An empty truth is an error, because a test against it could not fail.
pub fn equal(truth: &Flows, got: &Flows, columns: Columns) -> Result<()> {
    ensure!(!truth.is_empty(), "there is no true flow to compare with");
    let differences = differences(truth, got, columns);
    if differences.is_empty() {
        return Ok(());
    }
    let ((tp, to), (gp, go)) = (truth.totals(), got.totals());
    let mut report = format!(
        "{} differences; keys {} (true) {} (exported), packets {tp} {gp}, octets {to} {go}",
        differences.len(),
        truth.len(),
        got.len()
    );
    for line in differences.iter().take(SHOWN) {
        report.push_str("\n  ");
        report.push_str(line);
    }
    if differences.len() > SHOWN {
        report.push_str(&format!("\n  … and {} more", differences.len() - SHOWN));
    }
    bail!(report)
}

/// Every difference, one line each, in the order of the keys.
pub fn differences(truth: &Flows, got: &Flows, columns: Columns) -> Vec<String> {
    let mut lines = Vec::new();
    let mut got_rows = got.rows().peekable();
    let extra =
        |key: &Key, sums: &Sums| format!("extra {key}: {} packets, {} octets", sums.packets, sums.octets);
    for (key, want) in truth.rows() {
        while let Some((other, sums)) = got_rows.next_if(|(other, _)| *other < key) {
            lines.push(extra(other, sums));
        }
        match got_rows.next_if(|(other, _)| *other == key) {
            None => lines.push(format!("missing {key}: {} packets, {} octets", want.packets, want.octets)),
            Some((_, sums)) => row(key, want, sums, columns, &mut lines),
        }
    }
    lines.extend(got_rows.map(|(key, sums)| extra(key, sums)));
    lines
}

fn row(key: &Key, want: &Sums, got: &Sums, columns: Columns, lines: &mut Vec<String>) {
    let mut column = |name: &str, want: Option<u64>, got: Option<u64>| {
        if want.is_some() && want != got {
            lines.push(format!("{key}: {name} {} exported, {} true", shown(got), shown(want)));
        }
    };
    column("packets", Some(want.packets), Some(got.packets));
    column("octets", Some(want.octets), Some(got.octets));
    if columns.flags {
        column("flags", want.flags.map(u64::from), got.flags.map(u64::from));
    }
    if columns.times {
        column("first_ms", want.first_ms, got.first_ms);
        column("last_ms", want.last_ms, got.last_ms);
    }
    if columns.ttl {
        column("min_ttl", want.min_ttl.map(u64::from), got.min_ttl.map(u64::from));
        column("max_ttl", want.max_ttl.map(u64::from), got.max_ttl.map(u64::from));
    }
}

fn shown(value: Option<u64>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| value.to_string())
}
