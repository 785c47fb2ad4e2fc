//! Options data of a live agent, read by tshark and by collect, against the books and the kernel's data of
//! the interface.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::books::{Books, Count};
use flowxdp_tests::failures::Failures;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::judge::tshark::Options;
use flowxdp_tests::judge::{collect, tshark, wire};
use flowxdp_tests::netns::Netns;
use flowxdp_tests::pcap::{self, Recording, Writer};
use flowxdp_tests::process::Program;
use flowxdp_tests::sniff::{Sniffed, Sniffer};
use flowxdp_tests::traffic::{Traffic, UDP, generator};
use serde_json::Value;

const SENDER: &str = "gen0";
const METERED: &str = "met0";
const LIMIT: Duration = Duration::from_secs(30);
/// The interface's alias, before and after.
const ALIASES: [&str; 2] = ["uplink-of-the-test", "uplink-renamed-ü"];
const TRAFFIC: Traffic = Traffic { flows: 50, packets: 1_000, ipv6: false, protocol: UDP, length: 100 };

/// The options data of an agent that metered [`TRAFFIC`] and seven frames without IP.
struct Told {
    netns: Netns,
    sniffed: Sniffed,
    /// Port and URL of the collectors of IPFIX and of v9, and of IPFIX with nfdump's preset.
    collectors: [(u16, String); 3],
    books: Books,
    /// Milliseconds since 1970 at which the agent was started and had ended.
    times: (u64, u64),
}

fn told(more: &[&str]) -> Result<Told> {
    let netns = Netns::new("tell")?;
    netns.veth(SENDER, METERED)?;
    netns.ip(&format!("link set {METERED} alias {}", ALIASES[0]))?;
    let [ipfix, v9, preset] = [(); 3].map(|()| Nfcapd::start(Some(&netns)));
    let (ipfix, v9, preset) = (ipfix?, v9?, preset?);
    let plain = |nfcapd: &Nfcapd, more: &str| format!("udp://127.0.0.1:{}{more}", nfcapd.port());
    let collectors = [
        (ipfix.port(), plain(&ipfix, "")),
        (v9.port(), plain(&v9, "?protocol=v9")),
        (preset.port(), preset.url()),
    ];
    let ports = collectors.each_ref().map(|(port, _)| format!("udp dst port {port}")).join(" or ");
    let sniffer = Sniffer::start_with(&ports, Some(&netns))?;
    let start = now_ms()?;
    let urls = collectors.each_ref().map(|(_, url)| url.as_str()).join(",");
    let arguments =
        ["--interface", METERED, "--mode", "native", "--idle-timeout", "1s", "--collector", &urls];
    let mut live = Live::start(&netns, &[&arguments[..], more].concat())?;
    generator().send(&TRAFFIC, &netns, SENDER)?;
    without_ip(&netns)?;
    live.until(LIMIT, "done with everything", |books| {
        let all = books.collectors.values().all(|it| it.exported.packets == TRAFFIC.packets);
        all && books.ignored_total().packets == 7
    })?;
    netns.ip(&format!("link set {METERED} alias {}", ALIASES[1]))?;
    // The agent reads the links once a second.
    std::thread::sleep(Duration::from_millis(2_500));
    let books = live.status()?;
    books.all_exported()?;
    live.stop()?.success()?;
    let (sniffed, times) = (sniffer.stop()?, (start, now_ms()?));
    // nfcapd takes options data among the flows of IPFIX for lost records; v9 and its preset have none.
    ipfix.stop()?;
    for nfcapd in [v9, preset] {
        nfcapd.stop()?.clean()?;
    }
    Ok(Told { netns, sniffed, collectors, books, times })
}

/// Seven ARP frames of 60 octets.
fn without_ip(netns: &Netns) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("arp.pcap");
    let mut writer = Writer::create(&file)?;
    let mut frame = vec![0xff; 12];
    frame.extend([8, 6]);
    frame.resize(60, 0);
    for number in 0..7 {
        writer.frame(number, &frame)?;
    }
    writer.finish()?;
    let tcpreplay = Program::find("tcpreplay")?.args(["-q", "-t", "-i", SENDER]).arg(&file).netns(netns);
    tcpreplay.run(LIMIT)?.success()?;
    Ok(())
}

fn now_ms() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// The last record that has a field.
fn last<'a>(options: &'a [Options], field: &str) -> Result<&'a Options> {
    options.iter().rfind(|record| record.has(field)).with_context(|| format!("nothing tells {field}"))
}

