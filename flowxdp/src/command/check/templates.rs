//! The templates that each exporter announces, and the records that a message holds.

use std::sync::Arc;

use flowxdp_core::{
    elements::ELEMENTS,
    fixed::Version,
    session::{Protocol, Session, SessionConfig},
    template::{Form, Kind, Template},
    wire,
};

use crate::{
    collector_url::{CollectorUrl, Host, Scheme},
    config::{
        Config,
        contradictions::Places,
        fault::{Fault, Place},
    },
    exporter::Settings,
    transport::readiness::Readiness,
};

/// Octets of UDP payload where no path MTU is known: of an Ethernet frame, over IPv6.
const OVER_IPV6: usize = 1452;

/// Octets of a set's header.
const SET: usize = 4;

/// The lines of every exporter, and the faults of those whose messages are too small or too large.
pub(super) fn all(config: &Config, places: &Places) -> (Vec<String>, Vec<Fault>) {
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    let readiness = match Readiness::new() {
        Ok(readiness) => Arc::new(readiness),
        Err(error) => return (lines, vec![Fault::new(Place::Nowhere, error.to_string())]),
    };
    let settings = Settings::new(config, 0, &readiness, None);
    for (at, url) in config.exporter.iter().enumerate() {
        let mut session = settings.session(url);
        if url.mtu().is_none() && url.scheme() == Scheme::Udp && matches!(url.host(), Host::V6 { .. }) {
            session.max_message = session.max_message.min(OVER_IPV6);
        }
        lines.extend(exporter(url, &session));
        if let Err(error) = Session::new(session) {
            faults.push(Fault::new(places.exporter(at), format!("collector {url}: {error}")));
        }
    }
    (lines, faults)
}

fn exporter(url: &CollectorUrl, session: &SessionConfig) -> Vec<String> {
    let (protocol, most) = (session.protocol, session.max_message);
    let mut lines =
        vec![String::new(), format!("Exporter {url}: {protocol}, messages of at most {most} octets")];
    let templated = match protocol {
        Protocol::Ipfix => Some(wire::Protocol::Ipfix),
        Protocol::V9 => Some(wire::Protocol::V9),
        Protocol::V7 | Protocol::V5 | Protocol::V1 => None,
    };
    let legacy = Version::ALL.into_iter().find(|version| version.protocol() == protocol);
    match (templated, legacy) {
        (None, Some(version)) => {
            let (header, record) = (version.header(), version.record());
            let records = (most.saturating_sub(header) / record).min(version.most_records());
            lines.push(format!("- no templates: a header of {header} octets, {}", sizes(record, records)));
        }
        (Some(protocol), _) => {
            for form in Form::ALL {
                Kind::ALL.iter().for_each(|kind| lines.extend(template(protocol, most, form, *kind)));
            }
        }
        (None, None) => {}
    }
    lines
}

/// A template in two lines.
fn template(protocol: wire::Protocol, most: usize, form: Form, kind: Kind) -> [String; 2] {
    let header = if protocol == wire::Protocol::Ipfix { 16 } else { 20 };
    let template = Template::new(protocol, form, kind);
    let record = template.record_length();
    let records = most.saturating_sub(header + SET) / record.max(1);
    let name =
        |id| ELEMENTS.iter().find(|element| element.id == id).map_or("unknown", |element| element.name);
    let fields: Vec<String> =
        template.fields().iter().map(|field| format!("{} {}", name(field.id), field.length)).collect();
    [
        format!("- template {}, {}: {}", template.id(), records_of(form, kind), sizes(record, records)),
        format!("  {}", fields.join(", ")),
    ]
}

fn sizes(record: usize, records: usize) -> String {
    format!("{record} octets a record, {records} records a message")
}

/// The records of a template in words.
fn records_of(form: Form, kind: Kind) -> String {
    let kind = match kind {
        Kind::Ipv4 => "IPv4",
        Kind::Ipv6 => "IPv6",
        Kind::IcmpIpv4 => "ICMP",
        Kind::IcmpIpv6 => "ICMPv6",
    };
    let aggregates = if form.aggregates { " aggregates" } else { "" };
    let wide = if form.wide { " with wide values" } else { "" };
    format!("{kind}{aggregates}{wide}")
}
