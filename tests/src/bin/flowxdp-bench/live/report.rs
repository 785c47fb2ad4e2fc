//! Figures as tables for people, or as JSON.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::rates::Group;

/// One group, for people.
pub(super) fn text(group: &Group) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["", "Mpps", "from", "to", "ns/packet", "of parsing", "from", "to"]);
    for one in &group.measured {
        let (rate, ratio) = (one.rate(), group.of_base(one));
        let two = |figure: f64| format!("{figure:.2}");
        let mut row = vec![one.name.to_owned()];
        row.extend([rate.median, rate.least, rate.most].map(two));
        row.push(format!("{:.0}", one.nanoseconds().median));
        row.extend([ratio.median, ratio.least, ratio.most].map(two));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let (flows, packets) = (group.traffic.flows, group.traffic.packets);
    let rounds = group.rounds();
    let head =
        format!("Live path, IPv4, {flows} flows at random; medians of {rounds} rounds of {packets} packets");
    let mut text = format!("{head}\n{table}\n");
    for one in group.measured.iter().filter(|one| one.without_slot > 0) {
        text.push_str(&format!("{}: {} packets found no slot\n", one.name, one.without_slot));
    }
    text
}

/// The same, for programs.
pub(super) fn json(group: &Group) -> Value {
    let programs = group.measured.iter().map(|one| {
        json!({
            "program": one.name,
            "million_packets_per_second": one.rate().json(),
            "ns": one.nanoseconds().json(),
            "base": one.base,
            "rate_of_base": group.of_base(one).json(),
            "without_slot": one.without_slot,
        })
    });
    json!({
        "flows": group.traffic.flows,
        "rounds": group.rounds(),
        "packets": group.traffic.packets,
        "programs": programs.collect::<Vec<_>>(),
    })
}
