//! Figures as a table for people, or as JSON.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::{State, Subject, Turn};
use crate::measure::Spread;

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Half => "half full",
            Self::Ending => super::ENDING,
            Self::Churn(_) => "churning",
        }
    }

    /// New flows a second.
    const fn rate(self) -> u32 {
        match self {
            Self::Empty | Self::Half | Self::Ending => 0,
            Self::Churn(rate) => rate,
        }
    }
}

/// A figure over all turns.
fn spread(subject: &Subject, figure: impl Fn(&Turn) -> f64) -> Spread {
    Spread::of(subject.turns.iter().map(figure).collect())
}

/// Per cent of a core.
fn share(subject: &Subject) -> Spread {
    spread(subject, |turn| 100.0 * turn.cpu.as_secs_f64() / turn.wall.as_secs_f64())
}

/// Microseconds of processor time of each record, sweeps of the table included.
fn each(subject: &Subject) -> Option<Spread> {
    let all = || spread(subject, |turn| turn.cpu.as_secs_f64() * 1e6 / turn.records as f64);
    matches!(subject.state, State::Churn(_)).then(all)
}

fn records(subject: &Subject) -> Spread {
    spread(subject, |turn| turn.records as f64 / turn.wall.as_secs_f64())
}

/// Processor time as a part of that with the smallest table in the same state.
fn of_smallest(subjects: &[Subject], subject: &Subject) -> Option<f64> {
    let smallest = subjects.iter().find(|one| one.state == subject.state)?;
    Some(share(subject).median / share(smallest).median)
}

/// The whole report as text.
pub(super) fn text(subjects: &[Subject]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "room for flows",
        "table",
        "new flows/s",
        "CPU, %",
        "from",
        "to",
        "of smallest's",
        "records/s",
        "µs CPU/record",
        "RSS, MiB",
        "of it own",
        "BPF maps, MiB",
    ]);
    for subject in subjects {
        let cpu = share(subject);
        let [median, least, most] = [cpu.median, cpu.least, cpu.most].map(|cpu| format!("{cpu:.2}"));
        let Some(last) = subject.turns.last() else { continue };
        let [resident, own, maps] = last.memory.mib().map(|mib| format!("{mib:.1}"));
        let ratio = of_smallest(subjects, subject).map_or_else(String::new, |ratio| format!("{ratio:.1}"));
        table.add_row([
            subject.flows.to_string(),
            subject.state.name().to_owned(),
            subject.state.rate().to_string(),
            median,
            least,
            most,
            ratio,
            format!("{:.0}", records(subject).median),
            each(subject).map_or_else(String::new, |each| format!("{:.3}", each.median)),
            resident,
            own,
            maps,
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let rounds = subjects.first().map_or(0, |subject| subject.turns.len());
    format!("Agent, IPv4; medians of {rounds} rounds\n{table}\n")
}

/// The whole report as JSON.
pub(super) fn json(subjects: &[Subject], seconds: u32) -> Value {
    let one = |subject: &Subject| {
        json!({
            "flows": subject.flows,
            "state": subject.state.name(),
            "new_flows_per_second": subject.state.rate(),
            "cpu_percent": share(subject).json(),
            "of_smallest": of_smallest(subjects, subject),
            "records_per_second": records(subject).json(),
            "cpu_us_per_record": each(subject).map(Spread::json),
            "mib": subject.turns.last().map(|turn| turn.memory.json()),
        })
    };
    json!({
        "rounds": subjects.first().map_or(0, |subject| subject.turns.len()),
        "window_seconds": seconds,
        "states": subjects.iter().map(one).collect::<Vec<_>>(),
    })
}