/// Totals sent before the last message of domain 0, which holds them.
fn statistics(options: &[Options], recording: &Recording, records: u64) -> Result<()> {
    let told = last(options, "packetsexp")?;
    let of_process = |octets: &[u8]| {
        let place = if octets.get(1) == Some(&9) { 16..20 } else { 12..16 };
        octets.get(place) == Some(&[0; 4])
    };
    let last = recording.datagrams.iter().rposition(|datagram| of_process(&datagram.payload));
    let before = &recording.datagrams[..last.context("no message of domain 0")?];
    let octets: usize = before.iter().map(|datagram| datagram.payload.len()).sum();
    let said = (told.number("packetsexp")?, told.number("octetsexp")?, told.number("flowsexp")?);
    let true_ones = (before.len() as u64, octets as u64, records);
    ensure!(said == true_ones, "messages, octets, records: {said:?}, true {true_ones:?}");
    Ok(())
}

fn reliability(options: &[Options], books: &Books, (start, end): (u64, u64)) -> Result<()> {
    let told = last(options, "ignore_packets")?;
    let said = Count { packets: told.number("ignore_packets")?, octets: told.number("ignore_octets")? };
    ensure!(said == books.ignored_total(), "ignored {said:?}: {books:?}");
    ensure!(said == Count { packets: 7, octets: 420 }, "{said:?} for seven frames of 60 octets");
    let first = told.number("observation_time_milliseconds")?;
    ensure!((start..=end).contains(&first), "first ignored at {first}, between {start} and {end}");
    let told = last(options, "notsent_flows")?;
    for field in ["notsent_flows", "notsent_packets", "notsent_octets", "observation_time_milliseconds"] {
        ensure!(told.number(field)? == 0, "{field}, and nothing was lost: {told:?}");
    }
    Ok(())
}

/// At the start, when the alias changes, and at the end.
fn interfaces(options: &[Options], netns: &Netns) -> Result<()> {
    let index = u64::from(netns.index(METERED)?);
    let told: Vec<&Options> = options.iter().filter(|record| record.has("if_name")).collect();
    for record in &told {
        let name = record.text("if_name")?;
        ensure!(record.number("inputint")? == index && name == METERED, "not {METERED}, {index}: {record:?}");
    }
    let aliases = told.iter().map(|record| record.text("if_descr")).collect::<Result<Vec<_>>>()?;
    ensure!(aliases == [ALIASES[0], ALIASES[1], ALIASES[1]], "aliases: {aliases:?}");
    Ok(())
}

/// The exporter, in IPFIX alone, and the sampler that takes every packet.
fn exporter(options: &[Options], recording: &Recording, told: &Told, ipfix: bool) -> Result<()> {
    let every: &[(&str, u64)] = if ipfix {
        &[
            ("selector_id", 0),
            ("selector_algorithm", 4),
            ("sampling_probability", 1_f64.to_bits()),
            ("sampling_packet_interval", 1),
            ("sampling_packet_space", 0),
            ("sampling_interval", 1),
        ]
    } else {
        &[("sampler_id", 0), ("sampler_mode", 2), ("sampler_random_interval", 1), ("sampling_interval", 1)]
    };
    let sampler = last(options, every[0].0)?;
    for (field, value) in every {
        ensure!(sampler.number(field)? == *value, "{field} of one out of one: {sampler:?}");
    }
    if !ipfix {
        return Ok(());
    }
    let exporter = last(options, "exporter_port")?;
    let port = recording.datagrams.first().context("no message")?.from.port();
    ensure!(exporter.number("exporter_port")? == u64::from(port), "not port {port}: {exporter:?}");
    ensure!(exporter.number("export_protocol_version")? == 10, "{exporter:?}");
    ensure!(exporter.number("exporter_protocol")? == u64::from(UDP), "not UDP: {exporter:?}");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    ensure!(exporter.text("observation_domain_name")? == host.trim(), "not {host}: {exporter:?}");
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let uptime: f64 = uptime.split(' ').next().context("no uptime")?.parse()?;
    let began = told.times.1 as f64 - uptime * 1000.0;
    let said = exporter.number("sys_init_time")? as f64;
    ensure!((began - said).abs() < 5_000.0, "the system started at {began}, told {said}");
    Ok(())
}

#[test]
fn options_data_agree_with_the_books_and_the_kernel() -> Result<()> {
    let told = told(&[])?;
    let mut failures = Failures::default();
    let expected = [(10, 6, 1), (9, 5, 1), (10, 5, 0)];
    for ((port, url), (version, kinds, flows)) in told.collectors.iter().zip(expected) {
        let recording = pcap::read(told.sniffed.file(), *port)?;
        let mut check = |name: &str, result: Result<()>| failures.check(&format!("{url} {name}"), || result);
        let options = tshark::options(told.sniffed.file(), &[*port])?;
        let records = told.books.collectors.get(url).context("no collector")?.exported_records;
        check("statistics", statistics(&options, &recording, records));
        check("reliability", reliability(&options, &told.books, told.times));
        if flows > 0 {
            check("interfaces", interfaces(&options, &told.netns));
        }
        check("exporter", exporter(&options, &recording, &told, version == 10));
        check("domains", domains(&options, version, 3 * kinds, flows));
        check("collect", collect_reads(&recording, &options));
        let seen = wire::judge(&recording)?;
        check("wire", counted(&seen, records, options.len()));
    }
    failures.end()
}

