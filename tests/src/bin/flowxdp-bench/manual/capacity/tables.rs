//! The tables of the page on capacity.

use anyhow::Result;
use flowxdp::command::run::RING;
use flowxdp::kernel::load::TableSize;
use flowxdp_common::slot::{SlotV4, SlotV6, SpillSlot};
use flowxdp_core::elements::Choice;
use flowxdp_core::exporting::template::{Kind, RecordFormat, Template};
use flowxdp_core::exporting::wire::Protocol;

use super::figures::{FLOWS, Figures};
use super::page::table;

/// Line rates, Gbit/s.
const LINES: [f64; 4] = [10.0, 25.0, 40.0, 100.0];
/// Octets of a frame, on average.
const FRAMES: [(&str, f64); 2] = [("IMIX", (7.0 * 64.0 + 4.0 * 570.0 + 1518.0) / 12.0), ("64 octets", 64.0)];
/// Preamble, start of frame and gap between frames, octets (IEEE 802.3).
const BETWEEN: f64 = 20.0;
/// New flows a second.
const RATES: [f64; 4] = [1e3, 1e4, 1e5, 1e6];
/// Octets of a message over UDP on Ethernet, of its headers in IPFIX, and of UDP's and IPv4's.
const MESSAGE: (f64, f64, f64) = (1472.0, 16.0 + 4.0, 28.0);
const MIB: f64 = (1 << 20) as f64;

/// Million packets a second of a line.
fn packets(gigabits: f64, frame: f64) -> f64 {
    gigabits * 1e3 / 8.0 / (frame + BETWEEN)
}

fn number(number: Option<f64>, places: usize) -> String {
    number.map_or_else(String::new, |number| format!("{number:.places$}"))
}

/// Cores of each line, by nanoseconds that a packet costs.
fn lines(costs: &[(String, Option<f64>)]) -> String {
    let mut head = vec!["line", "frames", "million packets/s"];
    head.extend(costs.iter().map(|(name, _)| name.as_str()));
    let lines = LINES.iter().flat_map(|line| FRAMES.iter().map(move |frame| (*line, frame)));
    let rows = lines.map(|(line, (name, octets))| {
        let packets = packets(line, *octets);
        let mut row = vec![format!("{line} Gbit/s"), (*name).to_owned(), format!("{packets:.2}")];
        row.extend(costs.iter().map(|(_, cost)| number(cost.map(|cost| packets * cost / 1e3), 2)));
        row
    });
    table(&head, rows)
}

const TRAFFIC: [(&str, &str); 3] = [("IPv4", "uniform"), ("IPv4", "skewed"), ("IPv6", "uniform")];

/// Nanoseconds of a packet.
pub(super) fn costs(figures: &Figures<'_>) -> String {
    let rows = TRAFFIC.map(|(family, order)| {
        let costs = FLOWS.map(|flows| number(figures.packet(family, order, flows), 1));
        [format!("{family}, {order}: ns a packet")].into_iter().chain(costs).collect()
    });
    let [a, b, c] = FLOWS.map(|flows| format!("{flows} flows"));
    table(&["", &a, &b, &c], rows)
}

/// Cores, by test run.
pub(super) fn cores(figures: &Figures<'_>) -> String {
    let uniform = FLOWS.map(|flows| {
        (format!("cores, {flows} flows, IPv4 uniform"), figures.packet("IPv4", "uniform", flows))
    });
    let [.., most] = FLOWS;
    let others = [("IPv4", "skewed"), ("IPv6", "uniform")]
        .map(|(family, order)| (format!("{most}, {family} {order}"), figures.packet(family, order, most)));
    lines(&uniform.into_iter().chain(others).collect::<Vec<_>>())
}

/// Cores, by a router.
pub(super) fn routers(figures: &Figures<'_>) -> String {
    lines(&FLOWS.map(|flows| (format!("cores, {flows} flows"), figures.router(flows))))
}

/// The cost of a packet by test run and live.
pub(super) fn both(figures: &Figures<'_>) -> String {
    let rows = figures.live().into_iter().map(|flows| {
        let costs = [
            figures.over("IPv4", flows),
            figures.dropped(flows),
            figures.packet("IPv6", "uniform", flows),
            figures.router(flows),
        ];
        [flows.to_string()].into_iter().chain(costs.map(|cost| number(cost, 0))).collect()
    });
    let head = [
        "flows",
        "over parsing, IPv4, test run",
        "over parsing, IPv4, live, dropped",
        "over passing, IPv6, test run",
        "over passing, IPv6, router",
    ];
    table(&head, rows)
}

