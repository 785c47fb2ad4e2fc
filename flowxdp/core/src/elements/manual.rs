//! Pages of the manual that follow from tables in the core.

use std::fmt::Write as _;

use flowxdp_common::{field::Group, reason};

use crate::elements::options::{OPTIONS, OptionsTemplate, VARIABLE};
use crate::elements::{Choice, ELEMENTS, Element, Within};
use crate::exporting::legacy::{FIELDS, Version};
use crate::exporting::template::{Kind, RecordFormat, Template};
use crate::exporting::wire::Protocol;

/// `elements.md`: every information element that we export, and every template.
pub fn elements() -> String {
    let mut page = String::from(INTRODUCTION);
    for element in &ELEMENTS {
        line(&mut page, &element_row(element));
    }
    for (aggregates, text) in [(false, TEMPLATES), (true, AGGREGATES)] {
        page.push_str(text);
        for format in RecordFormat::ALL.into_iter().filter(|format| format.aggregates == aggregates) {
            for protocol in Protocol::ALL {
                Kind::ALL.iter().for_each(|kind| line(&mut page, &template_row(protocol, format, *kind)));
            }
        }
    }
    page.push_str(FIXED);
    for version in Version::ALL {
        line(&mut page, &version_row(version));
    }
    page.push_str(OPTIONS_DATA);
    for template in &OPTIONS {
        let cells = [Protocol::Ipfix, Protocol::V9].map(|protocol| options_fields(template, protocol));
        line(&mut page, &format!("| {} | {} | {} | {} |", template.id, template.manual, cells[0], cells[1]));
    }
    page
}

