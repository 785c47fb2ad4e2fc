//! The page on capacity: the needs of a gateway of some speed, computed from the figures of one run.
//!
//! [`figures`]: the inputs. [`tables`]: the results. Here: the words.

mod figures;
mod tables;

use anyhow::Result;
use serde_json::Value;

use super::page;

const HEAD: &str = "\
# Capacity

How many cores and how much memory metering and export need on a gateway, computed from figures. This page is
written by `cargo xtask bench -- manual FILE`, as is [the page of those figures](speed.md): all of one run on one
machine.
";

const FORMULA: &str = "
## The formula

    cores   =  packets/s × cost of a packet  +  new flows/s × (cost of a first packet + cost of a record)
               + looks at the table
    memory  =  slots × octets of a slot  +  the agent's own memory,
    slots   =  flows at once ÷ load,  load = 0.4 where --flows is twice the flows at once

- *Packets a second*: of a line rate, each frame with 20 octets more for preamble and gap. IMIX here is 7 : 4 : 1
  frames of 64, 570 and 1518 octets. Each packet is metered once, where it enters: a gateway whose line is full
  in both directions meters twice as many.
- *Cost of a packet*: the program's time beyond one that passes every packet: parser and meter.
- *Cost of a first packet*: the time beyond another one: it opens a slot.
- *Cost of a record*: processor time of the whole agent for each record, from the slot to the socket of one
  collector over UDP. More collectors, TCP and TLS, and a spool come on top.
- *Looks*: in `--flows` slots each second, where any flow is due. `--flows` slots are a quarter more than flows.

The program runs on the cores that receive, and grows with them: each has a part of the table to itself. The
agent is one thread.
";

const RUN: &str = "
## Cores for packets, by test run

Simulation: the program alone, one packet after the other on one core, with uniform traffic, and with traffic by
Zipf's law, which is nearer to a gateway's traffic. No other part of a packet's way is in it.

";

const ROUTER: &str = "
## Cores for packets, by a router

Measured on a live path: the time that metering adds to a packet that Linux receives and forwards between two veth pairs,
IPv6 of 64 octets, flows in turn, so that a flow's slot is never in a cache if there are many. The table has room
for a million flows, so a million of them is a full table, whose flows leave early all the time. The driver of a
NIC differs from veth.

";

const BOTH: &str = "
The same cost by both ways, nanoseconds a packet, and for the live path without a router, where packets end
behind the meter; plan with the larger one:

";

const EXPORT: &str = "
## Cores and network for new flows

Each new flow is a slot that opens and a record that leaves. The agent's part was measured live, with flows of
one packet; the first packet's by test run. Octets are those of IPFIX over UDP with IP and UDP headers.

";

const MEMORY: &str = "
## Memory

Computed from the octets of a slot, with `--flows` twice the flows at once, so that a window is seldom full.
Besides, the kernel keeps a ring buffer and the agent a table for flows without a slot. Both families have a table
of their own; `--flows6` sets the other one's size.

";

const CAUTION: &str = "
## Limits of this page

- Simulated: the cost of a packet by test run, and of a first packet. Measured live: a router's cost, the agent's
  processor time and memory. Computed: everything else, as the formula says; no line of 10 Gbit/s or more was there.
- The machine has few CPUs and is a virtual one; other machines on the same host had a part in its caches and
  its memory. With many cores, all of them share memory's bandwidth and the last cache, and their cost of a packet
  rises with that; receive queues must spread the packets evenly.
- A core that meters does the rest of the packet's way too: these cores are for metering alone, and a gateway needs
  more in all.
";

/// The whole page.
pub(super) fn text_of(all: &Value, machine: &str) -> Result<String> {
    let figures = figures::Figures::of(all)?;
    Ok([
        HEAD,
        machine,
        FORMULA,
        RUN,
        &tables::costs(&figures),
        "\n",
        &tables::cores(&figures),
        ROUTER,
        &tables::routers(&figures),
        BOTH,
        &tables::both(&figures),
        EXPORT,
        &tables::records(&figures),
        &tables::example(&figures),
        MEMORY,
        &tables::memory(&figures)?,
        CAUTION,
    ]
    .concat())
}
