//! Figures as tables for people, or as JSON.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::cost::Cost;
use crate::load::{EXPONENT, Order};
use crate::measure::{Group, Measured};

/// One group as a table with a title.
pub(crate) fn table(group: &Group) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let ratio = format!("of {}", group.reference);
    table.set_header(["program", "ns/packet", "from", "to", "over parse", &ratio]);
    for one in &group.measured {
        let over = group.over_parse(one);
        let (over, ratio) = match one.name {
            "pass only" | "parse and pass" => (String::new(), String::new()),
            _ => (format!("{over:.1}"), format!("{:.2}", group.ratio(one))),
        };
        let [median, least, most] = [one.median, one.least, one.most].map(|time| format!("{time:.1}"));
        table.add_row([one.name.to_owned(), median, least, most, over, ratio]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let load = group.load;
    let flows = match load.order {
        Order::Uniform => format!("{} random flows", load.flows),
        Order::Skewed => format!("{} flows by Zipf's law, s = {EXPONENT}", load.flows),
        Order::New => format!("{} new flows, a packet each", load.flows),
    };
    let mut text = format!(
        "{}, {flows}{}, tables for {}; medians of {} rounds of {} packets\n{table}\n",
        load.family.name(),
        if load.apart { " of packets apart" } else { "" },
        load.table,
        group.rounds,
        group.packets,
    );
    for one in group.measured.iter().filter(|one| one.without_slot > 0) {
        text.push_str(&format!("{}: {} packets found no slot\n", one.name, one.without_slot));
    }
    text
}

/// The shipped programs' cost for the verifier.
pub(crate) fn cost(costs: &[Cost]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["program", "instructions verified", "stack, octets", "translated", "machine code"]);
    for cost in costs {
        let stack: Vec<String> = cost.stack.iter().map(u32::to_string).collect();
        let [verified, translated, jitted] =
            [cost.verified, cost.translated, cost.jitted].map(|number| number.to_string());
        let numbers = [verified, stack.join("+"), translated, jitted];
        table.add_row(std::iter::once(cost.name.to_owned()).chain(numbers));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("The programs that are shipped\n{table}")
}

/// The whole report as JSON.
pub(crate) fn json(costs: &[Cost], [groups, apart, new, worst]: [&[Group]; 4]) -> Value {
    let shipped = |cost: &Cost| {
        json!({
            "program": cost.name,
            "instructions_verified": cost.verified,
            "stack": cost.stack,
            "translated": cost.translated,
            "machine_code": cost.jitted,
        })
    };
    json!({
        "shipped": costs.iter().map(shipped).collect::<Vec<_>>(),
        "measured": groups.iter().map(group).collect::<Vec<_>>(),
        "apart": apart.iter().map(group).collect::<Vec<_>>(),
        "new_flows": new.iter().map(group).collect::<Vec<_>>(),
        "worst_window": worst.iter().map(group).collect::<Vec<_>>(),
    })
}

/// Programs that were measured together, for programs.
pub(crate) fn group(group: &Group) -> Value {
    let one = |one: &Measured| {
        json!({
            "program": one.name,
            "ns": one.median,
            "ns_least": one.least,
            "ns_most": one.most,
            "ns_over_parse": group.over_parse(one),
            "of_reference": group.ratio(one),
            "without_slot": one.without_slot,
        })
    };
    json!({
        "family": group.load.family.name(),
        "order": group.load.order.name(),
        "flows": group.load.flows,
        "table": group.load.table,
        "apart": group.load.apart,
        "reference": group.reference,
        "rounds": group.rounds,
        "packets": group.packets,
        "programs": group.measured.iter().map(one).collect::<Vec<_>>(),
    })
}
