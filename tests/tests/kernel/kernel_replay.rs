//! A replay's properties beside exact flows: its clock, its pace, and records that it cannot deliver.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, ensure};
use flowxdp_tests::agent::{self, LIMIT, PROTOCOLS};
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::flows::Flows;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::judge::{tshark, wire};
use flowxdp_tests::pcap::{self, Writer};
use flowxdp_tests::replayed::{ONE_RECORD, replay};
use flowxdp_tests::sniff::Sniffer;
use flowxdp_tests::traffic::{TCP, Traffic, UDP};
use flowxdp_tests::udp;

/// 2023-11-14, in microseconds.
const START: u64 = 1_700_000_000_000_000;
const SECOND: u64 = 1_000_000;

/// Writes packets of all flows in turn, each so long after the one before.
fn capture(path: &Path, traffic: &Traffic, step_us: u64) -> Result<()> {
    let mut writer = Writer::create(path)?;
    for packet in 0..traffic.packets {
        let flow = u32::try_from(packet % u64::from(traffic.flows))?;
        writer.frame(START + packet * step_us, &traffic.frame(flow))?;
    }
    writer.finish()
}

#[test]
fn templates_come_again_by_the_clock_of_the_capture() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("slow.pcap");
    let traffic = Traffic { flows: 40, packets: 40, ipv6: false, protocol: UDP, length: 100 };
    capture(&file, &traffic, 60 * SECOND)?;
    for protocol in PROTOCOLS {
        let replayed = replay(&[&file], protocol, &[])?;
        equal(&traffic.truth(), &Flows::by_tuple(&replayed.nfcapd.clean()?), Columns::WITHOUT_TTL)?;
        let seen = wire::judge(&replayed.sniffed.recording)?;
        ensure!(
            seen.seconds_after_template <= 61,
            "{protocol}: data {} s after its templates",
            seen.seconds_after_template
        );
        // The records themselves leave when they are due, not all of them at the end.
        let records = tshark::judge(replayed.sniffed.file(), replayed.sniffed.port)?.clean()?;
        for record in records {
            let (last, exported) = (record.sums.last_ms.unwrap_or(0), record.exported_s.unwrap_or(0) * 1_000);
            ensure!(exported <= last + 15_000 + 4_000, "{protocol}: exported at {exported}: {record:?}");
        }
    }
    Ok(())
}

/// Frames of both IP versions, and some with AE, the ninth of the TCP flags (RFC 9768).
fn with_accurate_ecn(path: &Path) -> Result<(Traffic, Traffic)> {
    let four = Traffic { flows: 9, packets: 90, ipv6: false, protocol: TCP, length: 60 };
    let six = Traffic { ipv6: true, ..four };
    let mut writer = Writer::create(path)?;
    for packet in 0..90 {
        for (traffic, ip) in [(&four, 20), (&six, 40)] {
            let flow = u32::try_from(packet % 9)?;
            let mut frame = traffic.frame(flow);
            // Behind Ethernet and IP, the octet with the length of the TCP header.
            frame[14 + ip + 12] |= u8::from(flow < 3);
            writer.frame(START + packet * 1_000, &frame)?;
        }
    }
    writer.finish()?;
    Ok((four, six))
}

/// The ids of the sets of flow records in a message.
fn flow_sets(payload: &[u8]) -> Vec<u16> {
    let short = |at: usize| payload.get(at..at + 2).map(|it| u16::from_be_bytes([it[0], it[1]]));
    let (mut ids, mut at) = (Vec::new(), if short(0) == Some(10) { 16 } else { 20 });
    while let (Some(id), Some(length)) = (short(at), short(at + 2)) {
        ids.extend(Some(id).filter(|id| (288..304).contains(id)));
        at += usize::from(length).max(4);
    }
    ids
}

