//! The books that an agent logs at its end, which no program can ask for any more.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::books::{Count, Reasons};
use flowxdp_tests::delivery::{Records, Rows};

/// The values of the tables in a log.
#[derive(Debug, Default)]
pub(crate) struct Last {
    pub(crate) seen: Count,
    /// In no record, by reason.
    pub(crate) lost: Reasons,
    pub(crate) ignored: Count,
    /// The packets in the table, which should be none at the end.
    pub(crate) in_table: Count,
    /// By URL.
    pub(crate) collectors: BTreeMap<String, Rows>,
}

impl Last {
    /// Reads the log of an agent that has ended.
    pub(crate) fn read(log: &str) -> Result<Self> {
        let (_, books) =
            log.rsplit_once("stopped; the books:\n").context("no books at the end of the log")?;
        // The log sets its lines in.
        let books = books.lines().map(str::trim).collect::<Vec<_>>().join("\n");
        ensure!(books.contains("\nThe books balance: "), "the last books do not balance:\n{books}");
        let mut last = Self::default();
        let mut parts = books.split("\n\n");
        for line in parts.next().unwrap_or_default().lines().skip(1) {
            let (name, [packets, octets]) = row(line)?;
            let count = Count { packets, octets };
            match name.split_once(": ") {
                Some(("lost", reason)) => _ = last.lost.insert(reason.to_owned(), count),
                Some(("ignored", _)) => last.ignored = last.ignored + count,
                _ if name == "seen" => last.seen = count,
                _ if name == "in table" => last.in_table = count,
                _ => {}
            }
        }
        let collectors = parts.find(|part| part.starts_with("collector")).context("no collectors")?;
        let mut url = String::new();
        for line in collectors.lines().skip(1) {
            let (name, [records, packets, octets]) = row(line)?;
            let name = match name.split_once(' ') {
                Some((first, rest)) if first.contains("://") => {
                    first.clone_into(&mut url);
                    rest.trim()
                }
                _ => &name,
            };
            let rows = last.collectors.entry(url.clone()).or_default();
            set(rows, name, Records { records, packets, octets });
        }
        Ok(last)
    }

    /// Lost with no record, and lost at one of the collectors.
    pub(crate) fn lost_of(&self, rows: &Rows) -> Records {
        let kernel: Count =
            self.lost.iter().filter(|(name, _)| in_kernel(name)).map(|(_, count)| *count).sum();
        rows.lost + Records { records: 0, packets: kernel.packets, octets: kernel.octets }
    }
}

/// Whether a reason is one of packets and not of records, which are lost at a collector.
pub(crate) fn in_kernel(reason: &str) -> bool {
    reason.replace('_', " ") == "ring buffer full"
}

fn set(rows: &mut Rows, name: &str, value: Records) {
    match name.split_once(": ") {
        Some(("lost", reason)) => _ = rows.lost_by_reason.insert(reason.to_owned(), value),
        Some(("inherited", "exported")) => rows.inherited[1] = value,
        Some(("inherited", _)) => rows.inherited[2] = value,
        _ => match name {
            "exported" => rows.exported = value,
            "queued" => rows.queued = value,
            "lost" => rows.lost = value,
            "perhaps twice" => rows.perhaps_twice = value,
            "inherited" => rows.inherited[0] = value,
            _ => {}
        },
    }
}

/// A name of one or more words, and the numbers behind it.
fn row<const N: usize>(line: &str) -> Result<(String, [u64; N])> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let mut numbers = [0; N];
    for number in numbers.iter_mut().rev() {
        let word = words.pop().with_context(|| format!("too short: {line}"))?;
        *number = word.replace(',', "").parse().with_context(|| format!("no number: {line}"))?;
    }
    Ok((words.join(" "), numbers))
}
