//! tshark: every message dissected, with the elements that nfdump does not print, and its own marks.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::BufReader;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::Verdict;
use super::pdml::{self, Fields, Frame, Message};
use crate::flows::{Key, Record, Sums, Tuple};
use crate::process::Program;

const LIMIT: Duration = Duration::from_secs(300);

/// Judges the recording of an export to one UDP port.
pub fn judge(recording: &Path, port: u16) -> Result<Verdict> {
    judge_ports(recording, &[port])
}

/// Judges a recording of exports to several UDP ports, as if they were one.
pub fn judge_ports(recording: &Path, ports: &[u16]) -> Result<Verdict> {
    verdict(&dissect(recording, &of_ports(ports))?)
}

fn of_ports(ports: &[u16]) -> Vec<String> {
    let mut options = Vec::new();
    for port in ports {
        options.extend(["-d".to_owned(), format!("udp.port=={port},cflow")]);
    }
    let only = ports.iter().map(|port| format!("udp.dstport=={port}")).collect::<Vec<_>>().join("||");
    options.extend(["-Y".to_owned(), only]);
    options
}

/// Judges an IPFIX file: the octets of a TCP or TLS session.
pub fn judge_file(file: &Path) -> Result<Verdict> {
    verdict(&dissect::<&str>(file, &[])?)
}

/// How long after the time in its header each message to these UDP ports was on the wire, in seconds.
/// NetFlow v5 and v9 only.
pub fn ages(recording: &Path, ports: &[u16]) -> Result<Vec<f64>> {
    let mut tshark = Program::find("tshark")?.args(["-n", "-r"]).arg(recording);
    for port in ports {
        tshark = tshark.args(["-d", &format!("udp.port=={port},cflow")]);
    }
    tshark = tshark.args(["-Y", "cflow", "-T", "fields", "-e", "frame.time_epoch", "-e", "cflow.unix_secs"]);
    let lines = tshark.run(LIMIT)?.success()?.stdout;
    let age = |line: &str| -> Result<f64> {
        let (wire, header) = line.split_once('\t').with_context(|| line.to_owned())?;
        Ok(wire.parse::<f64>()? - header.parse::<f64>()?)
    };
    lines.lines().map(age).collect()
}

/// A record of options data.
#[derive(Debug)]
pub struct Options {
    /// Version of its message.
    pub version: u64,
    /// Observation domain or source id of its message.
    pub domain: u64,
    /// Octets by tshark's names without `cflow.`; of several with one name the first.
    fields: Fields,
}

impl Options {
    /// A field as a number.
    pub fn number(&self, name: &str) -> Result<u64> {
        number(self.fields.get(name).with_context(|| format!("no {name}: {self:?}"))?)
    }

    /// A field as text, without the zeros that fill one of fixed length.
    pub fn text(&self, name: &str) -> Result<String> {
        let octets = self.fields.get(name).with_context(|| format!("no {name}: {self:?}"))?;
        Ok(std::str::from_utf8(octets)?.trim_end_matches('\0').to_owned())
    }

    /// Whether it has a field.
    pub fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }
}

/// All options records to these UDP ports, in their order. Anything that tshark complains of is an error.
pub fn options(recording: &Path, ports: &[u16]) -> Result<Vec<Options>> {
    judge_ports(recording, ports)?.clean()?;
    let mut all = Vec::new();
    for message in dissect(recording, &of_ports(ports))?.iter().flat_map(|frame| &frame.messages) {
        let of = |name: &str| message.header.get(name).map(|octets| number(octets)).transpose();
        let version = of("version")?.context("no version")?;
        let domain = of("od_id")?.or(of("source_id")?).context("no domain")?;
        let options = message.records.iter().filter(|fields| !fields.contains_key("packets"));
        all.extend(options.map(|fields| Options { version, domain, fields: fields.clone() }));
    }
    Ok(all)
}

