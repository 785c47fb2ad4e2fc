//! The groups `mac`, `vlan`, `mpls` and `ipv6`: the facts in the records equal the packets' headers.
//!
//! Every capture that has a file of facts is replayed into both protocols: the project's own, and the captures of the
//! directories in `FLOWXDP_CAPTURES`. Extension headers are judged by the headers that tshark lists.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::captures::{self, Directory};
use flowxdp_tests::craft::{self, extension, ipv6, transport};
use flowxdp_tests::facts;
use flowxdp_tests::failures::{Failures, in_parallel, tell};
use flowxdp_tests::judge::{collect, tshark};
use flowxdp_tests::process::Program;
use flowxdp_tests::replayed::{ONE_RECORD, Replayed, replay};

const GROUPS: [&str; 2] = ["--collect", "mac,vlan,mpls,ipv6"];
const LIMIT: Duration = Duration::from_secs(60);

/// Replays files with all groups, so that each key is one record.
fn replayed(file: &Path, protocol: &str) -> Result<Replayed> {
    replay(&[file], protocol, &[&ONE_RECORD[..], &GROUPS].concat())
}

/// The facts of each key's first record come from its first packet.
fn equal(file: &Path, replayed: &Replayed) -> Result<usize> {
    let expected = facts::read(file)?;
    tshark::judge(replayed.sniffed.file(), replayed.sniffed.port)?.clean()?;
    let mut records = BTreeMap::new();
    for (key, json) in collect::flows(&replayed.sniffed.recording.datagrams)? {
        // A connection that ended and began again is two records.
        let start = ["flowStartMilliseconds", "flowStartSysUpTime"].map(|name| json.get(name));
        let start = start.into_iter().flatten().find_map(|value| value.as_u64());
        let first: &mut (Option<u64>, _) = records.entry(key).or_insert((start, json.clone()));
        if start < first.0 {
            *first = (start, json);
        }
    }
    ensure!(records.len() == expected.len(), "{} keys of {}", records.len(), expected.len());
    for (key, facts) in &expected {
        let (_, json) = records.get(key).with_context(|| format!("no record of {key}"))?;
        let got = facts::of(json, facts)?;
        ensure!(got == *facts, "{key}: {got:?}, true {facts:?}");
    }
    Ok(expected.len())
}

fn facts_of_the_first_packet(protocol: &str) -> Result<()> {
    let mut failures = Failures::default();
    for Directory { path, mut captures } in captures::directories()? {
        captures.retain(|capture| facts::path(&capture.path).is_ok_and(|path| path.exists()));
        ensure!(captures.len() > 20, "{} captures with facts in {}", captures.len(), path.display());
        failures.merge(in_parallel(&captures, |capture, failures| {
            failures.check(&format!("{} {protocol}", capture.name), || {
                equal(&capture.path, &replayed(&capture.path, protocol)?)
            });
        }));
        tell(&format!("{protocol}: {} captures of {}", captures.len(), path.display()));
    }
    failures.end()
}

#[test]
fn each_fact_is_that_of_the_first_packet_in_ipfix() -> Result<()> {
    facts_of_the_first_packet("ipfix")
}

#[test]
fn each_fact_is_that_of_the_first_packet_in_v9() -> Result<()> {
    facts_of_the_first_packet("v9")
}

/// The bit of IANA's registry for each protocol that tshark names, but for fragments.
const BITS: [(&str, u32); 5] =
    [("ipv6.dstopts", 0), ("ipv6.hopopts", 1), ("ipv6.routing", 5), ("esp", 13), ("ah", 14)];

/// tshark's list for each packet, by source address: the bits of its headers.
fn listed(file: &Path) -> Result<BTreeMap<IpAddr, u64>> {
    let fields = ["ipv6.src", "frame.protocols", "ipv6.fraghdr.offset", "ipv6.nxt"];
    let fields = fields.into_iter().flat_map(|field| ["-e", field]);
    let tshark = Program::find("tshark")?.args(["-n", "-o", "ipv6.defragment:FALSE", "-r"]).arg(file);
    let lines = tshark.args(["-T", "fields"]).args(fields).run(LIMIT)?.success()?.stdout;
    let mut all = BTreeMap::new();
    for line in lines.lines() {
        let columns: Vec<_> = line.split('\t').collect();
        let [source, protocols, offset, next] = columns[..] else { anyhow::bail!("{line}") };
        let mut bits: u64 = protocols
            .split(':')
            .flat_map(|protocol| BITS.iter().filter(move |(name, _)| *name == protocol))
            .fold(0, |bits, (_, bit)| bits | 1 << bit);
        bits |= match offset {
            "" => 0,
            "0" => 1 << 4,
            _ => 1 << 6,
        };
        bits |= u64::from(next == "59") << 2;
        *all.entry(source.parse()?).or_insert(0) |= bits;
    }
    Ok(all)
}

/// Packets with chains of extension headers; the packets of one host are one flow.
fn chains() -> Vec<craft::Frame> {
    let (hop, destination, routing) =
        (extension::hop_by_hop(0), extension::destination(1), extension::routing(0));
    let chains = [
        (1, vec![]),
        (2, vec![hop.clone()]),
        (3, vec![hop.clone(), destination.clone(), routing.clone(), destination.clone()]),
        (4, vec![extension::fragment(0, true)]),
        (5, vec![extension::fragment(3, false)]),
        (6, vec![extension::authentication(2), destination.clone()]),
        // One flow: its packets have none, then one, then others, then none.
        (7, vec![]),
        (7, vec![routing]),
        (7, vec![hop, extension::authentication(4)]),
        (7, vec![]),
    ];
    let frame = |(host, chain): (u16, Vec<extension::Extension>)| {
        let header = chain.into_iter().fold(ipv6::ipv6(host), ipv6::Ipv6::with);
        header.carry(&transport::udp(1000, 2000)).ethernet()
    };
    chains.into_iter().map(frame).collect()
}

#[test]
fn extension_headers_are_those_that_tshark_lists_of_all_packets() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("chains.pcap");
    std::fs::write(&file, craft::pcap::ethernet("chains", chains()).octets)?;
    let expected = listed(&file)?;
    ensure!(expected.len() == 7, "{expected:x?}");
    for protocol in ["ipfix", "v9"] {
        let replayed = replayed(&file, protocol)?;
        let mut got = BTreeMap::new();
        for (key, json) in collect::flows(&replayed.sniffed.recording.datagrams)? {
            let bits = json.get("ipv6ExtensionHeadersFull").and_then(serde_json::Value::as_u64);
            *got.entry(key.tuple.src).or_insert(0) |= bits.context("no such element")?;
        }
        ensure!(got == expected, "{protocol}: {got:x?}, tshark lists {expected:x?}");
    }
    Ok(())
}
