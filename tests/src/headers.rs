//! Facts of packets by the headers that tshark lists: MAC addresses, tags, labels, flow label, extension headers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::facts::Facts;
use crate::process::Program;

const LIMIT: Duration = Duration::from_secs(60);

/// The element with a bit for each extension header.
pub const EXTENSIONS: &str = "ipv6ExtensionHeadersFull";

/// Fields with a packet's facts, in the order in which a line has them.
const FIELDS: [&str; 11] = [
    "ip.src",
    "ipv6.src",
    "eth.src",
    "eth.dst",
    "vlan.id",
    "vlan.priority",
    "mpls.label",
    "mpls.exp",
    "mpls.bottom",
    "ipv6.flow",
    "ipv6.fraghdr.offset",
];

/// Fields in which a header names the next one.
const NEXT: [&str; 6] = [
    "ipv6.nxt",
    "ipv6.hopopts.nxt",
    "ipv6.dstopts.nxt",
    "ipv6.routing.nxt",
    "ah.next_header",
    "ipv6.fraghdr.nxt",
];

/// Bits of IANA's registry "ipv6ExtensionHeaders Bits" by protocol number (RFC 9740 section 8.4), but for fragments.
const BITS: [(u8, u32); 11] = [
    (60, 0),
    (0, 1),
    (59, 2),
    (43, 5),
    (135, 7),
    (50, 8),
    (51, 9),
    (139, 10),
    (140, 11),
    (253, 12),
    (254, 13),
];

/// The facts of each source address: of its first packet, and the extension headers of all its packets.
///
/// # Errors
///
/// tshark fails, or a line is not of this form.
pub fn listed(file: &Path) -> Result<BTreeMap<IpAddr, Facts>> {
    let fields = FIELDS.into_iter().chain(NEXT).flat_map(|field| ["-e", field]);
    let tshark = Program::find("tshark")?.args(["-n", "-o", "ipv6.defragment:FALSE", "-r"]).arg(file);
    let lines = tshark.args(["-T", "fields"]).args(fields).run(LIMIT)?.success()?.stdout;
    let mut all: BTreeMap<IpAddr, (Facts, u64)> = BTreeMap::new();
    for line in lines.lines() {
        let (source, facts, bits) = packet(line).with_context(|| line.to_owned())?;
        all.entry(source).or_insert((facts, 0)).1 |= bits;
    }
    let of = |(source, (mut facts, bits)): (IpAddr, (Facts, u64))| {
        facts.insert(EXTENSIONS.to_owned(), bits.to_string());
        (source, facts)
    };
    Ok(all.into_iter().map(of).collect())
}

/// Source, facts and extension headers of a packet.
fn packet(line: &str) -> Result<(IpAddr, Facts, u64)> {
    let columns: Vec<Vec<&str>> = line.split('\t').map(|column| column.split(',').collect()).collect();
    let (facts, next) = columns.split_at_checked(FIELDS.len()).context("a short line")?;
    let [v4, v6, source, destination, ids, priorities, labels, experimental, bottom, label, offset] = facts
    else {
        bail!("a short line");
    };
    let first = |column: &[&str]| column.first().copied().unwrap_or_default().to_owned();
    let number = |column: &[&str], at: usize| match column.get(at) {
        None | Some(&"") => Ok(0),
        Some(text) => match text.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => text.parse(),
        },
    };
    let entry = |at: usize| -> Result<String> {
        let [label, experimental] = [number(labels, at)?, number(experimental, at)?];
        let is_bottom = bottom.get(at).is_some_and(|bottom| ["1", "True"].contains(bottom));
        Ok(format!("{:06x}", label << 4 | experimental << 1 | u32::from(is_bottom)))
    };
    let facts = [
        ("sourceMacAddress", first(source)),
        ("destinationMacAddress", first(destination)),
        ("dot1qVlanId", number(ids, 0)?.to_string()),
        ("dot1qCustomerVlanId", number(ids, 1)?.to_string()),
        ("dot1qPriority", number(priorities, 0)?.to_string()),
        ("dot1qCustomerPriority", number(priorities, 1)?.to_string()),
        ("mplsTopLabelStackSection", entry(0)?),
        ("mplsLabelStackSection2", entry(1)?),
        ("mplsLabelStackSection3", entry(2)?),
        ("flowLabelIPv6", number(label, 0)?.to_string()),
    ];
    let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let source = if first(v4).is_empty() { first(v6) } else { first(v4) };
    Ok((source.parse()?, facts, extensions(&first(offset), next)))
}

/// The bits of a packet's extension headers. The header behind a later fragment's is not in that packet.
fn extensions(offset: &str, next: &[Vec<&str>]) -> u64 {
    let fragment = match offset {
        "" => 0,
        "0" => 1 << 4,
        _ => 1 << 6,
    };
    let is_later = fragment == 1 << 6;
    let named = next.iter().zip(NEXT).filter(|(_, field)| !is_later || *field != "ipv6.fraghdr.nxt");
    let named = named.flat_map(|(column, _)| column).filter_map(|number| number.parse::<u8>().ok());
    let bits = named.filter_map(|number| BITS.iter().find(|(protocol, _)| *protocol == number));
    bits.fold(fragment, |bits, (_, bit)| bits | 1 << bit)
}