/// The flow records to a UDP port, each with the texts of ntop's elements by tshark's names without
/// `cflow.pie.ntop.`, without the zeros that fill one of fixed length. Anything that tshark complains of is an error.
pub fn named(recording: &Path, port: u16) -> Result<Vec<(Record, BTreeMap<String, String>)>> {
    let frames = dissect(recording, &of_ports(&[port]))?;
    verdict(&frames)?.clean()?;
    let mut named = Vec::new();
    for message in frames.iter().flat_map(|frame| &frame.messages) {
        for fields in &message.records {
            let Some((record, _)) = record(fields, message)? else { continue };
            let texts = fields.iter().filter_map(|(name, octets)| {
                let name = name.strip_prefix("pie.ntop.")?.to_owned();
                Some((name, String::from_utf8_lossy(octets).trim_end_matches('\0').to_owned()))
            });
            named.push((record, texts.collect()));
        }
    }
    Ok(named)
}

/// Fails unless tshark's experts have nothing to say of an IPFIX file.
pub fn nothing_found(file: &Path) -> Result<()> {
    let said = Program::find("tshark")?.args(["-q", "-n", "-r"]).arg(file).args(["-z", "expert"]);
    let said = said.run(LIMIT)?.success()?.stdout;
    ensure!(said.trim().is_empty(), "tshark: {said}");
    Ok(())
}

/// The octets of a TLS connection to a port, decrypted by the secrets that one of the two wrote down.
pub fn decrypted(recording: &Path, keys: &Path, port: u16) -> Result<Vec<u8>> {
    let tshark = Program::find("tshark")?
        .args(["-q", "-n", "-r"])
        .arg(recording)
        .args(["-o", &format!("tls.keylog_file:{}", keys.display())])
        .args(["-d", &format!("tcp.port=={port},tls"), "-z", "follow,tls,raw,0"]);
    let shown = tshark.run(LIMIT)?.success()?.stdout;
    let is_data = |line: &&str| !line.is_empty() && line.bytes().all(|octet| octet.is_ascii_hexdigit());
    let lines = shown.lines().map(str::trim).filter(is_data).map(pdml::octets);
    Ok(lines.collect::<Result<Vec<_>>>()?.concat())
}

/// Every frame of a file as tshark reads it; `options` name the protocol of each port.
fn dissect<S: AsRef<OsStr>>(file: &Path, options: &[S]) -> Result<Vec<Frame>> {
    let mut tshark =
        Program::find("tshark")?.args(["-n", "-r"]).arg(file).args(options).args(["-T", "pdml"]).start()?;
    let status = tshark.ended(LIMIT)?;
    ensure!(status.success(), "tshark ended with {status}: {}", tshark.stderr());
    let document = BufReader::new(File::open(tshark.stdout_file())?);
    let frames = pdml::read(document).with_context(|| format!("tshark: {}", tshark.stderr()))?;
    ensure!(!frames.is_empty(), "tshark sees no message");
    Ok(frames)
}

fn verdict(frames: &[Frame]) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    for frame in frames {
        let number = frame.number;
        verdict
            .findings
            .extend(frame.findings.iter().map(|finding| format!("tshark, frame {number}: {finding}")));
        if frame.messages.is_empty() {
            verdict.findings.push(format!("tshark, frame {number}: not an export message"));
        }
        for message in &frame.messages {
            for fields in &message.records {
                let read =
                    record(fields, message).with_context(|| format!("frame {number}: {fields:02x?}"))?;
                verdict.records.extend(read.map(|(record, finding)| {
                    verdict.findings.extend(finding.map(|text| format!("frame {number}: {text}")));
                    record
                }));
            }
        }
    }
    Ok(verdict)
}

