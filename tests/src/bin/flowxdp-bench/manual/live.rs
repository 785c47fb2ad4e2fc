//! The live path's part of the page.

use serde_json::Value;

use super::page::{list, number, spread, table, text};

const PATH: &str = "
## A live path

A veth pair, native XDP on the receiving end, the kernel's generator on the other, IPv4 packets of 64 octets: all on
one CPU, one batch of packets after the other, so that none is dropped for want of room and the rate is the
reciprocal of a packet's time. Flows come at random, each as often as any other. The time is the
kernel's own: to make packets, to send and to receive them, without loading and waiting. Packets that are passed
are for another station: the kernel's stack takes them and drops them soon. A program that drops is the
same one with another verdict in its last instruction. In each turn the generator, the interface and the program must
have counted the same, packets and octets, and packets that a program passed must have arrived in the stack.

";

const PARTS: &str = "
A metered packet's time, from the differences between these programs, nanoseconds. The first part is there
with any program, so the slower the generator and the interface, the less is seen of metering;
behind a program that drops most is seen of it:

";

const OTHERS: &str = "
### Beside others

The agent, and other programs that listen on the same interface, where there is no XDP program then. All have room for
all flows, and nothing is due before the end. Packets that wait have 64 MiB, but 2 MiB with pmacctd, which
cannot be told. *Accounted for* is what nfdump adds up of all that a program has exported or stored, as a part of
the packets sent; for the agent, less than all ends the benchmark. A listener's packets are copied on
the path, which is one CPU, and the rest is done by a process, wherever it finds a CPU; the agent's are metered on the
path. So the last column adds both up: the time of path and process beyond a path without a listener, for each packet that
is accounted for. With few packets, a process shows its time without any: when the agent ends, it
looks at its whole table.

![Packets accounted for of those sent](figures/live.svg)

";

/// The whole part.
pub(super) fn section(all: &Value) -> String {
    let mut page = [PATH, &rates(all), PARTS, &parts(all)].concat();
    if all.pointer("/live/others").is_some() {
        page.push_str(OTHERS);
        page.push_str(&others(all));
    }
    page
}

/// Each program with each number of flows.
fn rates(all: &Value) -> String {
    let rows = list(all, "/live/rates").flat_map(|group| {
        list(group, "/programs").map(|one| {
            vec![
                text(one, "program").to_owned(),
                group["flows"].to_string(),
                spread(&one["million_packets_per_second"], 2),
                number(&one["ns"]["median"], 0),
                text(one, "base").to_owned(),
                spread(&one["rate_of_base"], 2),
            ]
        })
    });
    table(&["", "flows", "million packets/s", "ns", "beside", "rate, of that"], rows)
}

fn parts(all: &Value) -> String {
    let names: Vec<&str> = list(all, "/live/rates")
        .take(1)
        .flat_map(|group| list(group, "/parts").map(|part| text(part, "part")))
        .collect();
    let rows = list(all, "/live/rates").map(|group| {
        let parts = list(group, "/parts").map(|part| number(&part["ns"], 0));
        std::iter::once(group["flows"].to_string()).chain(parts).collect()
    });
    table(&[&["flows"], names.as_slice()].concat(), rows)
}

/// How it was sent.
fn sent(group: &Value) -> String {
    match group["packets_per_second"].as_u64() {
        Some(rate) => format!("{rate} packets/s"),
        None => "full speed".to_owned(),
    }
}

fn others(all: &Value) -> String {
    let rows = list(all, "/live/others").flat_map(|group| {
        list(group, "/programs").map(|one| {
            vec![
                text(one, "program").to_owned(),
                group["flows"].to_string(),
                sent(group),
                spread(&percent(&one["accounted_of_sent"]), 2),
                spread(&one["path_ns_per_packet"], 0),
                spread(&one["process_ns_per_packet"], 0),
                number(&one["ns_per_packet_over_nobody"], 0),
            ]
        })
    });
    let head =
        ["", "flows", "sent at", "accounted for, %", "path, ns", "process, ns", "both, over nobody, ns"];
    table(&head, rows)
}

/// A figure with its spread, a hundred times as large.
fn percent(figure: &Value) -> Value {
    let mut figure = figure.clone();
    for number in figure.as_object_mut().into_iter().flat_map(|figure| figure.values_mut()) {
        *number = number.as_f64().map_or(Value::Null, |number| (100.0 * number).into());
    }
    figure
}

/// Per cent accounted for by each program at full speed.
pub(super) fn bars(all: &Value) -> Vec<(String, f64)> {
    let at_full_speed = list(all, "/live/others").filter(|group| group["packets_per_second"].is_null());
    let bars = at_full_speed.flat_map(|group| {
        list(group, "/programs").filter_map(|one| {
            let share = one.pointer("/accounted_of_sent/median")?.as_f64()?;
            Some((format!("{}, {} flows", text(one, "program"), group["flows"]), 100.0 * share))
        })
    });
    bars.collect()
}
