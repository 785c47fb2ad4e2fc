//! Names that packets say, by flow: as tshark reads them, and as `flowxdp explain --names` does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::agent;
use crate::process::Program;

const LIMIT: Duration = Duration::from_secs(120);

/// The fields of tshark, in the order of a line.
const FIELDS: [&str; 23] = [
    "frame.number",
    "frame.protocols",
    "ip.src",
    "ipv6.src",
    "ip.dst",
    "ipv6.dst",
    "udp.srcport",
    "tcp.srcport",
    "udp.dstport",
    "tcp.dstport",
    "tls.handshake.type",
    "tls.handshake.extensions_server_name",
    "tls.handshake.extensions_alpn_str",
    "http.request.version",
    "http.request.uri",
    "http.host",
    "dns.flags.opcode",
    "dns.flags.response",
    "dns.qry.name",
    "dns.count.answers",
    "dns.resp.type",
    "dns.a",
    "dns.aaaa",
];

/// Source, destination and their ports.
pub type Flow = (IpAddr, IpAddr, u16, u16);

/// A message with names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// A ClientHello over TCP, or over QUIC: server name and ALPN.
    Hello(&'static str, Option<String>, Vec<String>),
    /// An HTTP/1 request: its host.
    Request(Option<String>),
    /// A DNS message: response, question, and addresses of the answer section.
    Dns(bool, String, BTreeSet<IpAddr>),
}

/// The messages of each flow.
pub type Names = BTreeMap<Flow, BTreeSet<Named>>;

/// The names of a capture, and the numbers of the packets that are metered, as the agent's `explain` reads them.
///
/// # Errors
/// The program fails, or a line is no JSON object with its fields.
pub fn explained(capture: &Path) -> Result<(Names, BTreeSet<u64>)> {
    let program = agent::program()?.args(["explain", "--names", "--all", "--json"]).arg(capture);
    let lines = program.run(LIMIT)?.success()?.stdout;
    let (mut names, mut metered) = (Names::new(), BTreeSet::new());
    for line in lines.lines() {
        let packet: Value = serde_json::from_str(line)?;
        if packet["verdict"] == "metered" {
            metered.insert(packet["packet"].as_u64().context("no number")?);
        }
        if let Some(named) = named(&packet["names"]).with_context(|| line.to_owned())? {
            let address = |key: &str| anyhow::Ok(packet[key].as_str().context("no address")?.parse()?);
            let port = |key: &str| anyhow::Ok(u16::try_from(packet[key].as_u64().context("no port")?)?);
            let (source, destination) = (address("source")?, address("destination")?);
            let flow = (source, destination, port("source_port")?, port("destination_port")?);
            names.entry(flow).or_default().insert(named);
        }
    }
    Ok((names, metered))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(ToOwned::to_owned)
}

fn named(names: &Value) -> Result<Option<Named>> {
    let list = |key: &str| names[key].as_array().cloned().unwrap_or_default();
    Ok(Some(match names["protocol"].as_str() {
        Some("http") => Named::Request(text(&names["host"])),
        Some("dns") => {
            let addresses = list("answers").into_iter();
            let addresses = addresses.map(|it| Ok(it["address"].as_str().context("no address")?.parse()?));
            let is_response = names["response"].as_bool().context("no way")?;
            let question = text(&names["question"]).context("no question")?;
            Named::Dns(is_response, question, addresses.collect::<Result<_>>()?)
        }
        Some(protocol) => {
            let protocol = if protocol == "quic" { "quic" } else { "tls" };
            let alpn = list("alpn").iter().filter_map(text).collect();
            Named::Hello(protocol, text(&names["server_name"]), alpn)
        }
        None => return Ok(None),
    }))
}