/// A flow record and its oddities; none for options data.
fn record(fields: &Fields, message: &Message) -> Result<Option<(Record, Option<String>)>> {
    let address =
        |v4: &str, v6: &str| fields.get(v4).or_else(|| fields.get(v6)).map(|octets| ip(octets)).transpose();
    let (Some(src), Some(dst)) = (address("srcaddr", "srcaddrv6")?, address("dstaddr", "dstaddrv6")?) else {
        return Ok(None);
    };
    let get = |name: &str| fields.get(name).map(|octets| number(octets)).transpose();
    let small = |name: &str| {
        get(name).map(|value| value.map(|value| value & 0xff).and_then(|v| u8::try_from(v).ok()))
    };
    let port = |name: &str| anyhow::Ok(u16::try_from(get(name)?.unwrap_or(0))?);
    let tuple = Tuple {
        src,
        dst,
        proto: small("protocol")?.context("no protocol")?,
        sport: port("srcport")?,
        dport: port("dstport")?,
    };
    let vlan = get("vlanid")?.map(u16::try_from).transpose()?;
    let sums = Sums {
        packets: get("packets")?.context("no packets (delta)")?,
        octets: get("octets")?.context("no octets (delta)")?,
        flags: small("tcpflags")?,
        first_ms: time(fields, message, "abstimestart", "timestart")?,
        last_ms: time(fields, message, "abstimeend", "timeend")?,
        min_ttl: small("ttl_min")?,
        max_ttl: small("ttl_max")?,
    };
    let exported = message.header.get("exporttime").or_else(|| message.header.get("unix_secs"));
    let record = Record {
        key: Key { tuple, vlan, tos: small("tos")? },
        sums,
        end_reason: small("flow_end_reason")?,
        ingress: get("inputint")?.map(u32::try_from).transpose()?,
        exported_s: exported.map(|octets| number(octets)).transpose()?,
    };
    // The fixed layouts have no place for them.
    let templates = number(message.header.get("version").context("no version")?)? >= 9;
    let odd = if templates { icmp_differs(fields, tuple)? } else { None };
    Ok(Some((record, odd)))
}

/// ICMP type and code have elements of their own; they must say the same as the port.
fn icmp_differs(fields: &Fields, tuple: Tuple) -> Result<Option<String>> {
    let get = |name: &str| fields.get(name).map(|octets| number(octets)).transpose();
    let whole = get("icmp_type_code_ipv4")?;
    let icmp_type = get("icmp_ipv6_type")?.or(get("icmp_ipv4_type")?);
    let code = get("icmp_ipv6_code")?.or(get("icmp_ipv4_code")?);
    let said = whole.or(icmp_type.map(|icmp_type| icmp_type * 256 + code.unwrap_or(0)));
    Ok(match (tuple.proto, said) {
        (1 | 58, None) => Some("an ICMP record without type and code".to_owned()),
        (1 | 58, Some(said)) if said != u64::from(tuple.dport) => {
            Some(format!("ICMP type and code {said}, destination port {}", tuple.dport))
        }
        (1 | 58, Some(_)) | (_, None) => None,
        (proto, Some(_)) => Some(format!("ICMP type and code in a record of protocol {proto}")),
    })
}

/// Absolute milliseconds, or the header's time minus the age of the event in v9.
fn time(fields: &Fields, message: &Message, absolute: &str, relative: &str) -> Result<Option<u64>> {
    // With a header that says 1970, tshark calls an uptime absolute.
    let uptime = |octets: &&Vec<u8>| octets.len() == 4 && message.header.contains_key("sysuptime");
    if let Some(octets) = fields.get(absolute).filter(|octets| !uptime(octets)) {
        ensure!(octets.len() == 8, "{absolute} is no time in milliseconds");
        return Ok(Some(number(octets)?));
    }
    let Some(event) = fields.get(relative).or_else(|| fields.get(absolute)) else { return Ok(None) };
    let header =
        |name: &str| number(message.header.get(name).with_context(|| format!("no {name} in the header"))?);
    let uptime = u32::try_from(header("sysuptime")?)?;
    // The difference is right across a wrap of the uptime.
    let age = uptime.wrapping_sub(u32::try_from(number(event)?)?).cast_signed();
    // Only the fixed layouts have a part of a second.
    let nanoseconds = message.header.get("unix_nsecs").map_or(Ok(0), |octets| number(octets))?;
    let at = i64::try_from(header("unix_secs")? * 1000 + nanoseconds / 1_000_000)? - i64::from(age);
    Ok(Some(u64::try_from(at)?))
}

fn ip(octets: &[u8]) -> Result<IpAddr> {
    match (<[u8; 4]>::try_from(octets), <[u8; 16]>::try_from(octets)) {
        (Ok(v4), _) => Ok(v4.into()),
        (_, Ok(v6)) => Ok(v6.into()),
        _ => bail!("an address of {} octets", octets.len()),
    }
}

fn number(octets: &[u8]) -> Result<u64> {
    ensure!(octets.len() <= 8, "a number of {} octets", octets.len());
    Ok(octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
}