#[test]
fn the_first_data_need_no_datagram_before_them() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (file, alone) = (directory.path().join("flows.pcap"), directory.path().join("export.pcap"));
    let (four, six) = with_accurate_ecn(&file)?;
    for protocol in PROTOCOLS {
        let nfcapd = Nfcapd::start(None)?;
        // The defaults, without a preset.
        let url = format!("udp://127.0.0.1:{}", nfcapd.port());
        let sniffer = Sniffer::start(nfcapd.port(), None)?;
        agent::replay(&[&file], &url, protocol)?.run(LIMIT)?.success()?;
        let sniffed = sniffer.stop()?;
        // A collector of several workers may read earlier messages after them, or never.
        let data = sniffed.recording.datagrams.iter().filter(|it| !flow_sets(&it.payload).is_empty());
        let mut writer = Writer::create(&alone)?;
        let mut forms = BTreeSet::new();
        for datagram in data {
            forms.extend(flow_sets(&datagram.payload).iter().map(|id| id / 4));
            writer.frame(START, &pcap::frame(datagram)?)?;
        }
        writer.finish()?;
        let verdict = tshark::judge(&alone, sniffed.port)?;
        let gap = |finding: &&String| !finding.contains("Unexpected flow sequence");
        let findings: Vec<_> = verdict.findings.iter().filter(gap).collect();
        ensure!(findings.is_empty(), "{protocol}: {findings:?}");
        let mut truth = four.truth();
        truth.merge(&six.truth());
        equal(&truth, &Flows::by_tuple(&verdict.records), Columns { times: false, ttl: false, flags: true })?;
        // Two octets of flags have templates of their own, in IPFIX.
        ensure!(forms.len() == if protocol == "ipfix" { 2 } else { 1 }, "{protocol}: {forms:?}");
        nfcapd.stop()?;
    }
    Ok(())
}

#[test]
fn no_grace_period_is_waited_for() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("slow.pcap");
    let traffic = Traffic { flows: 300, packets: 300, ipv6: false, protocol: UDP, length: 100 };
    capture(&file, &traffic, SECOND)?;
    let inbox = udp::Inbox::new()?;
    let url = format!("udp://127.0.0.1:{}", inbox.port());
    let replay = agent::replay(&[&file], &url, "ipfix")?.arg("-v").start()?;
    let (_, ended) = inbox.during(replay, LIMIT)?;
    agent::books(&ended)?.all_exported()?;
    ensure!(ended.stderr.contains(" 0 grace periods were waited for"), "{}", ended.stderr);
    Ok(())
}

#[test]
fn a_burst_of_flows_is_paced() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("burst.pcap");
    for (protocol, ipv6) in PROTOCOLS.into_iter().zip([false, true]) {
        let traffic = Traffic { flows: 200_000, packets: 200_000, ipv6, protocol: TCP, length: 60 };
        capture(&file, &traffic, 5)?;
        let replayed = replay(&[&file], protocol, &ONE_RECORD)?;
        replayed.books.all_exported()?;
        equal(&traffic.truth(), &Flows::by_tuple(&replayed.nfcapd.clean()?), Columns::WITHOUT_TTL)?;
        let seen = wire::judge(&replayed.sniffed.recording)?;
        ensure!(
            seen.messages_after_template <= 20,
            "data {} messages after its template",
            seen.messages_after_template
        );
        ensure!(seen.longest_message > 1_300, "messages are filled to {} octets only", seen.longest_message);
    }
    Ok(())
}

#[test]
fn a_table_too_small_is_still_exact() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("many.pcap");
    let traffic = Traffic { flows: 20_000, packets: 60_000, ipv6: false, protocol: UDP, length: 60 };
    capture(&file, &traffic, 5)?;
    let mut options = vec!["--flows", "1K"];
    options.extend(ONE_RECORD);
    let replayed = replay(&[&file], "ipfix", &options)?;
    replayed.books.all_exported()?;
    equal(&traffic.truth(), &Flows::by_tuple(&replayed.nfcapd.clean()?), Columns::WITHOUT_TTL)
}

#[test]
fn the_ingress_interface_and_the_domain_are_as_asked() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("a.pcap");
    let traffic = Traffic { flows: 10, packets: 20, ipv6: true, protocol: TCP, length: 100 };
    capture(&file, &traffic, 1_000)?;
    for protocol in PROTOCOLS {
        let replayed =
            replay(&[&file], protocol, &["--interface-index", "4711", "--observation-domain", "99"])?;
        let records = replayed.nfcapd.clean()?;
        equal(&traffic.truth(), &Flows::by_tuple(&records), Columns::WITHOUT_TTL)?;
        ensure!(records.iter().all(|record| record.ingress == Some(4_711)), "another ingress: {records:?}");
        let at = if protocol == "v9" { 16..20 } else { 12..16 };
        for datagram in &replayed.sniffed.recording.datagrams {
            let domain = datagram.payload.get(at.clone());
            let domains = [Some(&[0, 0, 0, 99][..]), Some(&[0, 0, 0, 0][..])];
            ensure!(domains.contains(&domain), "{protocol}: domain {domain:?}");
        }
    }
    Ok(())
}

