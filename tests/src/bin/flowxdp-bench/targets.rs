//! Goals of the figures, each as a ratio or a difference of figures of one run.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::live::rates;
use crate::{agent, drain, export};

/// How far a figure may go.
#[derive(Clone, Copy)]
enum Bound {
    Most(f64),
    Least(f64),
}

/// One figure that has a bound.
struct Target {
    part: &'static str,
    what: &'static str,
    bound: Bound,
    found: fn(&Value) -> Option<f64>,
}

const FLOOR: &str = "one line of memory";

/// Where the document has its packet costs, and its export.
const PACKETS: &str = "/packet/measured";
const EXPORT: &str = "/export/export";

/// The table: a part of the document, a sentence, a bound, and where the figure comes from.
const TARGETS: &[Target] = &[
    Target {
        part: "packet",
        what: "IPv4, 1,000 flows: nanoseconds over parsing",
        bound: Bound::Most(15.0),
        found: |all| over(all, PACKETS, "IPv4", "uniform", 1_000, "flowxdp"),
    },
    Target {
        part: "packet",
        what: "IPv4, 500,000 flows: of the cost of one line of memory",
        bound: Bound::Most(1.2),
        found: |all| of(all, PACKETS, "IPv4", FLOOR),
    },
    Target {
        part: "packet",
        what: "the same where the work of no two packets overlaps",
        bound: Bound::Most(1.2),
        found: |all| of(all, "/packet/apart", "IPv4", FLOOR),
    },
    Target {
        part: "packet",
        what: "IPv4, 500,000 flows: of LRU_PERCPU_HASH",
        bound: Bound::Most(0.27),
        found: |all| of(all, PACKETS, "IPv4", "LRU_PERCPU_HASH"),
    },
    Target {
        part: "packet",
        what: "IPv6, 500,000 flows: of LRU_PERCPU_HASH",
        bound: Bound::Most(0.4),
        found: |all| of(all, PACKETS, "IPv6", "LRU_PERCPU_HASH"),
    },
    Target {
        part: "packet",
        what: "IPv4, 500,000 flows: skewed traffic, of uniform traffic",
        bound: Bound::Most(1.0),
        found: |all| {
            let cost = |order| over(all, PACKETS, "IPv4", order, 500_000, "flowxdp");
            Some(cost("skewed")? / cost("uniform")?)
        },
    },
    Target {
        part: "live",
        what: "live path, 1,000 flows: packets a second, of parse and pass",
        bound: Bound::Least(0.95),
        found: |all| live(all, 1_000, rates::METER)?.pointer("/rate_of_base/median")?.as_f64(),
    },
    Target {
        part: "live",
        what: "live path, 1,000 flows, packets dropped: of parse and drop",
        bound: Bound::Least(0.85),
        found: |all| live(all, 1_000, rates::METER_DROP)?.pointer("/rate_of_base/median")?.as_f64(),
    },
    Target {
        part: "live",
        what: "live path, 500,000 flows, packets dropped: of LRU_PERCPU_HASH",
        bound: Bound::Least(2.0),
        found: |all| {
            let rate =
                |name| live(all, 500_000, name)?.pointer("/million_packets_per_second/median")?.as_f64();
            Some(rate(rates::METER_DROP)? / rate(rates::PEER_DROP)?)
        },
    },
    Target {
        part: "drain",
        what: "flows retired a second and core: of entries by batch, HASH",
        bound: Bound::Least(40.0),
        found: |all| ratio(all, "/drain/subjects", drain::RETIRE, drain::HASH, "million_flows_per_second"),
    },
    Target {
        part: "drain",
        what: "a look at 1,000,000 slots each second: per cent of a core",
        bound: Bound::Most(1.0),
        found: |all| {
            let slots = median(all, "/drain/subjects", drain::LOOK, "million_slots_per_second")?;
            Some(100.0 / slots)
        },
    },
    Target {
        part: "export",
        what: "v5 records a second from a full table over UDP: of softflowd's, once it has read the packets",
        bound: Bound::Least(3.0),
        found: |all| {
            ratio(all, EXPORT, export::TABLE_V5, export::SOFTFLOWD_AFTER, "million_records_per_second")
        },
    },
    Target {
        part: "export",
        what: "the same with --udp-segments 16",
        bound: Bound::Least(3.0),
        found: |all| {
            ratio(all, EXPORT, export::TABLE_V5_AS_ONE, export::SOFTFLOWD_AFTER, "million_records_per_second")
        },
    },
    Target {
        part: "export",
        what: "v5 records a second of processor time from a full table over UDP: of softflowd's, which reads too",
        bound: Bound::Least(3.0),
        found: |all| {
            ratio(all, EXPORT, export::TABLE_V5, export::SOFTFLOWD, "million_records_per_second_and_core")
        },
    },
    Target {
        part: "export",
        what: "IPFIX records encoded with the fields of all groups, million a second and core",
        bound: Bound::Least(20.0),
        found: |all| median(all, EXPORT, export::ENCODE_ALL, "million_records_per_second_and_core"),
    },
    Target {
        part: "groups",
        what: "IPv4, 1,000 flows: a hit with all groups, of the base record's",
        bound: Bound::Most(1.1),
        found: |all| {
            let of = |program| over(all, "/groups/hits", "IPv4", "uniform", 1_000, program);
            Some(of("all")? / of("base")?)
        },
    },
    Target {
        part: "agent",
        what: "the agent with 500,000 flows that stay in a table for 1,000,000: per cent of a core",
        bound: Bound::Most(1.0),
        found: |all| {
            let mut states = all.pointer("/agent/states")?.as_array()?.iter();
            let state = states.find(|one| one["flows"] == 1_000_000 && one["state"] == agent::ENDING)?;
            state["cpu_percent"]["median"].as_f64()
        },
    },
    Target {
        part: "replay",
        what: "a capture of as many packets in a day: time, of that for 100 seconds",
        bound: Bound::Most(2.0),
        found: |all| {
            let mut captures = all.pointer("/replay/measured")?.as_array()?.iter();
            captures.find(|one| one["seconds"] == 86_400)?["ratio"].as_f64()
        },
    },
];

