//! Figures as tables for people, or as JSON.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::measure::Spread;

use super::{ENCODE, ENCODE_LARGE, SOFTFLOWD, SOFTFLOWD_SILENT, Subject, Turn, UDP};

/// Records in a message of 1,472 octets and in one of 65,535, nearly: the two encoders differ by a message's
/// own cost.
const LARGE: f64 = 65_535.0 / 1_472.0;

/// A figure over all turns.
fn spread(subject: &Subject, figure: impl Fn(&Turn) -> f64) -> Spread {
    Spread::of(subject.turns.iter().map(figure).collect())
}

/// Nanoseconds of each record.
fn each(time: Duration, records: u64) -> f64 {
    time.as_secs_f64() * 1e9 / records as f64
}

/// Millions of records a second.
fn rate(records: u64, time: Duration) -> f64 {
    records as f64 / time.as_secs_f64() / 1e6
}

/// Millions of records a second of processor time.
fn cpu(subject: &Subject) -> Spread {
    spread(subject, |turn| rate(turn.records, turn.cpu))
}

fn wall(subject: &Subject) -> Spread {
    spread(subject, |turn| rate(turn.records, turn.wall))
}

/// Millions of records a second from the first datagram to the last one, where that was measured.
fn sending(subject: &Subject) -> Option<Spread> {
    let all = || spread(subject, |turn| rate(turn.records, turn.sending));
    subject.turns.iter().all(|turn| !turn.sending.is_zero()).then(all)
}

/// Records received of all that were sent, in all turns.
fn received(subject: &Subject) -> Option<f64> {
    let sent: u64 = subject.turns.iter().map(|turn| turn.sent).sum();
    let received: u64 = subject.turns.iter().map(|turn| turn.received).sum();
    (sent > 0).then(|| received as f64 / sent as f64)
}

fn find<'a>(subjects: &'a [Subject], name: &str) -> Option<&'a Subject> {
    subjects.iter().find(|subject| subject.name == name)
}

/// Nanoseconds of processor time of each record: the median.
fn nanoseconds(subjects: &[Subject], name: &str) -> Option<f64> {
    find(subjects, name).map(|subject| spread(subject, |turn| each(turn.cpu, turn.records)).median)
}

/// softflowd's cost of a record beyond reading and metering, nanoseconds.
fn softflowd_export(subjects: &[Subject]) -> Option<f64> {
    Some(nanoseconds(subjects, SOFTFLOWD)? - nanoseconds(subjects, SOFTFLOWD_SILENT)?)
}

/// The parts of a record's way over UDP, nanoseconds. Templates are in the part of messages.
fn parts(subjects: &[Subject]) -> Option<[(&'static str, f64); 4]> {
    let push = |name| Some(spread(find(subjects, name)?, |turn| each(turn.push, turn.records)).median);
    let (small, large) = (nanoseconds(subjects, ENCODE)?, nanoseconds(subjects, ENCODE_LARGE)?);
    let queue = push(ENCODE)?;
    let message = (small - large).max(0.0) * LARGE / (LARGE - 1.0);
    Some([
        ("queue", queue),
        ("records", small - queue - message),
        ("messages", message),
        ("socket", nanoseconds(subjects, UDP)? - small),
    ])
}

/// The whole report as text.
pub(crate) fn text(subjects: &[Subject]) -> String {
    let base = find(subjects, SOFTFLOWD).map(|subject| cpu(subject).median);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "",
        "M records/s and core",
        "from",
        "to",
        "of softflowd's",
        "M records/s",
        "first to last datagram",
        "received",
    ]);
    for subject in subjects {
        let (cpu, wall) = (cpu(subject), wall(subject));
        let [median, least, most] = [cpu.median, cpu.least, cpu.most].map(|rate| format!("{rate:.2}"));
        let ratio = base.map_or_else(String::new, |base| format!("{:.1}", cpu.median / base));
        let received = received(subject).map_or_else(String::new, |part| format!("{:.1} %", 100.0 * part));
        table.add_row([
            subject.name.to_owned(),
            median,
            least,
            most,
            ratio,
            format!("{:.2}", wall.median),
            sending(subject).map_or_else(String::new, |rate| format!("{:.2}", rate.median)),
            received,
        ]);
    }
    right(&mut table);
    let rounds = subjects.first().map_or(0, |subject| subject.turns.len());
    let mut text = format!("Export, IPv4; medians of {rounds} rounds\n{table}\n");
    if let Some(export) = softflowd_export(subjects) {
        text.push_str(&format!("softflowd without reading and metering: {export:.1} ns a record\n"));
    }
    if let Some(parts) = parts(subjects) {
        let all: f64 = parts.iter().map(|(_, time)| time).sum();
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["of a record over UDP", "ns", "%"]);
        for (name, time) in parts {
            table.add_row([name.to_owned(), format!("{time:.1}"), format!("{:.0}", 100.0 * time / all)]);
        }
        right(&mut table);
        text.push_str(&format!("\n{table}\n"));
    }
    text
}

fn right(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// The whole report as JSON.
pub(crate) fn json(subjects: &[Subject]) -> Value {
    let base = find(subjects, SOFTFLOWD).map(|subject| cpu(subject).median);
    let one = |subject: &Subject| {
        let cpu = cpu(subject);
        json!({
            "name": subject.name,
            "million_records_per_second_and_core": cpu.json(),
            "million_records_per_second": wall(subject).json(),
            "million_records_per_second_first_to_last": sending(subject).map(Spread::json),
            "of_softflowd": base.map(|base| cpu.median / base),
            "records": subject.turns.iter().map(|turn| turn.records).sum::<u64>(),
            "received_of_sent": received(subject),
        })
    };
    let parts = parts(subjects).map(|parts| parts.into_iter().collect::<std::collections::BTreeMap<_, _>>());
    json!({
        "rounds": subjects.first().map_or(0, |subject| subject.turns.len()),
        "export": subjects.iter().map(one).collect::<Vec<_>>(),
        "udp_ns_per_record": parts,
        "softflowd_export_ns_per_record": softflowd_export(subjects),
    })
}