/// `books.md`: the terms of the books, and every reason for which a packet is in no record.
pub fn books() -> String {
    let mut page = String::from(BOOKS);
    let tables = [
        ("ignored", reason::IGNORED.as_slice()),
        ("ignored", reason::NOT_REPLAYED.as_slice()),
        ("lost", reason::LOST.as_slice()),
        ("lost", reason::UNDELIVERED.as_slice()),
        ("names.skipped", reason::SKIPPED.as_slice()),
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
at every question of `flowxdp status`. A metered packet counts its IP octets, an ignored packet its whole frame,
and \"seen\" counts each packet by the same rule.

- `seen`: the XDP program counts a packet here before its other counters. Its packets compare with an interface's
  `rx_packets`, and its octets with `rx_bytes` after the link header of each metered packet, 14 octets on Ethernet
  without tags, is added.
- The octets of an IP packet are those of its header. Segmentation offload and BIG TCP leave a length of 0, in
  generic mode and in captures of sending hosts. A packet of TCP over IPv4, or over IPv6 without extension
  headers, then has the length of the frame behind its link header. An IPv6 packet that begins with a jumbo
  payload option (RFC 2675) has that option's length. Such a packet may have more than 65,535 octets: all of them
  count, and its length is shown as 65,535 (minimumIpTotalLength, maximumIpTotalLength).
- `in_table` is the sum over the slots of the flow tables, and over the spill table of flows that found no slot.
- A packet without room in any table for a flow of its own is counted in an aggregate, like any other packet.
  `pressure` names the tables that fill, with the flows in each in per cent and the present idle timeout there.
- `queued` are packets in flow records that wait to be sent, `exported` packets in records that were handed to the
  kernel. With several collectors the books of each are under `collectors`, with records, and the terms at the top
  are those of the collector that is furthest behind. If each record goes to one collector only
  (`--strategy balance` and `failover`), the terms at the top are sums over all collectors.
- Under `collectors`, retired = exported + queued + lost for each; records in a spool on disk are queued.
  `perhaps_twice` names records that went out again, because a connection broke before their arrival could be
  known (an end in order is no break), or because an ICMP message refused them: a collector received at least
  `exported`, and at most `exported` and `perhaps_twice`.
  `before` are the records that were retired before a reload or a start added the collector: not owed to it, and
  counted as exported at the top, unless they were lost.
  `inherited` are the records in the spool at the agent's start. An earlier run has seen and metered their packets,
  so they stand in no term of the equation: `inherited_exported` of them went out, `inherited_lost` were given up.
- Under `interfaces`, `hook` says how the interface is metered now: `native`, `generic`, `tcx` or `clsact`
  ([interfaces](interfaces.md)).
- Under `interfaces`, `unwrapped` has the packets that were metered by the header inside a [tunnel](tunnels.md), and the
  octets of the headers outside; `forgotten_fragments` the first fragments that fell out of the table of fragments. Both
  stand beside the equation: their packets are in its terms already.
- `names`, where names are collected, has the first packets of flows: offered = inspected + waiting + skipped (by
  reason), in packets and frames' octets since the agent's start. Each of these packets is metered, and in the terms
  above, whether it was inspected or not: [names](names.md).
- Under `interfaces`, `tap` marks an interface whose packets are dropped behind the meter, and `tap_in_use` says a use
  that the machine makes of it meanwhile: [taps](tap.md). A dropped packet is in the terms as any other.

While packets arrive, the terms cannot be read at one instant. A snapshot reads the counters of `seen` twice. The
first reading comes before all other terms, and a grace period follows, so that every packet counted in it has
reached its term. The second reading comes after all other terms and another grace period. The sum of the terms lies
between the two readings, and `seen` is that sum: the value at an instant in between. Both readings are in `bracket`;
they differ by the packets of the time between them, some tens of milliseconds and the scan of the table. Without
traffic they are equal. If the sum lay outside, `seen` would be the nearer reading, and the equation would visibly
fail.

| term | reason | meaning |
|---|---|---|
";

const INTRODUCTION: &str = "\
# Information elements

The fields of a flow record, by the numbers and names of IANA's registry \"IPFIX Information Elements\".
NetFlow v9 uses the same numbers. A number behind another one and a slash is an enterprise's (RFC 7011 section
3.2), with the number that v9 has for it. The two columns after the type give the octets of the field in each
protocol; a dash means that the protocol says it by another element. This page is generated from the
table that templates and encoders are made of.

| id | name | type | IPFIX | v9 | records | meaning |
|---:|---|---|---:|---:|---|---|
";

const TEMPLATES: &str = "
Unsigned fields shorter than their type use the reduced-size encoding (RFC 7011 section 6.2). All numbers
are in network byte order. A text of variable length has its length in front of it (RFC 7011 section 7), and stands
behind the other fields; in NetFlow v9 it is filled up with zeros, or cut. A record has one text at most, of 255
octets at most, and a template of its own for it: no value is empty, as decoders exist that refuse a length of 0.

# Templates

The fields of a template are in the order of the table above; the last column gives the octets of a data
record. Over UDP the templates of usual records go out at the start of a session, in the first message of
data, and then every `--template-interval` and `--template-messages`; over TCP and TLS once a session. All
others go out in the message that first needs them: in IPFIX the ones for records with one of the upper four
TCP flags (6 has two octets), in NetFlow v9 those with times of day (152, 153) for records that the 32 bits of
sysUptime cannot place. The ids in
the tables are those of the default fields; other fields (`--collect`, `fields=`) have ids from 512 on, which
follow from the fields. In one protocol an id stands for one layout, in this release and in earlier ones.

| template id | protocol | records | fields | octets |
|---:|---|---|---|---:|
";

const AGGREGATES: &str = "
# Aggregates

When the flow tables are full of other flows, packets are counted in aggregates (RFC 7015), which have
templates of their own, sent with the first aggregate. An aggregate has all flows to one destination
address and port over one protocol that came in on one interface; where there is no room for more of
those, all of one protocol and interface (destination and port 0); and where there is none for that, all of
an IP version (protocol 255, interface 0). The source is 0.0.0.0/0 or ::/0, flowEndReason is 5. NetFlow v7,
v5 and v1 send it as a record of source 0.0.0.0, port 0.

| template id | protocol | aggregates | fields | octets |
|---:|---|---|---|---:|
";

const FIXED: &str = "
# Fixed layouts

NetFlow v7, v5 and v1 have no templates. They say IPv4 alone: a record of IPv6 is counted as lost
(not_representable) for such a collector. A counter beyond 32 bits is split over several records. ICMP has
its type × 256 + code in the destination port.

| protocol | fields | octets of the header | of a record | records a message at most |
|---|---|---:|---:|---:|
";

const OPTIONS_DATA: &str = "
# Options data

The exporter announces data about itself at the start of a session, then every `--options-interval`, when an
interface changes, and at the end. The sampler and the interfaces are in the observation domain (source id)
of the flows, where collectors look a sampler up; statistics, reliability and the exporter are in domain 0.
`--options` chooses among sampler, interfaces, statistics (with the exporter) and reliability; an empty list sends none.
Flow keys are in the domain of the flows, once a session over TCP and TLS, and over UDP behind the templates
only with `--flow-keys`. Each options template has a set of its own.

nfcapd does not count options data in an IPFIX domain, and reports as many sequence failures. With
`preset=nfdump` in a collector's URL it gets the sampler in domain 0, no flow keys, and no interfaces, applications
and types, as it cannot read names of variable length. In NetFlow v9 the preset changes nothing.

Scopes stand in brackets, and the octets of a field behind its name. A time of 0 stands for never.

| template id | records | IPFIX | v9 |
|---:|---|---|---|
";

fn line(page: &mut String, row: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{row}");
}

fn element_row(element: &Element) -> String {
    let octets = |protocol| match (element.length(protocol, false), element.length(protocol, true)) {
        (Some(usual), Some(wide)) if usual != wide => format!("{usual} or {wide}"),
        (Some(usual), _) if usual == usize::from(VARIABLE) => "variable".to_owned(),
        (usual, _) => usual.map_or("–".to_owned(), |octets| octets.to_string()),
    };
    let within = match element.within {
        Within::All => "all",
        Within::Ipv4 => "IPv4",
        Within::Ipv6 => "IPv6",
        Within::IcmpIpv4 => kind_name(Kind::IcmpIpv4),
        Within::IcmpIpv6 => kind_name(Kind::IcmpIpv6),
    };
    let group = match element.group {
        Group::Base => String::new(),
        group => format!("Group `{}`. ", group.name()),
    };
    let id = match element.enterprise {
        0 => element.id.to_string(),
        enterprise => format!("{enterprise}/{}, v9 {}", element.id, element.number(Protocol::V9).0),
    };
    format!(
        "| {id} | {} | {} | {} | {} | {} | {group}{} |",
        element.name,
        element.data_type.name(),
        octets(Protocol::Ipfix),
        octets(Protocol::V9),
        within,
        element.manual
    )
}

fn template_row(protocol: Protocol, format: RecordFormat, kind: Kind) -> String {
    let template = Template::new(protocol, format, kind, &Choice::default());
    let fields: Vec<_> = template.fields().iter().map(|field| field.id.to_string()).collect();
    let (name, length) =
        (crate::exporting::protocol::Protocol::from(protocol).name(), template.record_length());
    format!("| {} | {name} | {} | {} | {length} |", template.id(), kind_name(kind), fields.join(" "))
}

/// A legacy version's fields.
fn version_row(version: Version) -> String {
    let fields = FIELDS.iter().filter(|field| field.place(version).is_some()).map(|field| field.name);
    let fields: Vec<_> = fields.collect();
    let (header, record, most) = (version.header(), version.record(), version.most_records());
    format!("| {} | {} | {header} | {record} | {most} |", version.protocol(), fields.join(", "))
}

/// Numbers and names of the fields, scopes in brackets.
fn options_fields(template: &OptionsTemplate, protocol: Protocol) -> String {
    let fields = template.fields(protocol).map(|(field, length)| {
        let length = if length == VARIABLE { "variable".to_owned() } else { length.to_string() };
        let text = format!("{} {}: {length}", field.id, field.name);
        if field.is_scope(protocol) { format!("[{text}]") } else { text }
    });
    let fields: Vec<_> = fields.collect();
    if fields.is_empty() { "–".to_owned() } else { fields.join(", ") }
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Ipv4 => "IPv4 but ICMP",
        Kind::Ipv6 => "IPv6 but ICMPv6",
        Kind::IcmpIpv4 => "ICMP in IPv4",
        Kind::IcmpIpv6 => "ICMPv6 in IPv6",
    }
}
