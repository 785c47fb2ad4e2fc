//! Every capture over every other protocol and transport: NetFlow v5, v7 and v1, IPFIX over TCP and TLS.
//!
//! One replay serves five collectors at once. Protocols without IPv6 must have its packets lost in the books,
//! to the packet; streams are read by receivers that are not ours, and given to nfcapd, which knows only UDP,
//! as datagrams.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::{self, LIMIT};
use flowxdp_tests::books::{Books, Collector, Count};
use flowxdp_tests::captures::{self, Capture};
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::failures::{Failures, in_parallel, tell};
use flowxdp_tests::flows::{Flows, Key, Record, Tuple};
use flowxdp_tests::handmade;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::judge::{Verdict, collect, nfacctd, tshark, wire};
use flowxdp_tests::pcap::{self, Recording};
use flowxdp_tests::pki::{NAME, Pki};
use flowxdp_tests::sniff::{Sniffed, Sniffer};
use flowxdp_tests::stream::{Received, Receiver, datagrams};
use flowxdp_tests::truth::Truth;

/// Longer than a flow of any capture, and short enough for the 49.7 days that the fixed layouts can tell.
const TIMEOUTS: [&str; 4] = ["--idle-timeout", "100h", "--active-timeout", "600h"];

/// A protocol without IPv6: its name in a URL, and its number.
const FIXED: [(&str, u16); 3] = [("v5", 5), ("v7", 7), ("v1", 1)];

/// The results of one replay at each of its collectors.
struct Export {
    books: Books,
    /// As in [`FIXED`].
    legacy: Vec<(String, u16, Verdict)>,
    tcp: (String, Received),
    tls: (String, Received, u16),
    sniffed: Sniffed,
}

fn export(files: &[&Path], pki: &Pki, tls_version: &str) -> Result<Export> {
    let nfcapds = FIXED.iter().map(|_| Nfcapd::start(None)).collect::<Result<Vec<_>>>()?;
    let (tcp, tls) = (Receiver::tcp(None)?, Receiver::tls(pki, tls_version)?);
    let tls_port = tls.port();
    let udp = nfcapds.iter().map(|nfcapd| format!("udp dst port {}", nfcapd.port())).collect::<Vec<_>>();
    let sniffer = Sniffer::start_with(&format!("{} or tcp port {tls_port}", udp.join(" or ")), None)?;
    let mut urls: Vec<String> =
        FIXED.iter().zip(&nfcapds).map(|((protocol, _), nfcapd)| nfcapd.url_of(protocol)).collect();
    urls.push(format!("tcp://127.0.0.1:{}?preset=nfdump", tcp.port()));
    urls.push(format!("tls://127.0.0.1:{tls_port}"));
    let replay = agent::replay(files, &urls.join(","), "ipfix")?.args(TIMEOUTS);
    let replay = replay.arg("--tls-ca").arg(pki.authority()).args(["--tls-name", NAME]);
    let books = agent::books(&replay.run(LIMIT)?.success()?)?;
    let (tcp, tls) = (tcp.finish()?, tls.finish()?);
    let sniffed = sniffer.stop()?;
    let mut legacy = Vec::new();
    for ((nfcapd, (_, version)), url) in nfcapds.into_iter().zip(FIXED).zip(&urls) {
        let port = nfcapd.port();
        legacy.push((url.clone(), port, nfcapd.stop().with_context(|| format!("v{version}"))?));
    }
    let [.., tcp_url, tls_url] = urls.as_slice() else { anyhow::bail!("five collectors") };
    Ok(Export { books, legacy, tcp: (tcp_url.clone(), tcp), tls: (tls_url.clone(), tls, tls_port), sniffed })
}

/// The rows that a protocol without IPv6 can tell, and the sum of the others.
fn without_ipv6(flows: &Flows) -> (Flows, Count) {
    let (mut four, mut six) = (Flows::default(), Count::default());
    for (key, sums) in flows.rows() {
        if key.tuple.src.is_ipv4() {
            four.add(*key, sums);
        } else {
            six = six + Count { packets: sums.packets, octets: sums.octets };
        }
    }
    (four, six)
}