/// Sampler and interfaces are where the flows are, or the sampler where it must be for nfdump; all else is of
/// domain 0.
fn domains(options: &[Options], version: u64, count: usize, flows: u64) -> Result<()> {
    ensure!(options.len() == count, "{} records, expected {count}", options.len());
    for record in options {
        let of_flows = ["if_name", "selector_id", "sampler_id"].iter().any(|field| record.has(field));
        let domain = if of_flows { flows } else { 0 };
        ensure!(record.domain == domain && record.version == version, "not of domain {domain}: {record:?}");
        ensure!(!record.has("post_key"), "flow keys that nobody asked for: {record:?}");
    }
    Ok(())
}

fn counted(seen: &wire::Seen, records: u64, options: usize) -> Result<()> {
    ensure!(seen.data_records == records, "{} flow records of {records}", seen.data_records);
    ensure!(seen.options_records == options as u64, "{} options records of {options}", seen.options_records);
    Ok(())
}

/// Our own collector names the same things by IANA's names.
fn collect_reads(recording: &Recording, options: &[Options]) -> Result<()> {
    let lines = collect::options(&recording.datagrams)?;
    ensure!(lines.len() == options.len(), "{} lines for {} records", lines.len(), options.len());
    let names = [
        ("packetsexp", "exportedMessageTotalCount"),
        ("flowsexp", "exportedFlowRecordTotalCount"),
        ("octetsexp", "exportedOctetTotalCount"),
        ("ignore_packets", "ignoredPacketTotalCount"),
        ("notsent_flows", "notSentFlowTotalCount"),
        ("inputint", "ingressInterface"),
        ("selector_id", "selectorId"),
        ("sampler_id", "samplerId"),
        ("sampling_interval", "samplingInterval"),
        ("exporter_port", "exporterTransportPort"),
    ];
    for (line, record) in lines.iter().zip(options) {
        for (theirs, ours) in names.iter().filter(|(theirs, _)| record.has(theirs)) {
            let said = line.get(ours).and_then(Value::as_u64);
            ensure!(said == Some(record.number(theirs)?), "{ours}: {line}");
        }
        if record.has("if_descr") {
            let said = line.get("interfaceDescription").and_then(Value::as_str);
            ensure!(said == Some(&record.text("if_descr")?), "interfaceDescription: {line}");
        }
        let scope = line.get("scope").and_then(Value::as_array).context("no scope")?;
        let named = scope.iter().all(|name| name.as_str().is_some_and(|name| line.get(name).is_some()));
        ensure!(!scope.is_empty() && named, "its scope is {scope:?}: {line}");
    }
    Ok(())
}

/// A flow's key: addresses, ports or ICMP, protocol, type of service, VLAN, interface.
const KEY: [u16; 13] = [8, 12, 27, 28, 7, 11, 32, 139, 4, 5, 58, 10, 61];

#[test]
fn flow_keys_only_where_they_are_asked_for() -> Result<()> {
    let told = told(&["--flow-keys"])?;
    let [(ipfix, _), (v9, _), (preset, _)] = &told.collectors;
    let file: &Path = told.sniffed.file();
    let layouts = wire::judge(&pcap::read(file, *ipfix)?)?.layouts;
    let mut ids = BTreeSet::new();
    for record in tshark::options(file, &[*ipfix])?.iter().filter(|record| record.has("post_key")) {
        ensure!(record.domain == 1, "not in the flows' own domain: {record:?}");
        let (id, bits) = (u16::try_from(record.number("template_id")?)?, record.number("post_key")?);
        let layout = layouts.get(&id).with_context(|| format!("there is no template {id}"))?;
        let wanted = layout.iter().zip(0..).filter(|(element, _)| KEY.contains(element));
        let wanted = wanted.fold(0, |bits: u64, (_, bit)| bits | 1 << bit);
        ensure!(bits == wanted, "template {id} {layout:?}: {bits:b}, not {wanted:b}");
        ids.insert(id);
    }
    ensure!(ids.iter().eq(layouts.keys()), "of {:?} only {ids:?} have keys", layouts.keys());
    // v9 has no such element, and nfcapd counts nothing of the kind.
    for port in [v9, preset] {
        ensure!(!tshark::options(file, &[*port])?.iter().any(|it| it.has("post_key")), "keys at {port}");
    }
    Ok(())
}
