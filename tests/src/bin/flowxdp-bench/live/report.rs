//! Figures as tables for people, or as JSON.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::others::{self, Load, NOBODY};
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
    let parts = group.parts().map(|(part, time)| format!("{part} {time:.0}"));
    text.push_str(&format!("of a metered packet, ns: {}\n", parts.join(", ")));
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
        "parts": group.parts().map(|(part, time)| json!({ "part": part, "ns": time })),
    })
}

/// The cost of processes and path beyond a program that only passes, of one load.
pub(super) fn others_text(group: &others::Group) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "",
        "accounted",
        "from",
        "to",
        "path, Mpps",
        "path, ns/packet",
        "process",
        "both, over nobody",
    ]);
    for one in &group.measured {
        let (share, process, path) = (one.share(&group.load), one.process(), one.path());
        let mut row = vec![one.name.to_owned()];
        let is_program = one.name != NOBODY;
        let part = |part: f64| if is_program { format!("{:.2} %", 100.0 * part) } else { String::new() };
        row.extend([share.median, share.least, share.most].map(part));
        row.extend([format!("{:.2}", 1e3 / path.median), format!("{:.0}", path.median)]);
        if is_program {
            row.extend([process.median, group.whole(one)].map(|time| format!("{time:.0}")));
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let rounds = group.measured.first().map_or(0, others::Measured::rounds);
    format!("Live, beside others, {}; medians of {rounds} rounds\n{table}\n", describe(&group.load))
}

fn describe(load: &Load) -> String {
    let (packets, flows) = (load.traffic.packets, load.traffic.flows);
    let rate =
        load.rate.map_or_else(|| "at full speed".to_owned(), |rate| format!("{rate} packets a second"));
    format!("{flows} flows, {packets} packets {rate}")
}

/// The same, for programs.
pub(super) fn others_json(group: &others::Group) -> Value {
    let one = |one: &others::Measured| {
        let is_program = one.name != NOBODY;
        json!({
            "program": one.name,
            "accounted_of_sent": is_program.then(|| one.share(&group.load).json()),
            "process_ns_per_packet": is_program.then(|| one.process().json()),
            "path_ns_per_packet": one.path().json(),
            "ns_per_packet_over_nobody": is_program.then(|| group.whole(one)),
        })
    };
    json!({
        "flows": group.load.traffic.flows,
        "packets": group.load.traffic.packets,
        "packets_per_second": group.load.rate,
        "programs": group.measured.iter().map(one).collect::<Vec<_>>(),
    })
}