#[test]
fn the_system_started_an_hour_before_the_first_packet() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("a.pcap");
    let traffic = Traffic { flows: 1, packets: 2, ipv6: false, protocol: UDP, length: 100 };
    capture(&file, &traffic, SECOND / 2)?;
    let replayed = replay(&[&file], "v9", &[])?;
    for datagram in &replayed.sniffed.recording.datagrams {
        let uptime =
            datagram.payload.get(4..8).and_then(|octets| octets.try_into().ok()).map(u32::from_be_bytes);
        // Half a second of packets, and less than two more until all has left.
        let hour = 3_600_000;
        ensure!(
            uptime.is_some_and(|uptime| (hour..hour + 2_500).contains(&uptime)),
            "an uptime of {uptime:?} ms"
        );
    }
    Ok(())
}

#[test]
fn nobody_listens() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("a.pcap");
    let traffic = Traffic { flows: 500, packets: 500, ipv6: false, protocol: UDP, length: 100 };
    capture(&file, &traffic, 1_000)?;
    let url = format!("udp://127.0.0.1:{}", udp::free_port()?);
    let ended = agent::replay(&[&file], &url, "ipfix")?.run(LIMIT)?;
    let books = agent::books(&ended)?;
    books.balance()?;
    ensure!(books.lost_total().packets + books.exported.packets == 500, "{books:?}");
    let delivered = books.lost_total().packets == 0;
    ensure!(ended.code == Some(i32::from(!delivered)), "exit status {:?} with {books:?}", ended.code);
    Ok(())
}

/// nfdump 1.7 takes an interval of the sampler that stands behind the packet space for that space, and shows
/// twice the packets. Without a preset the volume must not be doubled.
#[test]
fn nfdump_without_its_preset_shows_each_packet_once() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("traffic.pcap");
    let traffic = Traffic { flows: 40, packets: 400, ipv6: false, protocol: UDP, length: 100 };
    capture(&file, &traffic, 1_000)?;
    for protocol in ["ipfix", "v9", "v5"] {
        let nfcapd = Nfcapd::start(None)?;
        let url = format!("udp://127.0.0.1:{}", nfcapd.port());
        agent::replay(&[&file], &url, protocol)?.run(LIMIT)?.success()?;
        // nfcapd complains of interface names of variable length; its records count.
        let records = nfcapd.stop()?.records;
        equal(&traffic.truth(), &Flows::by_tuple(&records), Columns::WITHOUT_TTL)?;
    }
    Ok(())
}

/// A file gives each collector its fields: tshark and nfcapd find no TTL in the records of one that leaves it out.
#[test]
fn a_collector_has_the_fields_of_its_list() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("some.pcap");
    let traffic = Traffic { flows: 20, packets: 100, ipv6: false, protocol: UDP, length: 100 };
    capture(&file, &traffic, 1_000)?;
    for protocol in PROTOCOLS {
        for (fields, has_ttl) in
            [("\"default\"", true), ("\"default\", \"-minimumTTL\", \"-maximumTTL\"", false)]
        {
            let nfcapd = Nfcapd::start(None)?;
            let sniffer = Sniffer::start(nfcapd.port(), None)?;
            let settings = directory.path().join("flowxdp.toml");
            let exporter =
                format!("collector = \"{}\"\nprotocol = \"{protocol}\"\nfields = [{fields}]\n", nfcapd.url());
            std::fs::write(&settings, format!("[[exporter]]\n{exporter}"))?;
            let replay =
                agent::program()?.arg("replay").arg(&file).arg("--json").arg("--config").arg(&settings);
            agent::books(&replay.run(LIMIT)?.success()?)?.all_exported()?;
            let sniffed = sniffer.stop()?;
            equal(&traffic.truth(), &Flows::by_tuple(&nfcapd.stop()?.clean()?), Columns::WITHOUT_TTL)?;
            let records = tshark::judge(sniffed.file(), sniffed.port)?.clean()?;
            ensure!(!records.is_empty(), "{protocol}: no record");
            for record in records {
                ensure!(
                    record.sums.min_ttl.is_some() == has_ttl && record.sums.max_ttl.is_some() == has_ttl,
                    "{protocol} {fields}: {record:?}"
                );
            }
        }
    }
    Ok(())
}
