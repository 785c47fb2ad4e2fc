//! A record as a row of a table that grows while the collector runs.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use super::header::Header;
use super::record::Record;
use crate::text::printable;

/// Prints the heading before the first row, and keeps columns as wide as their widest cell so far.
#[derive(Debug)]
pub(super) struct Table {
    heading: bool,
    /// Columns of the two addresses: an IPv4 address and a port fit at first.
    source: usize,
    destination: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self { heading: false, source: 21, destination: 21 }
    }
}

impl Table {
    /// Writes one record: a row, or a line of comment for options.
    pub(super) fn write(
        &mut self,
        out: &mut impl Write,
        exporter: &str,
        header: &Header,
        record: &Record,
    ) -> io::Result<()> {
        if record.options {
            return options(out, exporter, header, record);
        }
        let [source, destination] = ends(record);
        self.source = self.source.max(source.len());
        self.destination = self.destination.max(destination.len());
        if !self.heading {
            self.heading = true;
            let head = ["proto", "source", "destination", "packets", "octets", "flags", "end", "if", "vlan"];
            self.row(out, "start (UTC)", "seconds", &head.map(str::to_owned))?;
        }
        let number = |ids: &[u16]| record.number(ids).map_or_else(|| "-".to_owned(), |n| n.to_string());
        let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let cells = [
            protocol(record),
            source,
            destination,
            count(record.packets()),
            count(record.octets()),
            flags(record),
            end_reason(record),
            number(&[10]),
            // Where there is no tag, 0 is exported.
            record
                .number(&[58, 243])
                .filter(|id| *id > 0)
                .map_or_else(|| "-".to_owned(), |id| id.to_string()),
        ];
        let start = record.time(&START).map_or_else(|| "-".to_owned(), time);
        self.row(out, &start, &seconds(record), &cells)
    }

    fn row(&self, out: &mut impl Write, start: &str, seconds: &str, cells: &[String; 9]) -> io::Result<()> {
        let [protocol, source, destination, packets, octets, flags, end, interface, vlan] = cells;
        let (left, right) = (self.source, self.destination);
        writeln!(
            out,
            "{start:<23}  {seconds:>9}  {protocol:<7}  {source:<left$}  {destination:<right$}  \
             {packets:>10}  {octets:>13}  {flags:<8}  {end:<9}  {interface:>3}  {vlan:>4}"
        )
    }
}

/// Elements that say when a flow began, and when it ended.
const START: [u16; 4] = [152, 154, 156, 150];
const END: [u16; 4] = [153, 155, 157, 151];

fn time(milliseconds: u64) -> String {
    // humantime ends at the year 9999; a later time is no time of a flow.
    match UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)) {
        Some(time) if milliseconds < 253_402_300_800_000 => {
            let text = humantime::format_rfc3339_millis(time).to_string();
            text.trim_end_matches('Z').replace('T', " ")
        }
        _ => "-".to_owned(),
    }
}

fn seconds(record: &Record) -> String {
    let milliseconds = match (record.time(&START), record.time(&END), record.number(&[161])) {
        (Some(start), Some(end), _) => end.checked_sub(start),
        (.., duration) => duration,
    };
    milliseconds.map_or_else(|| "-".to_owned(), |ms| format!("{}.{:03}", ms / 1000, ms % 1000))
}

/// Both ends of the flow, with ports where the protocol has them, or ICMP type and code.
fn ends(record: &Record) -> [String; 2] {
    let source = record.address(&[8, 27]);
    let destination = record.address(&[12, 28]);
    let number = |ids: &[u16]| record.number(ids).unwrap_or(0);
    let (left, right) = match record.number(&[4]) {
        Some(6 | 17 | 33 | 132 | 136) => (number(&[7]).to_string(), number(&[11]).to_string()),
        Some(1 | 58) => {
            let both = record.number(&[32, 139]).unwrap_or_else(|| number(&[11]));
            let kind = record.number(&[176, 178]).unwrap_or(both / 256);
            let code = record.number(&[177, 179]).unwrap_or(both % 256);
            (String::new(), format!("{kind}.{code}"))
        }
        _ => (String::new(), String::new()),
    };
    [end(source, &left), end(destination, &right)]
}

fn end(address: Option<IpAddr>, port: &str) -> String {
    match address {
        None => "-".to_owned(),
        Some(address) if port.is_empty() => address.to_string(),
        Some(IpAddr::V4(address)) => format!("{address}:{port}"),
        Some(IpAddr::V6(address)) => format!("[{address}]:{port}"),
    }
}

fn protocol(record: &Record) -> String {
    let Some(number) = record.number(&[4]) else { return "-".to_owned() };
    let name = match number {
        1 => "ICMP",
        2 => "IGMP",
        4 => "IPv4",
        6 => "TCP",
        17 => "UDP",
        33 => "DCCP",
        41 => "IPv6",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        58 => "ICMPv6",
        89 => "OSPF",
        103 => "PIM",
        112 => "VRRP",
        132 => "SCTP",
        136 => "UDPLite",
        _ => return number.to_string(),
    };
    name.to_owned()
}

/// Eight flags by letter, highest first; further flags in hexadecimal in front.
fn flags(record: &Record) -> String {
    let Some(flags) = record.number(&[6]).filter(|flags| *flags > 0 || record.number(&[4]) == Some(6)) else {
        return "-".to_owned();
    };
    let letters = "CEUAPRSF".chars().zip((0..8).rev());
    let low = letters.map(|(letter, bit)| if flags >> bit & 1 == 1 { letter } else { '.' }).collect();
    if flags > 0xff { format!("{:x}:{low}", flags >> 8) } else { low }
}

fn end_reason(record: &Record) -> String {
    match record.number(&[136]) {
        Some(1) => "idle".to_owned(),
        Some(2) => "active".to_owned(),
        Some(3) => "end".to_owned(),
        Some(4) => "forced".to_owned(),
        Some(5) => "resources".to_owned(),
        Some(reason) => reason.to_string(),
        None => "-".to_owned(),
    }
}

fn options(out: &mut impl Write, exporter: &str, header: &Header, record: &Record) -> io::Result<()> {
    write!(out, "# options of {exporter} domain {}:", header.domain)?;
    for (key, value) in &record.fields {
        write!(out, " {}={}", key.name(), printable(&value.to_string()))?;
    }
    writeln!(out)
}
