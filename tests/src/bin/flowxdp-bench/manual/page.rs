//! The page's tables, each from one part of the document.

use serde_json::Value;

/// A table of Markdown: the first column is text, the others are numbers.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(&head.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>());
    let rule: Vec<String> =
        (0..head.len()).map(|at| if at == 0 { "---" } else { "---:" }.to_owned()).collect();
    text.push_str(&line(&rule));
    rows.into_iter().for_each(|row| text.push_str(&line(&row)));
    text
}

/// The elements of a list in the document; none if there is no such list.
pub(super) fn list<'a>(all: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    all.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// A text of the document.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// A number with so many places, or nothing.
pub(super) fn number(value: &Value, places: usize) -> String {
    value.as_f64().map_or_else(String::new, |number| format!("{number:.places$}"))
}

/// A median with its spread.
pub(super) fn spread(value: &Value, places: usize) -> String {
    let [median, least, most] = ["median", "least", "most"].map(|name| number(&value[name], places));
    if median.is_empty() { median } else { format!("{median} ({least}–{most})") }
}

/// The question, and its result.
pub(super) fn targets(all: &Value) -> String {
    let rows = list(all, "/targets").map(|target| {
        let [what, bound, verdict] = ["target", "bound", "verdict"].map(|name| text(target, name).to_owned());
        vec![what, bound, number(&target["found"], 2), verdict]
    });
    table(&["", "bound", "found", ""], rows)
}

/// Nanoseconds over parsing of every program of a list of groups.
pub(super) fn packets(groups: &[&Value]) -> String {
    let programs = |group: &Value| group["programs"].as_array().cloned().unwrap_or_default();
    let measured = |program: &Value| !["pass only", "parse and pass"].contains(&text(program, "program"));
    let names: Vec<String> = groups.first().map_or_else(Vec::new, |group| {
        let all = programs(group);
        all.iter().filter(|one| measured(one)).map(|one| text(one, "program").to_owned()).collect()
    });
    let mut head = vec!["", "flows"];
    head.extend(names.iter().map(String::as_str));
    let rows = groups.iter().map(|group| {
        let title = format!("{}, {}", text(group, "family"), text(group, "order"));
        let costs = programs(group);
        let costs = costs.iter().filter(|one| measured(one)).map(|one| number(&one["ns_over_parse"], 1));
        [title, group["flows"].to_string()].into_iter().chain(costs).collect()
    });
    table(&head, rows)
}

/// Flows that leave the table.
pub(super) fn drain(all: &Value) -> String {
    let rows = list(all, "/drain/subjects").map(|one| {
        let flows = &one["million_flows_per_second"];
        let flows = if flows["most"].as_f64() == Some(0.0) { String::new() } else { spread(flows, 1) };
        vec![text(one, "name").to_owned(), spread(&one["million_slots_per_second"], 1), flows]
    });
    table(&["", "million slots a second and core", "million flows a second and core"], rows)
}

/// Records on their way to collectors.
pub(super) fn export(all: &Value) -> String {
    let rows = list(all, "/export/export").map(|one| {
        let cpu = spread(&one["million_records_per_second_and_core"], 2);
        let wall = spread(&one["million_records_per_second"], 2);
        let sending = spread(&one["million_records_per_second_first_to_last"], 2);
        vec![text(one, "name").to_owned(), cpu, number(&one["of_softflowd"], 1), wall, sending]
    });
    let head = [
        "",
        "million records a second and core",
        "of softflowd's",
        "million records a second",
        "the same from the first datagram to the last",
    ];
    table(&head, rows)
}

/// A router with metering off and on.
pub(super) fn gateway(all: &Value) -> String {
    let rows = list(all, "/gateway").map(|one| {
        let two = |name: &str| spread(&one[name], 2);
        vec![
            one["flows"].to_string(),
            two("million_packets_per_second_off"),
            two("million_packets_per_second_on"),
            two("on_of_off"),
            two("million_records_per_second"),
            one["lost_packets"].to_string(),
        ]
    });
    let head = [
        "flows",
        "off, million packets/s",
        "on",
        "on, of off",
        "million records/s at the end",
        "packets lost",
    ];
    table(&head, rows)
}

/// The flows in the agent's table, with the rate of new flows.
pub(super) fn state(one: &Value) -> String {
    match one["new_flows_per_second"].as_u64() {
        Some(rate) if rate > 0 => format!("{}, {rate} new flows/s", text(one, "state")),
        _ => text(one, "state").to_owned(),
    }
}

/// The agent's processor time and memory.
pub(super) fn agent(all: &Value) -> String {
    let rows = list(all, "/agent/states").map(|one| {
        let [resident, own, maps] =
            ["resident", "anonymous", "maps"].map(|name| number(&one["mib"][name], 0));
        vec![
            state(one),
            one["flows"].to_string(),
            spread(&one["cpu_percent"], 2),
            number(&one["of_smallest"], 1),
            number(&one["records_per_second"]["median"], 0),
            spread(&one["cpu_us_per_record"], 2),
            resident,
            own,
            maps,
        ]
    });
    let head = [
        "",
        "room for flows",
        "CPU, % of a core",
        "of the smallest table's",
        "records/s",
        "µs of CPU a record",
        "resident, MiB",
        "of it its own",
        "BPF maps, MiB",
    ];
    table(&head, rows)
}
