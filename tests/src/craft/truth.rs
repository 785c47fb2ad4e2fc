//! The truth of a capture: flow records and books, as text.
//!
//! NAME.5.csv has a row for every five-tuple, NAME.vlan.csv for every five-tuple, VLAN identifier
//! and type of service, NAME.ignored.json the books. Times are milliseconds since 1970, rounded
//! down; rows are sorted by key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use super::{Ignored, Metered, Verdict};

/// A frame as the truth sees it.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Capture time, nanoseconds since 1970.
    pub time_ns: u64,
    /// LINKTYPE value.
    pub link: u32,
    /// Whether fewer octets were captured than were on the wire.
    pub cut: bool,
    /// Its verdict.
    pub verdict: Verdict,
}

type Five = (IpAddr, IpAddr, u8, u16, u16);
type WithVlan = (Five, u16, u8);

/// One row.
struct Flow {
    packets: u64,
    octets: u64,
    flags: u8,
    times: (u64, u64),
    ttls: (u8, u8),
}

impl Flow {
    fn new(metered: &Metered, ms: u64) -> Self {
        Self { packets: 0, octets: 0, flags: 0, times: (ms, ms), ttls: (metered.ttl, metered.ttl) }
    }

    fn add(&mut self, metered: &Metered, ms: u64) {
        self.packets += 1;
        self.octets += u64::from(metered.octets);
        self.flags |= metered.tcp_flags;
        self.times = (self.times.0.min(ms), self.times.1.max(ms));
        self.ttls = (self.ttls.0.min(metered.ttl), self.ttls.1.max(metered.ttl));
    }

    fn row(&self, key: &Five) -> String {
        let (source, destination, protocol, source_port, destination_port) = key;
        let Self { packets, octets, flags, times: (first, last), ttls: (low, high) } = self;
        format!(
            "{source},{destination},{protocol},{source_port},{destination_port},\
             {packets},{octets},0x{flags:02x},{first},{last},{low},{high}"
        )
    }
}

const COLUMNS: &str = "src,dst,proto,sport,dport,packets,octets,tcp_flags,first_ms,last_ms,min_ttl,max_ttl";

/// The three files of the truth: name and text.
#[must_use]
pub fn truth(file: &str, frames: &[Seen]) -> [(String, String); 3] {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let mut five: BTreeMap<Five, Flow> = BTreeMap::new();
    let mut with_vlan: BTreeMap<WithVlan, Flow> = BTreeMap::new();
    for (metered, ms) in metered(frames) {
        let Metered { source, destination, protocol, source_port, destination_port, vlan, tos, .. } =
            *metered;
        let key = (source, destination, protocol, source_port, destination_port);
        five.entry(key).or_insert_with(|| Flow::new(metered, ms)).add(metered, ms);
        with_vlan.entry((key, vlan, tos)).or_insert_with(|| Flow::new(metered, ms)).add(metered, ms);
    }
    let mut text = format!("{COLUMNS}\n");
    let mut vlan_text = format!("{COLUMNS},vlan,tos\n");
    for (key, flow) in &five {
        text.extend([flow.row(key).as_str(), "\n"]);
    }
    for ((key, vlan, tos), flow) in &with_vlan {
        text_row(&mut vlan_text, &flow.row(key), *vlan, *tos);
    }
    [
        (format!("{stem}.5.csv"), text),
        (format!("{stem}.vlan.csv"), vlan_text),
        (format!("{stem}.ignored.json"), books(file, frames, five.len(), with_vlan.len())),
    ]
}

fn text_row(text: &mut String, row: &str, vlan: u16, tos: u8) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{row},{vlan},{tos}");
}

fn metered(frames: &[Seen]) -> impl Iterator<Item = (&Metered, u64)> {
    frames.iter().filter_map(|frame| match &frame.verdict {
        Verdict::Metered(metered) => Some((metered, frame.time_ns / 1_000_000)),
        Verdict::Ignored(_) => None,
    })
}

fn books(file: &str, frames: &[Seen], five: usize, with_vlan: usize) -> String {
    let ignored = |why: Ignored| frames.iter().filter(|frame| frame.verdict == Verdict::Ignored(why)).count();
    let reasons = [Ignored::NotIp, Ignored::Truncated, Ignored::Malformed]
        .map(|why| format!("    \"{}\": {}", why.name(), ignored(why)))
        .join(",\n");
    let links: BTreeSet<u32> = frames.iter().map(|frame| frame.link).collect();
    let links: Vec<String> = links.iter().map(|link| format!("    {link}")).collect();
    let octets: u64 = metered(frames).map(|(metered, _)| u64::from(metered.octets)).sum();
    format!(
        "{{\n  \"file\": \"{file}\",\n  \"frames\": {},\n  \"metered_packets\": {},\n  \
         \"metered_octets\": {octets},\n  \"ignored\": {{\n{reasons}\n  }},\n  \
         \"frames_cut_by_snap_length\": {},\n  \"link_types\": [\n{}\n  ],\n  \
         \"flows_5\": {five},\n  \"flows_vlan\": {with_vlan}\n}}\n",
        frames.len(),
        metered(frames).count(),
        frames.iter().filter(|frame| frame.cut).count(),
        links.join(",\n"),
    )
}
