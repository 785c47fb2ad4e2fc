//! FlowXDP's own collector, `flowxdp collect --json`, fed with the datagrams of a recording.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::{Verdict, listed};
use crate::agent;
use crate::flows::{Key, Record, Sums, Tuple};
use crate::pcap::Datagram;
use crate::udp;

const LIMIT: Duration = Duration::from_secs(30);

/// The lines that the collector prints for these datagrams.
pub fn judge(datagrams: &[Datagram]) -> Result<Verdict> {
    let (lines, findings) = lines(datagrams)?;
    let records = lines.iter().map(|line| record(line).with_context(|| line.to_string()));
    Ok(Verdict { records: records.filter_map(Result::transpose).collect::<Result<_>>()?, findings })
}

/// The flow records that it prints for these datagrams, each with its key; any complaint of its is an error.
pub fn flows(datagrams: &[Datagram]) -> Result<Vec<(Key, Value)>> {
    let (lines, findings) = lines(datagrams)?;
    ensure!(findings.is_empty(), "{}", listed(&findings));
    let keyed = lines.into_iter().map(|line| Ok(record(&line)?.map(|record| (record.key, line))));
    keyed.filter_map(Result::transpose).collect()
}

/// The flow records among lines that it printed, each with its key.
pub fn keyed(stdout: &str) -> Result<Vec<(Key, Value)>> {
    let lines = stdout.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned()));
    let keyed = lines.map(|line: Result<Value>| {
        let line = line?;
        Ok(record(&line)?.map(|record| (record.key, line)))
    });
    keyed.filter_map(Result::transpose).collect()
}

/// The options records that it prints for these datagrams; any complaint of its is an error.
pub fn options(datagrams: &[Datagram]) -> Result<Vec<Value>> {
    let (mut lines, findings) = lines(datagrams)?;
    ensure!(findings.is_empty(), "{}", listed(&findings));
    lines.retain(is_options);
    Ok(lines)
}

fn is_options(line: &Value) -> bool {
    line.get("optionsTemplate").is_some()
}

/// All lines that it prints, and its complaints.
fn lines(datagrams: &[Datagram]) -> Result<(Vec<Value>, Vec<String>)> {
    let port = udp::free_port()?;
    let mut running = agent::program()?
        .args(["collect", "--listen", &format!("udp://127.0.0.1:{port}"), "--json"])
        .start()?;
    udp::until_bound(&mut running, port)?;
    udp::resend(datagrams, port, || udp::until_read(&mut running, port).map(|_| ()))?;
    let drops = udp::until_read(&mut running, port)?;
    let ended = running.stop(Signal::TERM, LIMIT)?.success()?;
    let lines = ended.stdout.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned()));
    let (lines, mut findings) = (lines.collect::<Result<_>>()?, Vec::new());
    totals(&ended.stderr, &mut findings)?;
    if drops != 0 {
        findings.push(format!("the collector's socket dropped {drops} datagrams"));
    }
    Ok((lines, findings))
}

/// Adds each row of its totals that tells of something missing or malformed.
fn totals(stderr: &str, findings: &mut Vec<String>) -> Result<()> {
    let mut lines = stderr.lines().skip_while(|line| !line.starts_with("exporter"));
    let head = lines.next().context("no totals at the end")?;
    ensure!(head.ends_with("gaps  missing  no template  malformed"), "other totals than expected: {head}");
    for row in lines {
        if row.split_whitespace().rev().take(4).any(|count| count != "0") {
            findings.push(format!("flowxdp collect: {head}\n{row}"));
        }
    }
    Ok(())
}

/// A flow; none for a record of options.
fn record(json: &Value) -> Result<Option<Record>> {
    if is_options(json) {
        return Ok(None);
    }
    let number = |name: &str| json.get(name).and_then(Value::as_u64);
    let small =
        |name: &str| number(name).map(|value| value & 0xff).and_then(|value| u8::try_from(value).ok());
    let address = |v4: &str, v6: &str| -> Result<IpAddr> {
        let text = json.get(v4).or_else(|| json.get(v6)).and_then(Value::as_str);
        Ok(text.with_context(|| format!("neither {v4} nor {v6}"))?.parse()?)
    };
    let port = |name: &str| anyhow::Ok(u16::try_from(number(name).unwrap_or(0))?);
    let tuple = Tuple {
        src: address("sourceIPv4Address", "sourceIPv6Address")?,
        dst: address("destinationIPv4Address", "destinationIPv6Address")?,
        proto: small("protocolIdentifier").context("no protocolIdentifier")?,
        sport: port("sourceTransportPort")?,
        dport: port("destinationTransportPort")?,
    };
    let sums = Sums {
        packets: number("packetDeltaCount").context("no packetDeltaCount")?,
        octets: number("octetDeltaCount").context("no octetDeltaCount")?,
        flags: small("tcpControlBits"),
        first_ms: number("flowStartMilliseconds"),
        last_ms: number("flowEndMilliseconds"),
        min_ttl: small("minimumTTL"),
        max_ttl: small("maximumTTL"),
    };
    let vlan = number("vlanId").map(u16::try_from).transpose()?;
    Ok(Some(Record {
        key: Key { tuple, vlan, tos: small("ipClassOfService") },
        sums,
        end_reason: small("flowEndReason"),
        ingress: number("ingressInterface").map(u32::try_from).transpose()?,
        exported_s: None,
    }))
}
