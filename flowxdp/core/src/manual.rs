//! Pages of the manual that follow from tables in the core.

use std::fmt::Write as _;

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
