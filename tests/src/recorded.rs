//! The truth of captures that were recorded, from the fields that tshark reads of them.
//!
//! tshark does not reassemble here, and of each field the first occurrence is taken: the outermost
//! header's. Recorded captures come from kernel stacks, so that each packet is either metered or
//! no IP packet.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::craft::truth::{Seen, truth};
use crate::craft::{Ignored, Metered, Verdict};

/// The fields, in the order in which a line has them.
const FIELDS: [&str; 31] = [
    "frame.time_epoch",
    "frame.len",
    "frame.cap_len",
    "vlan.id",
    "ip.src",
    "ip.dst",
    "ip.proto",
    "ip.len",
    "ip.ttl",
    "ip.dsfield",
    "ip.frag_offset",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.nxt",
    "ipv6.plen",
    "ipv6.hlim",
    "ipv6.tclass",
    "ipv6.hopopts.nxt",
    "ipv6.fraghdr.nxt",
    "ipv6.fraghdr.offset",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "udp.srcport",
    "udp.dstport",
    "sctp.srcport",
    "sctp.dstport",
    "icmp.type",
    "icmp.code",
    "icmpv6.type",
    "icmpv6.code",
];

/// The three truth files of a capture: name and text.
///
/// # Errors
/// tshark is not there, or says something that is not understood.
pub fn derive(capture: &Path) -> Result<[(String, String); 3]> {
    let name = capture.file_name().and_then(|name| name.to_str()).context("a capture without a name")?;
    let link = link_type(capture)?;
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-T", "fields"]);
    tshark.args(["-E", "separator=/t", "-E", "occurrence=f", "-r"]).arg(capture);
    let output = tshark.args(FIELDS.iter().flat_map(|field| ["-e", field])).output().context("tshark")?;
    ensure!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let seen = (1..)
        .zip(text.lines())
        .map(|(number, line)| seen(line, link).with_context(|| format!("{name}, frame {number}")))
        .collect::<Result<Vec<_>>>()?;
    Ok(truth(name, &seen))
}

/// The link type in the header of a pcap file; tcpdump writes the byte order of the host.
fn link_type(capture: &Path) -> Result<u32> {
    let octets = std::fs::read(capture)?;
    let field = octets.get(20..24).context("no pcap header")?;
    Ok(u32::from_ne_bytes(field.try_into()?))
}

/// One line of tshark's.
struct Line<'a>(Vec<&'a str>);

impl Line<'_> {
    /// The text of a field, empty where the packet does not have it.
    fn text(&self, field: &str) -> &str {
        let at = FIELDS.iter().position(|name| *name == field);
        at.and_then(|at| self.0.get(at)).copied().unwrap_or_default()
    }

    fn has(&self, field: &str) -> bool {
        !self.text(field).is_empty()
    }

    /// A number, decimal or hexadecimal.
    fn number(&self, field: &str) -> Result<u32> {
        let text = self.text(field);
        let number = match text.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => text.parse(),
        };
        number.with_context(|| format!("{field} is {text:?}"))
    }

    fn octet(&self, field: &str) -> Result<u8> {
        Ok(u8::try_from(self.number(field)?)?)
    }

    fn port(&self, field: &str) -> Result<u16> {
        Ok(u16::try_from(self.number(field)?)?)
    }

    fn address(&self, field: &str) -> Result<IpAddr> {
        self.text(field).parse().with_context(|| format!("{field} is {:?}", self.text(field)))
    }
}

fn seen(line: &str, link: u32) -> Result<Seen> {
    let line = Line(line.split('\t').collect());
    let verdict = match (line.has("ip.src"), line.has("ipv6.src")) {
        (true, false) => Verdict::Metered(version4(&line)?),
        (false, true) => Verdict::Metered(version6(&line)?),
        (false, false) => Verdict::Ignored(Ignored::NotIp),
        (true, true) => bail!("both versions of IP in one packet"),
    };
    let time_ns = nanoseconds(line.text("frame.time_epoch"))?;
    Ok(Seen { time_ns, link, cut: line.number("frame.cap_len")? < line.number("frame.len")?, verdict })
}

fn nanoseconds(time: &str) -> Result<u64> {
    let (seconds, fraction) = time.split_once('.').context("a time without a fraction")?;
    ensure!(fraction.len() == 9, "a fraction of {} digits", fraction.len());
    Ok(seconds.parse::<u64>()? * 1_000_000_000 + fraction.parse::<u64>()?)
}

fn version4(line: &Line) -> Result<Metered> {
    let protocol = line.octet("ip.proto")?;
    let later = line.number("ip.frag_offset")? != 0;
    let upper = upper(line, protocol, later)?;
    Ok(Metered {
        source: line.address("ip.src")?,
        destination: line.address("ip.dst")?,
        tos: line.octet("ip.dsfield")?,
        octets: line.number("ip.len")?,
        ttl: line.octet("ip.ttl")?,
        ..upper
    })
}

fn version6(line: &Line) -> Result<Metered> {
    let mut protocol = line.octet("ipv6.nxt")?;
    let mut later = false;
    loop {
        protocol = match protocol {
            0 => line.octet("ipv6.hopopts.nxt")?,
            44 => {
                later = line.number("ipv6.fraghdr.offset")? != 0;
                line.octet("ipv6.fraghdr.nxt")?
            }
            43 | 51 | 60 => bail!("a header {protocol} that no stack was asked for"),
            _ => break,
        };
    }
    let upper = upper(line, protocol, later)?;
    Ok(Metered {
        source: line.address("ipv6.src")?,
        destination: line.address("ipv6.dst")?,
        tos: line.octet("ipv6.tclass")?,
        octets: 40 + line.number("ipv6.plen")?,
        ttl: line.octet("ipv6.hlim")?,
        ..upper
    })
}

/// The part that both versions have; the rest is filled in by the caller.
fn upper(line: &Line, protocol: u8, later: bool) -> Result<Metered> {
    let type_code = |kind, code| anyhow::Ok((0, line.port(kind)? << 8 | line.port(code)?));
    let ports = |source, destination| anyhow::Ok((line.port(source)?, line.port(destination)?));
    let (source_port, destination_port) = match protocol {
        _ if later => (0, 0),
        1 => type_code("icmp.type", "icmp.code")?,
        58 => type_code("icmpv6.type", "icmpv6.code")?,
        6 => ports("tcp.srcport", "tcp.dstport")?,
        17 | 136 => ports("udp.srcport", "udp.dstport")?,
        132 => ports("sctp.srcport", "sctp.dstport")?,
        33 => bail!("DCCP, which no stack was asked for"),
        _ => (0, 0),
    };
    let flags = if protocol == 6 && !later { line.number("tcp.flags")? & 0xff } else { 0 };
    let nowhere = IpAddr::from([0; 4]);
    Ok(Metered {
        source: nowhere,
        destination: nowhere,
        protocol,
        source_port,
        destination_port,
        vlan: if line.has("vlan.id") { line.port("vlan.id")? } else { 0 },
        tos: 0,
        octets: 0,
        tcp_flags: u8::try_from(flags)?,
        ttl: 0,
    })
}
