//! The templates that each exporter announces, and the records that a message holds.

use std::sync::Arc;

use anyhow::Context;
use flowxdp_core::{
    elements::options::VARIABLE,
    exporting::legacy::Version,
    exporting::session::{Session, SessionConfig, options_templates},
    exporting::template::{Kind, RecordFormat, Template},
    exporting::wire,
    record::tail::Text,
};

use crate::{
    collector_url::{CollectorUrl, Host},
    config::{Config, contradictions::Places, fault::Fault},
    exporting::exporter::Settings,
    transport::readiness::Readiness,
};

/// Octets of UDP payload where no path MTU is known: of an Ethernet frame, over IPv6.
const OVER_IPV6: usize = 1452;

/// Octets of a set's header.
const SET: usize = 4;

/// The faults of exporters whose messages are too small or too large.
pub(super) fn faults(config: &Config, places: &Places) -> anyhow::Result<Vec<Fault>> {
    let sessions = sessions(config)?.into_iter().enumerate();
    let refused = sessions.filter_map(|(at, (url, session))| {
        let error = Session::new(session).err()?;
        Some(Fault::new(places.parameter(at, "mtu"), format!("collector {url}: {error}")))
    });
    Ok(refused.collect())
}

/// The lines of every exporter.
pub(super) fn lines(config: &Config) -> anyhow::Result<Vec<String>> {
    Ok(sessions(config)?.iter().flat_map(|(url, session)| exporter(url, session)).collect())
}

/// The sessions that the agent would begin.
fn sessions(config: &Config) -> anyhow::Result<Vec<(&CollectorUrl, SessionConfig)>> {
    let readiness = Arc::new(Readiness::new().context("cannot wait for sockets")?);
    let settings = Settings::new(config, 0, &readiness, None);
    let sessions = config.exporter.iter().map(|url| {
        let mut session = settings.session(url);
        if url.mtu().is_none() && !url.scheme().is_reliable() && matches!(url.host(), Host::V6 { .. }) {
            session.max_message = session.max_message.min(OVER_IPV6);
        }
        (url, session)
    });
    Ok(sessions.collect())
}

fn exporter(url: &CollectorUrl, session: &SessionConfig) -> Vec<String> {
    let (protocol, most) = (session.protocol, session.max_message);
    let mut lines =
        vec![String::new(), format!("Exporter {url}: {protocol}, messages of at most {most} octets")];
    let legacy = Version::ALL.into_iter().find(|version| version.protocol() == protocol);
    match (wire::Protocol::of(protocol), legacy) {
        (None, Some(version)) => {
            let (header, record) = (version.header(), version.record());
            let records = (most.saturating_sub(header) / record).min(version.most_records());
            lines.push(format!("- no templates: a header of {header} octets, {}", sizes(record, records)));
        }
        (Some(protocol), _) => {
            for format in RecordFormat::all(&session.choice) {
                Kind::ALL.iter().for_each(|kind| lines.extend(template(protocol, session, format, *kind)));
            }
            lines.extend(options(protocol, session));
        }
        (None, None) => {}
    }
    lines
}

/// A template in two lines.
fn template(
    protocol: wire::Protocol,
    session: &SessionConfig,
    format: RecordFormat,
    kind: Kind,
) -> [String; 2] {
    let header = if protocol == wire::Protocol::Ipfix { 16 } else { 20 };
    let template = Template::new(protocol, format, kind, &session.choice);
    let record = template.record_length();
    let records = session.max_message.saturating_sub(header + SET) / record.max(1);
    let fields: Vec<String> =
        template.fields().iter().map(|field| format!("{} {}", field.name, octets(field.length))).collect();
    let sizes = if template.fields().iter().any(|field| field.length == VARIABLE) {
        format!("{record} octets and the text a record, at most {records} records a message")
    } else {
        sizes(record, records)
    };
    [
        format!("- template {}, {}: {sizes}", template.id(), records_of(format, kind)),
        format!("  {}", fields.join(", ")),
    ]
}

/// The options templates, each in two lines.
fn options(protocol: wire::Protocol, session: &SessionConfig) -> Vec<String> {
    let domain = if protocol == wire::Protocol::Ipfix { "observation domain" } else { "source id" };
    let lines = options_templates(session).into_iter().flat_map(|(number, template)| {
        let fields = template.fields(protocol).map(|(field, length)| {
            let scope = if field.is_scope(protocol) { "scope " } else { "" };
            format!("{scope}{} {}", field.name, octets(length))
        });
        let lengths = template.fields(protocol).map(|(_, length)| usize::from(length));
        let texts = lengths.clone().filter(|length| *length == usize::from(VARIABLE)).count();
        let record: usize = lengths.filter(|length| *length < usize::from(VARIABLE)).sum();
        let total = match texts {
            0 => format!("{record} octets a record"),
            1 => format!("{record} octets and a text a record"),
            texts => format!("{record} octets and {texts} texts a record"),
        };
        [
            format!(
                "- options template {}, {}, {domain} {number}: {total}",
                template.id,
                template.kind.name()
            ),
            format!("  {}", fields.collect::<Vec<_>>().join(", ")),
        ]
    });
    lines.collect()
}

/// The octets of a field in words.
fn octets(length: u16) -> String {
    if length == VARIABLE { "variable".to_owned() } else { length.to_string() }
}

fn sizes(record: usize, records: usize) -> String {
    format!("{record} octets a record, {records} records a message")
}

/// The records of a template in words.
fn records_of(format: RecordFormat, kind: Kind) -> String {
    let kind = match kind {
        Kind::Ipv4 => "IPv4",
        Kind::Ipv6 => "IPv6",
        Kind::IcmpIpv4 => "ICMP",
        Kind::IcmpIpv6 => "ICMPv6",
    };
    let aggregates = if format.aggregates { " aggregates" } else { "" };
    let wide = if format.wide { " with wide values" } else { "" };
    let text = match format.text {
        None => "",
        Some(Text::Server) => " with a server name",
        Some(Text::Host) => " with a host",
        Some(Text::Dns) => " with a DNS name",
    };
    format!("{kind}{aggregates}{wide}{text}")
}