/// The median of a figure of one subject among many.
fn median(all: &Value, list: &str, name: &str, figure: &str) -> Option<f64> {
    let subject = all.pointer(list)?.as_array()?.iter().find(|one| one["name"] == name)?;
    subject[figure]["median"].as_f64()
}

/// That figure of one subject, as a part of another's.
fn ratio(all: &Value, list: &str, ours: &str, other: &str, figure: &str) -> Option<f64> {
    Some(median(all, list, ours, figure)? / median(all, list, other, figure)?)
}

/// Nanoseconds of a program over parsing.
fn over(all: &Value, list: &str, family: &str, order: &str, flows: u32, program: &str) -> Option<f64> {
    let group = all
        .pointer(list)?
        .as_array()?
        .iter()
        .find(|group| group["family"] == family && group["order"] == order && group["flows"] == flows)?;
    let programs = group["programs"].as_array()?;
    programs.iter().find(|one| one["program"] == program)?["ns_over_parse"].as_f64()
}

/// The shipped program's cost with many flows, as a fraction of another's.
fn of(all: &Value, list: &str, family: &str, program: &str) -> Option<f64> {
    let cost = |program| over(all, list, family, "uniform", 500_000, program);
    Some(cost("flowxdp")? / cost(program)?)
}

/// A program's figures on the live path.
fn live<'a>(all: &'a Value, flows: u32, program: &str) -> Option<&'a Value> {
    let mut groups = all.pointer("/live/rates")?.as_array()?.iter();
    let programs = groups.find(|group| group["flows"] == flows)?["programs"].as_array()?;
    programs.iter().find(|one| one["program"] == program)
}

/// The bound in words, and whether a figure keeps it.
fn judge(bound: Bound, found: Option<f64>) -> (String, &'static str) {
    let (text, is_met) = match bound {
        Bound::Most(most) => (format!("at most {most}"), found.map(|found| found <= most)),
        Bound::Least(least) => (format!("at least {least}"), found.map(|found| found >= least)),
    };
    let verdict = match is_met {
        Some(true) => "met",
        Some(false) => "not met",
        None => "not measured",
    };
    (text, verdict)
}

/// Targets of the document's figures.
fn asked(all: &Value) -> impl Iterator<Item = &Target> {
    TARGETS.iter().filter(|target| all.get(target.part).is_some())
}

/// All that the document can say of the targets, for people.
pub(crate) fn table(all: &Value) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["target", "bound", "found", ""]);
    for target in asked(all) {
        let found = (target.found)(all);
        let (bound, verdict) = judge(target.bound, found);
        let found = found.map_or_else(String::new, |found| format!("{found:.2}"));
        table.add_row([target.what.to_owned(), bound, found, verdict.to_owned()]);
    }
    for column in table.column_iter_mut().skip(2).take(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// The same, for programs.
pub(crate) fn json(all: &Value) -> Value {
    let one = |target: &Target| {
        let found = (target.found)(all);
        let (bound, verdict) = judge(target.bound, found);
        json!({ "target": target.what, "bound": bound, "found": found, "verdict": verdict })
    };
    asked(all).map(one).collect()
}
