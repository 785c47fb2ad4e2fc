//! The groups `mac`, `vlan`, `mpls`, `ipv6` and `duration`: the facts in the records equal the packets' headers.
//!
//! Every capture that has a file of facts is replayed into both protocols: the project's own, and the captures of the
//! directories in `FLOWXDP_CAPTURES`. Packets that are built here are judged by the headers that tshark lists: in a
//! replay, and over a veth.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::captures::{self, Capture, Directory};
use flowxdp_tests::craft::{self, extension, ipv4, ipv6, transport, vlan};
use flowxdp_tests::facts::{self, Facts};
use flowxdp_tests::failures::{Failures, in_parallel, tell};
use flowxdp_tests::headers;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::judge::{collect, tshark};
use flowxdp_tests::netns::Netns;
use flowxdp_tests::pcap::Datagram;
use flowxdp_tests::replayed::{ONE_RECORD, Replayed, replay};
use flowxdp_tests::sniff::Sniffer;
use flowxdp_tests::tagger::Tagger;
use flowxdp_tests::traffic::{Tcpreplay, Traffic, UDP};

const GROUPS: [&str; 2] = ["--collect", "mac,vlan,mpls,ipv6,duration"];
const LIMIT: Duration = Duration::from_secs(60);

/// Replays files with all groups, so that each key is one record.
fn replayed(file: &Path, protocol: &str) -> Result<Replayed> {
    replay(&[file], protocol, &[&ONE_RECORD[..], &GROUPS].concat())
}