/// Equal, where there may be nothing to compare.
fn same(truth: &Flows, got: &[Record], columns: Columns) -> Result<()> {
    if truth.is_empty() {
        ensure!(got.is_empty(), "{} records of nothing", got.len());
        return Ok(());
    }
    equal(truth, &Flows::by_tuple(got), columns)
}

/// nfacctd's reading of v5: no ports but those of TCP and UDP.
fn by_known_ports<'a>(rows: impl Iterator<Item = (Tuple, &'a flowxdp_tests::flows::Sums)>) -> Flows {
    let mut flows = Flows::default();
    for (tuple, sums) in rows {
        let known = matches!(tuple.proto, 6 | 17);
        let (sport, dport) = if known { (tuple.sport, tuple.dport) } else { (0, 0) };
        flows.add(Key { tuple: Tuple { sport, dport, ..tuple }, vlan: None, tos: None }, sums);
    }
    flows
}

/// A collector's part of the books: this is lost, for that one reason, and all else has left.
fn books_are<'a>(books: &'a Books, url: &str, lost: Count, truth: &Truth) -> Result<&'a Collector> {
    let collector = books.collectors.get(url).with_context(|| format!("no {url}: {books:?}"))?;
    let metered = Count { packets: truth.metered_packets, octets: truth.metered_octets };
    ensure!(collector.total() == metered, "{collector:?} is not {metered:?}");
    let reason = collector.lost_by_reason.get("not_representable").copied().unwrap_or_default();
    ensure!(reason == lost && collector.lost == lost, "IPv6 has {lost:?}: {collector:?}");
    ensure!(collector.queued == Count::default(), "not everything has left: {collector:?}");
    ensure!(collector.perhaps_twice == Count::default(), "sent twice without a break: {collector:?}");
    Ok(collector)
}

/// The three without templates.
fn judge_fixed(export: &Export, truth: &Truth, name: &str, failures: &mut Failures) -> Result<()> {
    let (four, six) = without_ipv6(&truth.flows);
    let mut all = Recording::default();
    let mut thrice = Flows::default();
    for ((url, port, stored), (protocol, version)) in export.legacy.iter().zip(FIXED) {
        let recording = pcap::read(export.sniffed.file(), *port)?;
        failures.check(&format!("{name} {protocol}: books and wire"), || {
            let exported = books_are(&export.books, url, six, truth)?.exported_records;
            let records = wire::legacy::judge(&recording, version)?;
            ensure!(records == exported, "{records} records sent, the books say {exported}");
            Ok(())
        });
        failures.check(&format!("{name} {protocol}: nfcapd's rows"), || {
            same(&four, &stored.clone().clean()?, Columns::WITHOUT_TTL)
        });
        if version == 5 && !four.is_empty() {
            failures
                .check(&format!("{name} {protocol}: nfacctd's sums"), || judge_nfacctd(&recording, &four));
        }
        all.datagrams.extend(recording.datagrams);
        thrice.merge(&four);
    }
    if four.is_empty() {
        return Ok(());
    }
    failures.check(&format!("{name} v5, v7, v1: flowxdp collect"), || {
        same(&thrice, &collect::judge(&all.datagrams)?.clean()?, Columns::WITHOUT_TTL)
    });
    failures.check(&format!("{name} v5, v7, v1: tshark's rows"), || {
        let ports: Vec<u16> = export.legacy.iter().map(|(_, port, _)| *port).collect();
        let records = tshark::judge_ports(export.sniffed.file(), &ports)?.clean()?;
        ensure!(records.iter().all(|record| record.ingress == Some(1)), "not all by interface 1");
        same(&thrice, &records, Columns::WITHOUT_TTL)
    });
    Ok(())
}

