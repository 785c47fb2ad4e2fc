//! The books: `seen = exported + queued + in table + ignored + lost`, for packets and octets.
//!
//! The XDP program counts "seen" before all else; every other term is counted where the packet is. The two
//! sides are independent, so the equation can fail.
//!
//! While packets arrive, both sides cannot be read at one instant. A snapshot therefore reads the counters of
//! "seen" twice: first, followed by a wait until no program that ran then still runs, and last. Every packet
//! that the first reading counted is then in one of the terms, and no term holds one that the second did not
//! count. The sum of the terms lies between the two readings and equals "seen" at an instant between them;
//! [`Books::seen`] shows it. If the sum lay outside, the nearer of the two readings is shown, and the
//! equation fails visibly. The two readings are in [`Books::bracket`]; without traffic they are equal.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::exporting::options::{Reliability, Snapshot, Statistics};
use crate::record::{RecordTotal, Total};

/// One snapshot. The JSON form is part of the interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Books {
    /// Packets that reached the program.
    pub seen: Total,
    /// Handed to the collector that is furthest behind or, where each record goes to one, to any.
    pub exported: Total,
    /// Retired, and on the way to that collector.
    pub queued: Total,
    /// In the flow table, the spill table included.
    pub in_table: Total,
    /// Not metered, by reason.
    pub ignored: BTreeMap<String, Total>,
    /// Metered and not in a record that left, by reason.
    pub lost: BTreeMap<String, Total>,
    /// By interface.
    pub interfaces: BTreeMap<String, Interface>,
    /// By collector.
    pub collectors: BTreeMap<String, Collector>,
    /// The two readings of "seen".
    pub bracket: Bracket,
    /// The agent's data for options records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Snapshot>,
    /// Flow tables that fill, by name: idle flows in them are retired sooner.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", rename = "pressure")]
    pub aging: BTreeMap<String, AgingTable>,
    /// Which CPU has which partition of the flow table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<CpuPartitions>,
    /// The process that keeps the privileges to load programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loader: Option<Loader>,
    /// First packets of flows, where they are inspected for names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Names>,
    /// Each record went to one collector, not to all: the terms at the top are sums.
    #[serde(skip)]
    pub divided: bool,
}

/// The process that loads programs for the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Loader {
    /// Its process id.
    pub pid: u32,
    /// The process has not ended.
    pub running: bool,
    /// Its capabilities, as the kernel's manual writes them.
    pub holds: Vec<String>,
}

/// First packets of flows since the agent's start: offered = inspected + waiting + skipped, with octets of frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Names {
    /// Packets whose payload may say a name.
    pub offered: Total,
    /// Packets that the inspector has read.
    pub inspected: Total,
    /// Packets on their way to it.
    pub waiting: Total,
    /// Packets that it does not get, by reason.
    pub skipped: BTreeMap<String, Total>,
}

impl Names {
    /// Packets that are neither inspected nor skipped wait in the ring buffer.
    pub fn wait(&mut self) {
        let mut gone = self.inspected;
        self.skipped.values().for_each(|skipped| gone += *skipped);
        self.waiting = Total {
            packets: self.offered.packets.saturating_sub(gone.packets),
            octets: self.offered.octets.saturating_sub(gone.octets),
        };
    }
}

/// A flow table under aggressive aging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AgingTable {
    /// Flows in it at the last look, of a hundred that it holds.
    pub percent: u64,
    /// Idle timeout now, milliseconds.
    pub idle_timeout_ms: u64,
}

/// The partitions of the kernel's flow tables, numbered from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CpuPartitions {
    /// How many there are.
    pub total: u32,
    /// The one of each CPU that has one.
    pub by_cpu: BTreeMap<usize, u32>,
    /// CPUs that found none left, or gave theirs up: their packets go through the ring buffer.
    pub without: Vec<usize>,
    /// How often this agent handed one over.
    pub handed_over: u64,
    /// Packets that found no partition, or no slot in theirs, and went through the ring buffer. They are in
    /// the terms above as well.
    pub ring_buffer: Total,
}

/// The readings of "seen" before and after the rest of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bracket {
    /// Before.
    pub before: Total,
    /// After.
    pub after: Total,
}

