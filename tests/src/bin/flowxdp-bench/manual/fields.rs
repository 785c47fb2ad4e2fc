//! The page on the cost of fields, and on this build beside an earlier one.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use super::{page, plot};

/// The parts that the page needs.
pub(super) const PARTS: [&str; 2] = ["groups", "compare"];

const HEAD: &str = "\
# Fields and their cost

This page and its plot are written by `cargo xtask bench -- manual FILE...` from the files of
`cargo xtask bench -- groups --json FILE` and `cargo xtask compare COMMIT --json FILE`.
";

const GROUPS: &str = "
## A group of fields

Nanoseconds over parsing by BPF_PROG_TEST_RUN, as on [the page on speed](speed.md), of the program with the base record,
with each group of `--collect` beside it, and with all of them. Uniform traffic hits a slot of the table; each packet of
new traffic inserts a flow, and its headers are read a second time for the cold slot. Packets with extension headers
are read a second time at each hit where the group `ipv6` is on, as the field has the headers of all packets.

";

const COMPARE: &str = "
## Beside an earlier build

The table of fields came behind commit ";

/// The page.
pub(super) fn text_of(all: &Value, machine: &str) -> String {
    let groups: Vec<&Value> =
        page::list(all, "/groups/hits").chain(page::list(all, "/groups/insertions")).collect();
    let compared = &all["compare"];
    let rows = page::list(all, "/compare/figures").map(|row| {
        let [before, now, speed] = ["before", "now", "speed"].map(|name| page::number(&row[name], 2));
        vec![page::text(row, "name").to_owned(), before, now, speed]
    });
    [
        HEAD,
        machine,
        GROUPS,
        &page::packets(&groups),
        COMPARE,
        page::text(compared, "commit"),
        ". Both builds took turns on one machine; the medians of ",
        &compared["turns"].to_string(),
        " turns each stand side by side, and the speed\nof the new build as a part of the old build's.\n\n\
         ![Speed of the new build, per cent of the old build's](figures/compare.svg)\n\n",
        &page::table(&["", "before", "now", "speed, of before"], rows),
    ]
    .concat()
}

/// A bar for each program and each step of a record, without the variants of load and clock.
pub(super) fn plot(all: &Value, folder: &Path) -> Result<()> {
    let bars: Vec<(String, f64)> = page::list(all, "/compare/figures")
        .filter_map(|row| Some((short(page::text(row, "name"))?, 100.0 * row["speed"].as_f64()?)))
        .collect();
    plot::bars(&folder.join("compare.svg"), "speed of the new build, per cent of the old build's", &bars)
}

/// The name of a bar; none for a figure without one.
fn short(name: &str) -> Option<String> {
    let (subject, unit) = name.split_once(": ")?;
    let (part, subject) = subject.split_once(", ")?;
    let is_bar = match part {
        "packet" => subject.starts_with("measured") && subject.contains("uniform"),
        "export" => unit.ends_with("and core") && !subject.starts_with("table"),
        _ => unit.contains("flows"),
    };
    let subject = subject.trim_start_matches("measured, ").trim_end_matches(", flowxdp");
    is_bar.then(|| subject.to_owned())
}
