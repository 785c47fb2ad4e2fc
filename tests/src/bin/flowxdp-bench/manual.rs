//! The manual's page of figures with its plots, the page on capacity, and the page on fields, from the JSON of runs:
//! nothing is on them that a run did not print, or that is not computed from it.

mod capacity;
mod fields;
mod live;
mod page;
mod plot;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Map, Value, json};

use self::plot::{Axes, Curve};

/// Write the manual's pages on speed, capacity and fields, and plots, from the JSON of runs
#[derive(Args)]
pub(crate) struct Options {
    /// Files of `all --json FILE`: speed and capacity; of `groups --json FILE` and `cargo xtask compare --json FILE`: fields
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The manual
    #[arg(long, default_value = "flowxdp/manual", value_name = "DIR")]
    into: PathBuf,
}

/// The parts of a run that the pages on speed and capacity need.
const PARTS: [&str; 6] = ["packet", "drain", "export", "gateway", "live", "agent"];

const HEAD: &str = "\
# Speed

This page and its plots are written by `cargo xtask bench -- manual FILE` from what
`cargo xtask bench -- all --json FILE` has measured, all in one run on one machine. Figures of another
machine differ; ratios differ less. Medians stand with their spread, least to most. What a gateway needs by
these figures is on [the page on capacity](capacity.md).
";

const PACKET: &str = "
## A packet

Nanoseconds that a program costs over one that parses and passes, the same parser in all of them, by
BPF_PROG_TEST_RUN. *One line of memory* adds to two counters in a line that the flow picks, without a key
and without a time: the cost of memory itself. The kernel's maps hold the same flows, with a value for the same counters.
Skewed traffic follows Zipf's law; new flows have one packet each.

![Nanoseconds per packet against number of flows](figures/packet.svg)

";

const APART: &str = "
In such a run the work of one packet begins before that of the last one is done, the more the shorter a program is,
so that *one line of memory* hides most of its wait. A driver does much between two packets. The same where the clock is
read between them, which waits for all reads of memory:

";

const FULL: &str = "
Where all slots of a flow's window are taken, its slot is the last one, or its packets go through the ring buffer:

";

const DRAIN: &str = "
## Flows that leave the table

To look at a slot is to read its state and, where a flow is in it, its times. To retire is to do all that is
needed until the slot is free again; the kernel's maps are emptied by BPF_MAP_LOOKUP_AND_DELETE_BATCH. Processor time alone
counts, so the wait for a grace period is not in it.

";

const EXPORT: &str = "
## Records to collectors

Over loopback to a receiver that only reads. Other programs read a capture with one packet for each flow, so
their reading and metering is in their figures; *after reading* is softflowd's time once it has read the last
packet: expiry and sending, in which it never waits. *Table to UDP* begins with a table that is full of the same
flows, and every step is in it, from the look that finds them due to the free slot and the socket; the wait for a
grace period is no part of the time. The received records were compared, flow by flow, and equal for both.
The other rows begin with records. With *16 messages as one* (`--udp-segments 16`) the kernel cuts them apart.

![Records per second and core](figures/export.svg)

";

const GATEWAY: &str = "
## A gateway

A Linux router between two veth pairs, all on one CPU and nothing dropped: packets a second that it forwards,
with a program that passes everything and with the meter (forwarding throughput, RFC 6645), and records a
second that a collector got when the agent was told to end, all of its end in the time (flow export rate).

";

const AGENT: &str = "
## The agent

The agent alone, on a veth, with an IPv4 table of so many flows: no flow in it; half of it flows that stay, none
of them due, so that no look at the table is needed; the same while some flows end each second, so that it is
looked at each second; new flows of one packet each that leave after a second. Per cent of one core, of the
agent's processor time (the XDP program's is that of the packets); its resident memory, with the tables, which
are mapped, and its private part; and the kernel's memory of all its BPF maps.

![CPU of the agent against table size](figures/agent.svg)

";

