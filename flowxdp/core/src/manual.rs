//! Pages of the manual that follow from tables in the core.

use std::fmt::Write as _;

use flowxdp_common::reason;

use crate::elements::{ELEMENTS, Element, Within};
use crate::template::{Kind, Template};
use crate::wire::Protocol;

/// `elements.md`: every information element that we export, and every template.
pub fn elements() -> String {
    let mut page = String::from(INTRODUCTION);
    for element in &ELEMENTS {
        line(&mut page, &element_row(element));
    }
    page.push_str(TEMPLATES);
    for kind in Kind::ALL {
        line(&mut page, &template_row(kind));
    }
    page
}

/// `books.md`: the terms of the books, and every reason for which a packet is in no record.
pub fn books() -> String {
    let mut page = String::from(BOOKS);
    let tables = [
        ("ignored", reason::IGNORED.as_slice()),
        ("lost", reason::LOST.as_slice()),
        ("lost", reason::UNDELIVERED.as_slice()),
    ];
    for (term, reasons) in tables {
        for reason in reasons {
            line(&mut page, &format!("| {term} | `{}` | {} |", reason.name, reason.sentence));
        }
    }
    page
}

const BOOKS: &str = "\
# The books

`seen = exported + queued + in_table + ignored (by reason) + lost (by reason)`, for packets and for octets,
whenever `flowxdp status` is asked. A metered packet counts its IP octets, an ignored one its whole frame,
and \"seen\" counts each packet by the same rule.

- `seen` is counted by the XDP program before anything else is counted of the packet.
- `in_table` is the sum over the slots of the flow tables, and over the agent's own table of flows that
  found no slot.
- `queued` is in flow records that wait to be sent; `exported` in those that were handed to the kernel.
  With several collectors the books of each are under `collectors`, with records, and the terms at the top
  are those of the collector that is furthest behind.

While packets arrive, the terms cannot be read at one instant. A snapshot reads the counters of `seen`
twice: before all else, and then waits for one grace period, so that no packet that was counted is on its
way still; and after all else, behind another grace period. The sum of the terms lies between the two
readings, and `seen` is what it was at that instant in between. Both readings are in `bracket`; they are as
far apart as the packets that came in the meantime, some tens of milliseconds and the scan of the table.
Without traffic they are equal. If the sum lay outside, `seen` would be the nearer reading, and the
equation would visibly fail.

| term | reason | meaning |
|---|---|---|
";

const INTRODUCTION: &str = "\
# Information elements

What a flow record says, by the numbers and names of IANA's registry \"IPFIX Information Elements\".
NetFlow v9 uses the same numbers. The two columns after the type give the octets of the field in each
protocol; a dash means that the protocol says it by another element. This page is generated from the
table that templates and encoders are made of.

| id | name | type | IPFIX | v9 | records | meaning |
|---:|---|---|---:|---:|---|---|
";

const TEMPLATES: &str = "
Unsigned fields shorter than their type use the reduced-size encoding (RFC 7011 section 6.2). All numbers
are in network byte order.

# Templates

The fields of a template are in the order of the table above. The two columns at the end give the octets
of a data record.

| template id | records | fields in IPFIX | fields in v9 | IPFIX | v9 |
|---:|---|---|---|---:|---:|
";

fn line(page: &mut String, row: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{row}");
}

fn element_row(element: &Element) -> String {
    let octets = |protocol| element.length.of(protocol).map_or("–".to_owned(), |octets| octets.to_string());
    let within = match element.within {
        Within::All => "all",
        Within::Ipv4 => "IPv4",
        Within::Ipv6 => "IPv6",
        Within::IcmpIpv4 => kind_name(Kind::IcmpIpv4),
        Within::IcmpIpv6 => kind_name(Kind::IcmpIpv6),
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |",
        element.id,
        element.name,
        element.data_type.name(),
        octets(Protocol::Ipfix),
        octets(Protocol::V9),
        within,
        element.manual
    )
}

fn template_row(kind: Kind) -> String {
    let [ipfix, v9] = [Protocol::Ipfix, Protocol::V9].map(|protocol| Template::new(protocol, kind));
    let fields = |template: &Template| {
        let ids: Vec<_> = template.fields().iter().map(|field| field.id.to_string()).collect();
        ids.join(" ")
    };
    format!(
        "| {} | {} | {} | {} | {} | {} |",
        kind.id(),
        kind_name(kind),
        fields(&ipfix),
        fields(&v9),
        ipfix.record_length(),
        v9.record_length()
    )
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Ipv4 => "IPv4 but ICMP",
        Kind::Ipv6 => "IPv6 but ICMPv6",
        Kind::IcmpIpv4 => "ICMP in IPv4",
        Kind::IcmpIpv6 => "ICMPv6 in IPv6",
    }
}