/// Cores and network of new flows.
pub(super) fn records(figures: &Figures<'_>) -> String {
    let length = Template::new(Protocol::Ipfix, RecordFormat::USUAL, Kind::Ipv4, &Choice::default())
        .record_length() as f64;
    let (message, headers, below) = MESSAGE;
    let each = ((message - headers) / length).floor();
    let rows = RATES.map(|rate| {
        let agent = rate * figures.record / 1e6;
        let core =
            if agent > 1.0 { format!("{agent:.3}: more than one thread has") } else { format!("{agent:.3}") };
        let messages = rate / each;
        let octets = rate * length + messages * (headers + below);
        vec![
            format!("{rate:.0}"),
            core,
            format!("{:.3}", rate * figures.first / 1e9),
            format!("{messages:.0}"),
            format!("{:.1}", octets * 8.0 / 1e6),
        ]
    });
    let head = [
        "new flows/s",
        "cores of the agent",
        "cores of first packets",
        "messages/s",
        "Mbit/s to a collector",
    ];
    let text = table(&head, rows);
    let Figures { record, rate, first, look, .. } = figures;
    format!(
        "{text}\nA record costs {record:.2} µs (with {rate} new flows a second, looks at a table for 1,000,000 in it), \
         so one thread makes at most {:.1} million a second; a first packet costs {first:.0} ns more than another. \
         Looks alone at a table for 1,000,000, half full, take {look:.2} % of a core. Above 16,000 messages a \
         second `--pace` must be raised.\n",
        1.0 / record
    )
}

/// One gateway's needs, all terms of the formula.
pub(super) fn example(figures: &Figures<'_>) -> String {
    let ((name, frame), flows, rate) = (FRAMES[0], FLOWS[1], RATES[1]);
    let packets = packets(LINES[0], frame);
    let terms = |cost: f64| {
        let (path, first, record) =
            (packets * cost / 1e3, rate * figures.first / 1e9, rate * figures.record / 1e6);
        format!("{path:.2} + {first:.3} + {record:.3} = {:.2} cores", path + first + record)
    };
    let run = figures.packet("IPv4", "uniform", flows).map(terms).unwrap_or_default();
    let router = figures.router(flows).map(terms).unwrap_or_default();
    format!(
        "\nAn example: {} Gbit/s of {name}, {flows} flows at once, {rate:.0} new ones a second: packets, first packets \
         and records take {run} by test run, and {router} by a router.\n",
        LINES[0]
    )
}

/// Memory by flows at once.
pub(super) fn memory(figures: &Figures<'_>) -> Result<String> {
    let mut rows = Vec::new();
    for flows in FLOWS {
        let room = 2 * u64::from(flows);
        let size =
            TableSize { flows_v4: room, flows_v6: room, partitions: 1, ring: RING, ..TableSize::default() };
        let mib = |slots: u64, octets: usize| slots as f64 * octets as f64 / MIB;
        let parts = [
            mib(size.slots_v4()?, size_of::<SlotV4>()),
            mib(size.slots_v6()?, size_of::<SlotV6>()),
            mib(size.spill_slots().into(), size_of::<SpillSlot>()),
            mib(1, RING as usize),
        ];
        let mut row = vec![flows.to_string(), room.to_string(), size.slots_v4()?.to_string()];
        row.extend(parts.map(|part| format!("{part:.1}")));
        row.push(format!("{:.0}", parts.iter().sum::<f64>()));
        rows.push(row);
    }
    let head = [
        "flows at once",
        "`--flows`",
        "slots",
        "IPv4 table, MiB",
        "IPv6 table, MiB",
        "the agent's table, MiB",
        "ring buffer, MiB",
        "all, MiB",
    ];
    let text = table(&head, rows);
    let length =
        Template::new(Protocol::Ipfix, RecordFormat::USUAL, Kind::Ipv4, &Choice::default()).record_length();
    let [v4, v6] = [size_of::<SlotV4>(), size_of::<SlotV6>()];
    let Figures { rest, work, rate, .. } = figures;
    Ok(format!(
        "{text}\nA slot has {v4} octets for IPv4 and {v6} for IPv6. The agent's own memory was {rest:.0} MiB at rest \
         and {work:.0} MiB with {rate} new flows a second, most of it records on their way, for one collector. A \
         spool takes disk, not memory: {length} octets for each record of IPv4 in IPFIX, {:.0} MiB a million, up to \
         `--spool-limit`.\n",
        length as f64 * 1e6 / MIB
    ))
}