/// The facts of each key's first record come from its first packet, and its duration from its first and last ones.
fn equal(capture: &Capture, replayed: &Replayed) -> Result<usize> {
    let expected = facts::read(&capture.path)?;
    tshark::judge(replayed.sniffed.file(), replayed.sniffed.port)?.clean()?;
    let (mut records, mut durations) = (BTreeMap::new(), BTreeMap::new());
    for (key, json) in collect::flows(&replayed.sniffed.recording.datagrams)? {
        let duration = json.get("flowDurationMilliseconds").and_then(serde_json::Value::as_u64);
        durations.entry(key).or_insert_with(Vec::new).push(duration.context("no duration")?);
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
    for (key, sums) in capture.truth.vlan_flows.rows() {
        let true_one = sums.last_ms.zip(sums.first_ms).map(|(last, first)| last - first);
        // The parts of a connection that ended and began again are shorter.
        if let Some(&[duration]) = durations.get(key).map(Vec::as_slice) {
            ensure!(Some(duration) == true_one, "{key}: {duration} ms, true {true_one:?}");
        }
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
                equal(capture, &replayed(&capture.path, protocol)?)
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

/// Packets with chains of extension headers; the packets of one host are one flow.
fn chains() -> Vec<craft::Frame> {
    let (hop, destination, routing) =
        (extension::hop_by_hop(0), extension::destination(1), extension::routing(0));
    let chains = [
        (11, vec![]),
        (12, vec![hop.clone()]),
        (13, vec![hop.clone(), destination.clone(), routing.clone(), destination.clone()]),
        (14, vec![extension::fragment(0, true)]),
        (15, vec![extension::fragment(3, false)]),
        (16, vec![extension::authentication(2), destination.clone()]),
        // One flow: its packets have none, then one, then others, then none.
        (17, vec![]),
        (17, vec![routing]),
        (17, vec![hop, extension::authentication(4)]),
        (17, vec![]),
    ];
    let frame = |host, chain: Vec<extension::Extension>, upper: &transport::Upper| {
        chain.into_iter().fold(ipv6::ipv6(host), ipv6::Ipv6::with).carry(upper).ethernet()
    };
    // Headers that no further header of the chain follows: none, ESP, mobility, HIP, Shim6, experiments.
    let last = (21..).zip([59, 50, 135, 139, 140, 253, 254]);
    let last = last.map(|(host, protocol)| frame(host, vec![], &transport::other(protocol)));
    let udp = transport::udp(1000, 2000);
    chains.into_iter().map(|(host, chain)| frame(host, chain, &udp)).chain(last).collect()
}

#[test]
fn extension_headers_are_those_that_tshark_lists_of_all_packets() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("chains.pcap");
    std::fs::write(&file, craft::pcap::ethernet("chains", chains()).octets)?;
    let expected = headers::listed(&file)?;
    // Each bit of the registry, but for an unknown header, is set somewhere.
    let set = expected.values().filter_map(|facts| facts[headers::EXTENSIONS].parse::<u64>().ok());
    ensure!(set.fold(0, |all, bits| all | bits) == 0x3ff7, "{expected:?}");
    for protocol in ["ipfix", "v9"] {
        by_source(&replayed(&file, protocol)?.sniffed.recording.datagrams, &expected)
            .with_context(|| protocol)?;
    }
    Ok(())
}

/// The records have the facts of each source address.
fn by_source(datagrams: &[Datagram], expected: &BTreeMap<IpAddr, Facts>) -> Result<()> {
    let mut records: BTreeMap<IpAddr, (Facts, u64)> = BTreeMap::new();
    for (key, json) in collect::flows(datagrams)? {
        let source = key.tuple.src;
        let facts = expected.get(&source).with_context(|| format!("no packet of {source}"))?;
        let facts = facts::of(&json, facts)?;
        let bits = facts[headers::EXTENSIONS].parse::<u64>()?;
        records.entry(source).or_insert((facts, 0)).1 |= bits;
    }
    for (source, facts) in expected {
        let (mut got, bits) = records.remove(source).with_context(|| format!("no record of {source}"))?;
        got.insert(headers::EXTENSIONS.to_owned(), bits.to_string());
        ensure!(got == *facts, "{source}: {got:?}, tshark lists {facts:?}");
    }
    Ok(())
}

/// Packets with MAC addresses, tags, labels and extension headers of their own, as an interface can send them.
fn decorated() -> Vec<craft::Frame> {
    let udp = transport::udp(1000, 2000);
    let v4 = |host| ipv4::ipv4(host).carry(&udp);
    let v6 = |host| ipv6::ipv6(host).with(extension::hop_by_hop(0)).carry(&udp);
    let packets = [
        v4(1),
        v4(2).tag(vlan::C_TAG, 0xa007),
        v4(3).tag(vlan::C_TAG, 0x2009).tag(vlan::C_TAG, 0xe005),
        v4(4).mpls(1),
        v4(5).mpls(5).tag(vlan::C_TAG, 0x6fff),
        v6(6),
        v6(7).mpls(3).tag(vlan::C_TAG, 0x2009).tag(vlan::C_TAG, 0x4064),
        v6(8).tag(vlan::C_TAG, 0x8064),
    ];
    let frames = (1..).zip(packets).map(|(host, packet)| {
        let mut frame = packet.ethernet();
        frame.data[..12].copy_from_slice(&[2, 0, 0x5e, host, 0, 2, 2, 0, host, 0xa5, 0, 1]);
        frame
    });
    frames.chain(chains()).collect()
}

/// Sends the packets over a veth to an agent with all groups, and compares its records with tshark's lists.
fn live(mode: &str, tag_beside: bool) -> Result<()> {
    let netns = Netns::new("facts")?;
    netns.veth("gen0", "met0")?;
    let _tagger = if tag_beside { Some(Tagger::attach(&netns, "gen0", 77)?) } else { None };
    let nfcapd = Nfcapd::start(Some(&netns))?;
    let sniffer = Sniffer::start(nfcapd.port(), Some(&netns))?;
    let url = nfcapd.url();
    let arguments = ["--interface", "met0", "--mode", mode, "--collector", &url];
    let mut agent = Live::start(&netns, &[&arguments[..], &GROUPS].concat())?;
    let frames = decorated();
    let flows = u32::try_from(frames.len())?;
    // Every packet once, then again: a hit changes no fact of the first packet.
    let traffic = Traffic { flows, packets: u64::from(flows) * 2, ipv6: false, protocol: UDP, length: 0 };
    let octets = frames.iter().map(|frame| frame.data.clone());
    Tcpreplay { cpu: None, rate: 10_000 }.send_frames(octets, &traffic, &netns, "gen0")?;
    agent.until(LIMIT, "metering all packets", |books| books.seen.packets == traffic.packets)?;
    agent.stop()?.success()?;
    netns.expect_clean("met0")?;
    let sniffed = sniffer.stop()?;
    nfcapd.stop()?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("decorated.pcap");
    std::fs::write(&file, craft::pcap::ethernet("decorated", frames).octets)?;
    by_source(&sniffed.recording.datagrams, &headers::listed(&file)?)
}

#[test]
fn live_packets_have_the_facts_that_tshark_lists() -> Result<()> {
    let mut failures = Failures::default();
    for mode in ["native", "generic"] {
        failures.check(mode, || live(mode, false));
    }
    failures.end()
}

/// As the manual's page on interfaces says: a tag that the driver keeps beside the packet is in no field, and of two
/// tags the inner one is left.
#[test]
fn a_tag_beside_the_packet_is_in_no_field() -> Result<()> {
    live("native", true)
}