/// Writes pages and plots.
pub(crate) fn write(options: &Options) -> Result<()> {
    let mut all = json!({});
    for file in &options.files {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let parts: Map<String, Value> =
            serde_json::from_str(&text).with_context(|| file.display().to_string())?;
        parts.into_iter().for_each(|(part, value)| all[part] = value);
    }
    let has = |parts: &[&str]| parts.iter().all(|part| all.get(part).is_some());
    let (speed, fields) = (has(&PARTS), has(&fields::PARTS));
    ensure!(speed || fields, "the files have neither all of {PARTS:?} nor all of {:?}", fields::PARTS);
    let figures = options.into.join("figures");
    fs::create_dir_all(&figures).with_context(|| figures.display().to_string())?;
    let mut pages = Vec::new();
    if speed {
        plots(&all, &figures)?;
        pages.push(("speed.md", text_of(&all)));
        pages.push(("capacity.md", capacity::text_of(&all, &machine(&all["machine"]))?));
    }
    if fields {
        fields::plot(&all, &figures)?;
        pages.push(("fields.md", fields::text_of(&all, &machine(&all["machine"]))));
    }
    for (name, text) in pages {
        let file = options.into.join(name);
        fs::write(&file, text).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn text_of(all: &Value) -> String {
    let groups = |pointer| page::list(all, pointer).collect::<Vec<_>>();
    let mut measured = groups("/packet/measured");
    measured.extend(groups("/packet/new_flows"));
    [
        HEAD,
        &machine(&all["machine"]),
        "\n## Targets\n\n",
        &page::targets(all),
        PACKET,
        &page::packets(&measured),
        APART,
        &page::packets(&groups("/packet/apart")),
        FULL,
        &page::packets(&groups("/packet/worst_window")),
        &live::section(all),
        DRAIN,
        &page::drain(all),
        EXPORT,
        &page::export(all),
        GATEWAY,
        &page::gateway(all),
        AGENT,
        &page::agent(all),
    ]
    .concat()
}

fn machine(machine: &Value) -> String {
    let [model, kernel] = ["model", "kernel"].map(|name| page::text(machine, name));
    // A distribution's suffix has no bearing on speed.
    let kernel = kernel.split('-').next().unwrap_or(kernel);
    format!("\nThe machine: {model}, {} CPUs, Linux {kernel}.\n", machine["cpus"])
}

fn plots(all: &Value, folder: &Path) -> Result<()> {
    let axes = Axes { x: "flows", y: "ns per packet over parse and pass" };
    plot::curves(&folder.join("packet.svg"), &axes, &packet_curves(all))?;
    let axes = Axes { x: "flows that the table has room for", y: "per cent of one core" };
    plot::curves(&folder.join("agent.svg"), &axes, &agent_curves(all))?;
    let shares = live::bars(all);
    if !shares.is_empty() {
        plot::bars(&folder.join("live.svg"), "per cent of the packets sent, at full speed", &shares)?;
    }
    let rates: Vec<(String, f64)> = page::list(all, "/export/export")
        .filter_map(|one| {
            let rate = one.pointer("/million_records_per_second_and_core/median")?.as_f64()?;
            Some((page::text(one, "name").to_owned(), rate))
        })
        .collect();
    plot::bars(&folder.join("export.svg"), "million records a second and core", &rates)
}

/// Three programs with uniform traffic, and the shipped one with skewed traffic.
fn packet_curves(all: &Value) -> Vec<Curve> {
    let curve = |program: &str, order: &str| {
        let groups = page::list(all, "/packet/measured")
            .filter(|group| group["family"] == "IPv4" && group["order"] == order);
        let points = groups.filter_map(|group| {
            let one = group["programs"].as_array()?.iter().find(|one| one["program"] == program)?;
            Some((group["flows"].as_f64()?, one["ns_over_parse"].as_f64()?))
        });
        (format!("{program}, {order}"), points.collect())
    };
    vec![
        curve("flowxdp", "uniform"),
        curve("LRU_PERCPU_HASH", "uniform"),
        curve("one line of memory", "uniform"),
        curve("flowxdp", "skewed"),
    ]
}

/// Each state of the agent's table, and each rate of new flows.
fn agent_curves(all: &Value) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for one in page::list(all, "/agent/states") {
        let point = one["flows"].as_f64().zip(one["cpu_percent"]["median"].as_f64());
        let name = page::state(one);
        match curves.iter_mut().find(|(other, _)| *other == name) {
            Some((_, points)) => points.extend(point),
            None => curves.push((name, point.into_iter().collect())),
        }
    }
    curves
}
