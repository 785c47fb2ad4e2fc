//! Figures of two builds, by name, and their medians side by side.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Members of the benchmark's JSON that are figures: each with whether more of it is better.
const KEYS: [(&str, bool); 5] = [
    ("ns_over_parse", false),
    ("million_records_per_second", true),
    ("million_records_per_second_and_core", true),
    ("million_flows_per_second", true),
    ("million_slots_per_second", true),
];

/// Members that say which subject an object is about, in the order of their words in its name.
const NAMES: [&str; 5] = ["family", "order", "flows", "program", "name"];

/// Subjects that others are measured by.
const BASE: [&str; 2] = ["pass only", "parse and pass"];

/// A figure that both builds have.
struct Row<'a> {
    name: &'a str,
    /// The median of the old build's.
    before: f64,
    /// The median of the new build's.
    now: f64,
    /// Speed of the new build, of the old build's.
    speed: f64,
}

/// The figures so far: of each all values of the old and of the new build.
#[derive(Default)]
pub(super) struct Figures(BTreeMap<String, (bool, [Vec<f64>; 2])>);

impl Figures {
    /// Takes one run of a build in; `side` is 0 for the old one and 1 for the new one.
    pub(super) fn take(&mut self, side: usize, document: &Value) {
        let Some(parts) = document.as_object() else { return };
        for (part, value) in parts.iter().filter(|(part, _)| *part != "targets" && *part != "machine") {
            self.walk(side, std::slice::from_ref(part), value);
        }
    }

    fn walk(&mut self, side: usize, path: &[String], value: &Value) {
        match value {
            Value::Array(all) => all.iter().for_each(|one| self.walk(side, path, one)),
            Value::Object(members) => {
                let words = NAMES.iter().filter_map(|name| members.get(*name)).map(word);
                let path: Vec<String> = path.iter().cloned().chain(words).collect();
                if path.iter().any(|word| BASE.contains(&word.as_str())) {
                    return;
                }
                for (key, more) in KEYS {
                    let found = members.get(key);
                    let found = found.and_then(|it| it.as_f64().or_else(|| it.get("median")?.as_f64()));
                    if let Some(figure) = found.filter(|figure| *figure != 0.0) {
                        let name = format!("{}: {}", path.join(", "), key.replace('_', " "));
                        self.0.entry(name).or_insert((more, Default::default())).1[side].push(figure);
                    }
                }
                for (key, inner) in members.iter().filter(|(_, inner)| inner.is_array() || inner.is_object())
                {
                    let apart =
                        inner.is_array() && !["programs", "subjects", "export"].contains(&key.as_str());
                    let path: Vec<String> =
                        path.iter().cloned().chain(apart.then(|| key.replace('_', " "))).collect();
                    self.walk(side, &path, inner);
                }
            }
            _ => {}
        }
    }

    /// A line for each figure that both builds have: both medians, and by how many per cent the new build is better.
    pub(super) fn table(&self, old: &str, only: Option<&str>) -> String {
        let mut text = format!("{old:>12} {:>12} {:>9}  figure, medians\n", "this tree", "better");
        for Row { name, before, now, speed } in self.rows(only) {
            text.push_str(&format!("{before:12.2} {now:12.2} {:+8.1} %  {name}\n", 100.0 * (speed - 1.0)));
        }
        text
    }

    /// The same for programs.
    pub(super) fn json(&self, only: Option<&str>) -> Vec<Value> {
        let one = |Row { name, before, now, speed }| json!({ "name": name, "before": before, "now": now, "speed": speed });
        self.rows(only).map(one).collect()
    }

    fn rows(&self, only: Option<&str>) -> impl Iterator<Item = Row<'_>> {
        let rows = self.0.iter().filter(move |(name, _)| only.is_none_or(|word| name.contains(word)));
        rows.filter_map(|(name, (more, [before, now]))| {
            let (before, now) = (median(before)?, median(now)?);
            let speed = if *more { now / before } else { before / now };
            Some(Row { name, before, now, speed })
        })
    }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get((sorted.len().checked_sub(1)?) / 2)?, sorted.get(sorted.len() / 2)?);
    Some((low + high) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(figure: f64, cost: f64) -> Value {
        json!({
            "machine": {"cpus": 2},
            "packet": {"measured": [{"family": "IPv4", "flows": 1000, "programs": [
                {"program": "pass only", "ns_over_parse": -1.0},
                {"program": "flowxdp", "ns_over_parse": cost},
            ]}]},
            "drain": {"subjects": [{"name": "retire", "million_flows_per_second": {"median": figure}}]},
        })
    }

    #[test]
    fn medians_stand_side_by_side_and_say_which_way_is_better() {
        let mut figures = Figures::default();
        for (figure, cost) in [(10.0, 4.0), (30.0, 5.0), (20.0, 6.0)] {
            figures.take(0, &run(figure, cost));
            figures.take(1, &run(figure * 1.5, cost * 2.0));
        }
        let table = figures.table("old", None);
        let rows: Vec<Vec<&str>> =
            table.lines().skip(1).map(|line| line.split_whitespace().take(4).collect()).collect();
        assert_eq!(rows, [vec!["20.00", "30.00", "+50.0", "%"], vec!["5.00", "10.00", "-50.0", "%"]]);
        assert!(table.contains("drain, retire: million flows per second"), "{table}");
        assert!(table.contains("packet, measured, IPv4, 1000, flowxdp: ns over parse"), "{table}");
        assert_eq!(figures.table("old", Some("drain")).lines().count(), 2);
        let speeds: Vec<Value> = figures.json(None).into_iter().map(|row| row["speed"].clone()).collect();
        assert_eq!(speeds, [json!(1.5), json!(0.5)]);
    }

    #[test]
    fn a_figure_of_one_build_alone_has_no_line() {
        let mut figures = Figures::default();
        figures.take(1, &run(1.0, 1.0));
        assert_eq!(figures.table("old", None).lines().count(), 1);
    }
}
