//! Received messages and records, per exporter and observation domain.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};

use super::decode::Message;
use super::header::Header;
use super::sequence::Sequence;
use crate::report::grouped;

/// Counts of one stream, or of several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages of any kind.
    pub messages: u64,
    /// Data records, without those of options templates.
    pub data_records: u64,
    /// Data records of options templates.
    pub options_records: u64,
    /// Packets in the data records.
    pub packets: u64,
    /// IP octets in the data records.
    pub octets: u64,
    /// Gaps in the sequence that no late message filled.
    pub gaps: u64,
    /// Missing units in the gaps: records in IPFIX, flows in v5 and v7, messages in v9.
    pub missing: u64,
    /// Messages with data whose template had not come.
    pub unknown_template: u64,
    /// Messages that could not be decoded, or not wholly.
    pub malformed: u64,
}

impl Totals {
    /// Counts one message.
    pub(super) fn count(&mut self, message: &Message) {
        self.messages += 1;
        for record in &message.records {
            if record.options {
                self.options_records += 1;
            } else {
                self.data_records += 1;
                self.packets = self.packets.saturating_add(record.packets().unwrap_or(0));
                self.octets = self.octets.saturating_add(record.octets().unwrap_or(0));
            }
        }
        self.unknown_template += u64::from(message.unknown_sets > 0);
        self.malformed += u64::from(message.fault.is_some());
    }

    /// The same, with the units that `sequence` found missing.
    pub(super) fn with(mut self, sequence: &Sequence) -> Self {
        self.gaps += sequence.gaps();
        self.missing += sequence.missing();
        self
    }
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.data_records += other.data_records;
        self.options_records += other.options_records;
        self.packets = self.packets.saturating_add(other.packets);
        self.octets = self.octets.saturating_add(other.octets);
        self.gaps += other.gaps;
        self.missing += other.missing;
        self.unknown_template += other.unknown_template;
        self.malformed += other.malformed;
    }
}

/// Numbers of the sequence that `message` takes up; `None` when that is not known.
pub(super) fn units(header: &Header, message: &Message) -> Option<u32> {
    match header.version {
        1 => None,
        9 => Some(1),
        10 if message.unknown_sets > 0 || message.fault.is_some() => None,
        10 => u32::try_from(message.records.len()).ok(),
        _ => Some(header.count.into()),
    }
}

/// The totals of a run, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Exporter, domain and version, with the counts.
    pub streams: Vec<(String, u32, u16, Totals)>,
    /// Streams that were forgotten to bound memory, and messages without a readable header.
    pub others: Totals,
    /// Messages that the kernel dropped because the socket's buffer was full, where it tells.
    pub dropped: Option<u64>,
}

impl Summary {
    /// All streams together.
    pub fn total(&self) -> Totals {
        let mut total = self.others;
        self.streams.iter().for_each(|(.., totals)| total += *totals);
        total
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header([
            "exporter",
            "domain",
            "version",
            "messages",
            "records",
            "options",
            "packets",
            "octets",
            "gaps",
            "missing",
            "no template",
            "malformed",
        ]);
        for (exporter, domain, version, totals) in &self.streams {
            let version = if *version == 10 { "IPFIX".to_owned() } else { format!("v{version}") };
            table.add_row(row([exporter.clone(), domain.to_string(), version], totals));
        }
        if self.others != Totals::default() {
            table.add_row(row(["others".to_owned(), "-".to_owned(), "-".to_owned()], &self.others));
        }
        if self.streams.len() != 1 || self.others != Totals::default() {
            table.add_row(row(["total".to_owned(), String::new(), String::new()], &self.total()));
        }
        for column in table.column_iter_mut().skip(3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for line in table.to_string().lines() {
            writeln!(f, "{}", line.trim())?;
        }
        match self.dropped {
            None | Some(0) => Ok(()),
            Some(dropped) => writeln!(
                f,
                "{} messages were dropped because the socket's buffer was full (net.core.rmem_max bounds it)",
                grouped(dropped)
            ),
        }
    }
}

fn row(name: [String; 3], totals: &Totals) -> Vec<String> {
    let counts = [
        totals.messages,
        totals.data_records,
        totals.options_records,
        totals.packets,
        totals.octets,
        totals.gaps,
        totals.missing,
        totals.unknown_template,
        totals.malformed,
    ];
    name.into_iter().chain(counts.map(grouped)).collect()
}