/// The part of the books that the kernel keeps for each interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// Packets that came in here.
    pub seen: Total,
    /// Not metered.
    pub ignored: Total,
    /// Metered and lost in the kernel.
    pub lost: Total,
    /// Not metered, by reason.
    pub ignored_by_reason: BTreeMap<String, Total>,
    /// The hook of the metering: native, generic, tcx or clsact; `None` where the interface is not metered now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// Metered by the header inside a tunnel: packets that are in `seen`, and octets of the headers outside, which are
    /// in no other term.
    pub unwrapped: Total,
    /// First fragments that fell out of the table of fragments before their time: later ones may not have joined them.
    /// The packets are in `seen`.
    pub forgotten_fragments: Total,
    /// The interface is a tap: its packets are dropped behind the meter.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tap: bool,
    /// The use that the machine makes of a tap, and the remedy: its packets do not reach the stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tap_in_use: Option<String>,
}

/// The part of the books that belongs to one collector: retired = exported + queued + lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collector {
    /// Handed to the kernel for this collector.
    pub exported: RecordTotal,
    /// Waiting.
    pub queued: RecordTotal,
    /// Given up, over all reasons.
    pub lost: RecordTotal,
    /// Sent again after a break or a refusal that left their delivery uncertain.
    pub perhaps_twice: RecordTotal,
    /// Over UDP: how often messages were refused by ICMP.
    pub refused: u64,
    /// Given up, by reason.
    pub lost_by_reason: BTreeMap<String, RecordTotal>,
    /// Totals that options data announce to this collector; zero for protocols without options.
    pub statistics: Statistics,
    /// Records given up, and when: milliseconds since 1970.
    pub not_sent: Reliability,
    /// Retired before a reload added the collector, so not owed to it.
    #[serde(skip_serializing_if = "is_zero")]
    pub before: RecordTotal,
    /// Of those, given up, by reason.
    #[serde(skip)]
    pub before_lost: BTreeMap<String, RecordTotal>,
    /// A reload removed the collector, and its queue leaves without further records.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ending: bool,
    /// No other collector is owed its queue, which is in the terms at the top.
    #[serde(skip)]
    pub alone: bool,
    /// Found in the spool that an earlier run left: seen then, and in no term of this run's equation.
    pub inherited: RecordTotal,
    /// Of those, handed to the kernel.
    pub inherited_exported: RecordTotal,
    /// Of those, given up.
    pub inherited_lost: RecordTotal,
}

impl Collector {
    /// Handed over, with the records of before that others were handed.
    fn delivered(&self) -> Total {
        let mut delivered = self.exported;
        delivered += self.before;
        self.before_lost.values().for_each(|lost| delivered -= *lost);
        delivered.total()
    }
}

/// For JSON: a row with nothing in it.
fn is_zero(total: &RecordTotal) -> bool {
    *total == RecordTotal::default()
}

impl Books {
    /// Closes the snapshot: takes the terms of the collector that is furthest behind, and "seen" from the bracket.
    /// A collector that a reload removed counts with its queue alone, and only where no other collector covers it.
    pub fn close(&mut self, bracket: Bracket) {
        self.bracket = bracket;
        let serving = || self.collectors.values().filter(|collector| !collector.ending);
        let slowest = serving().min_by_key(|collector| collector.delivered().packets);
        let counted: Vec<&Collector> =
            if self.divided { serving().collect() } else { slowest.into_iter().collect() };
        for collector in counted {
            self.exported += collector.delivered();
            self.queued += collector.queued.total();
            for (reason, lost) in collector.lost_by_reason.iter().chain(&collector.before_lost) {
                *self.lost.entry(reason.clone()).or_default() += lost.total();
            }
        }
        for collector in self.collectors.values().filter(|collector| collector.alone) {
            self.queued += collector.queued.total();
        }
        let sum = self.sum();
        self.seen = Total {
            packets: sum.packets.clamp(bracket.before.packets, bracket.after.packets),
            octets: sum.octets.clamp(bracket.before.octets, bracket.after.octets),
        };
    }

    /// All packets seen, by their whereabouts.
    pub fn sum(&self) -> Total {
        let mut sum = self.exported;
        sum += self.queued;
        sum += self.in_table;
        for total in self.ignored.values().chain(self.lost.values()) {
            sum += *total;
        }
        sum
    }

    /// Whether the equation holds, for packets and for octets.
    pub fn balance(&self) -> bool {
        self.sum() == self.seen
    }
}