fn judge_nfacctd(recording: &Recording, four: &Flows) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("v5.pcap");
    handmade::write(recording, &file)?;
    let read = nfacctd::judge(&file)?.clean()?;
    let truth = by_known_ports(four.rows().map(|(key, sums)| (key.tuple, sums)));
    let got = by_known_ports(read.iter().map(|record| (record.key.tuple, &record.sums)));
    equal(&truth, &got, Columns::COUNTS)
}

/// A session's messages, before every judge.
fn judge_stream(
    books: &Books,
    (url, received): (&str, &Received),
    truth: &Truth,
    name: &str,
    failures: &mut Failures,
) {
    failures.check(&format!("{name}: books and wire"), || {
        let exported = books_are(books, url, Count::default(), truth)?.exported_records;
        let seen = wire::judge_stream(&received.octets)?;
        ensure!(seen.data_records == exported, "{} records, the books say {exported}", seen.data_records);
        ensure!(seen.options_records > 0, "no options data");
        Ok(())
    });
    failures.check(&format!("{name}: tshark's rows"), || {
        let records = tshark::judge_file(received.file())?.clean()?;
        equal(&truth.vlan_flows, &Flows::by_vlan(&records), Columns::ALL)
    });
    if !url.contains("preset=nfdump") {
        return;
    }
    failures.check(&format!("{name}: nfcapd's rows"), || {
        let mut nfcapd = Nfcapd::start(None)?;
        nfcapd.feed(&datagrams(&received.octets)?)?;
        same(&truth.flows, &nfcapd.stop()?.clean()?, Columns::WITHOUT_TTL)
    });
}

fn judge(export: &Export, truth: &Truth, name: &str, failures: &mut Failures) -> Result<()> {
    let Export { books, tcp, tls, sniffed, .. } = export;
    books.at_rest()?;
    ensure!(books.seen.packets == truth.frames, "{} of {} frames seen", books.seen.packets, truth.frames);
    judge_fixed(export, truth, name, failures)?;
    judge_stream(books, (&tcp.0, &tcp.1), truth, &format!("{name} tcp"), failures);
    let (url, received, port) = tls;
    judge_stream(books, (url, received), truth, &format!("{name} tls"), failures);
    failures.check(&format!("{name} tls: decrypted"), || {
        let wire = tshark::decrypted(sniffed.file(), &received.keys(), *port)?;
        let (sent, got) = (wire.len(), received.octets.len());
        ensure!(wire == received.octets, "{sent} octets on the wire, {got} at the receiver, or others");
        Ok(())
    });
    Ok(())
}

#[test]
fn every_capture_by_every_way() -> Result<()> {
    let (captures, pki) = (captures::all()?, Pki::new()?);
    let failures = in_parallel(&captures, |Capture { name, path, truth }, failures| {
        let mut inner = Failures::default();
        failures.check(name, || judge(&export(&[path], &pki, "-tls1_3")?, truth, name, &mut inner));
        failures.merge(inner);
    });
    tell(&format!("v5, v7, v1, tcp and tls: {} captures", captures.len()));
    failures.end()
}

/// All captures as one, over the older TLS, and tshark's expert notes on the sessions.
#[test]
fn all_captures_in_one_call() -> Result<()> {
    let (captures, pki) = (captures::all()?, Pki::new()?);
    // Years lie between some of them, which no fixed layout can tell in one session.
    let some: Vec<_> = captures.iter().filter(|capture| capture.name.starts_with("recorded")).collect();
    let files: Vec<&Path> = some.iter().map(|capture| capture.path.as_path()).collect();
    let truth = Truth::joined(some.iter().map(|capture| &capture.truth)).context("no capture")?;
    let export = export(&files, &pki, "-tls1_2")?;
    let mut failures = Failures::default();
    judge(&export, &truth, "all", &mut failures)?;
    for received in [&export.tcp.1, &export.tls.1] {
        failures.check("tshark's experts", || tshark::nothing_found(received.file()));
    }
    failures.end()
}