/// The names of a capture as tshark reads them, in packets that are metered and have one IP header.
///
/// # Errors
/// tshark is not there, or fails.
pub fn dissected(capture: &Path, metered: &BTreeSet<u64>) -> Result<Names> {
    let mut tshark = Program::find("tshark")?.args(["-n", "-r"]).arg(capture);
    tshark = tshark.args(["-T", "fields", "-E", "separator=/t", "-E", "aggregator=|"]);
    for field in FIELDS {
        tshark = tshark.args(["-e", field]);
    }
    let lines = tshark.run(LIMIT)?.success()?.stdout;
    let mut names = Names::new();
    for line in lines.lines() {
        let values: Vec<Vec<&str>> = line.split('\t').map(|it| it.split('|').collect()).collect();
        ensure!(values.len() == FIELDS.len(), "a line of tshark: {line}");
        let fields = Fields(FIELDS.into_iter().zip(values).collect());
        let is_metered = metered.contains(&fields.one("frame.number").parse()?);
        if is_metered && let Some(flow) = fields.flow() {
            names.entry(flow).or_default().extend(fields.named()?);
        }
    }
    names.retain(|_, named| !named.is_empty());
    Ok(names)
}

/// The values of a line, by field; an empty text stands for none.
struct Fields<'a>(BTreeMap<&'static str, Vec<&'a str>>);

impl Fields<'_> {
    fn all(&self, field: &str) -> impl Iterator<Item = &str> {
        self.0.get(field).into_iter().flatten().copied().filter(|value| !value.is_empty())
    }

    fn one(&self, field: &str) -> &str {
        self.all(field).next().unwrap_or_default()
    }

    /// The flow of a packet with one IP header; a packet in a tunnel or in an ICMP error is not the flow's own.
    fn flow(&self) -> Option<Flow> {
        let headers = self.one("frame.protocols").split(':').filter(|it| matches!(*it, "ip" | "ipv6"));
        if headers.count() > 1 {
            return None;
        }
        let either = |a: &str, b: &str| self.all(a).chain(self.all(b)).next().map(ToOwned::to_owned);
        let address = |a: &str, b: &str| either(a, b)?.parse::<IpAddr>().ok();
        let port = |a: &str, b: &str| either(a, b)?.parse::<u16>().ok();
        let (source, destination) = (address("ip.src", "ipv6.src")?, address("ip.dst", "ipv6.dst")?);
        Some((source, destination, port("udp.srcport", "tcp.srcport")?, port("udp.dstport", "tcp.dstport")?))
    }

    fn named(&self) -> Result<Vec<Named>> {
        let mut named = Vec::new();
        let some = |field: &str| self.all(field).next().map(ToOwned::to_owned);
        if self.all("tls.handshake.type").any(|kind| kind == "1") {
            let is_quic = self.one("frame.protocols").split(':').any(|it| it == "quic");
            let alpn = self.all("tls.handshake.extensions_alpn_str").map(ToOwned::to_owned).collect();
            let name = some("tls.handshake.extensions_server_name");
            named.push(Named::Hello(if is_quic { "quic" } else { "tls" }, name, alpn));
        }
        // tshark also takes lines without a target or a version for requests; such are no HTTP/1 (RFC 9112 section 3).
        let is_request = matches!(self.one("http.request.version"), "HTTP/1.0" | "HTTP/1.1");
        if is_request && some("http.request.uri").is_some() && some("tcp.srcport").is_some() {
            named.push(Named::Request(some("http.host")));
        }
        let is_dns = self.flow().is_some_and(|(.., from, to)| from == 53 || to == 53);
        if is_dns && self.one("dns.flags.opcode") == "0" && some("dns.qry.name").is_some() {
            named.push(self.dns()?);
        }
        Ok(named)
    }

    /// The answer section's addresses: of all sections' records tshark gives types and addresses in their order.
    fn dns(&self) -> Result<Named> {
        let answers: usize = self.one("dns.count.answers").parse()?;
        let types: Vec<&str> = self.all("dns.resp.type").take(answers).collect();
        let count = |kind: &str| types.iter().filter(|it| **it == kind).count();
        let addresses = self.all("dns.a").take(count("1")).chain(self.all("dns.aaaa").take(count("28")));
        let addresses = addresses.map(str::parse).collect::<Result<_, _>>()?;
        let is_response = matches!(self.one("dns.flags.response"), "1" | "True");
        let question = self.one("dns.qry.name").replace("<Root>", ".");
        Ok(Named::Dns(is_response, question, addresses))
    }
}
