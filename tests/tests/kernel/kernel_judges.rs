//! The judges themselves, on right and on wrong messages, and on an exporter that is not ours.
//!
//! A judge that cannot fail proves nothing: each must name the faults that it is there for.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::flows::Flows;
use flowxdp_tests::handmade::{
    Message, TEMPLATE, TIME, UPTIME, flow, recording, right, template, truth, truths, write,
};
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::judge::{Verdict, collect, nfacctd, tshark, wire};
use flowxdp_tests::pcap::{Datagram, Recording, Writer};
use flowxdp_tests::process::Program;
use flowxdp_tests::sniff::Sniffer;
use flowxdp_tests::traffic::{TCP, Traffic, UDP};
use flowxdp_tests::udp::{Inbox, resend};

const VERSIONS: [u16; 2] = [9, 10];

/// Sends messages to a fresh nfcapd.
fn nfcapd(messages: &[Message]) -> Result<Verdict> {
    let nfcapd = Nfcapd::start(None)?;
    let recording = recording(messages, nfcapd.port());
    resend(&recording.datagrams, nfcapd.port(), || Ok(()))?;
    nfcapd.stop()
}

/// Lets a judge read a recording out of a file.
fn from_file(recording: &Recording, judge: impl Fn(&Path) -> Result<Verdict>) -> Result<Verdict> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("export.pcap");
    write(recording, &file)?;
    judge(&file)
}

fn tshark(messages: &[Message]) -> Result<Verdict> {
    from_file(&recording(messages, 4739), |file| tshark::judge(file, 4739))
}

fn complains(verdict: Verdict, words: &str) -> Result<()> {
    let found = verdict.findings.iter().any(|finding| finding.contains(words));
    ensure!(found, "{words:?} is not in {:?}", verdict.findings);
    Ok(())
}

#[test]
fn nfcapd_reads_right_messages() -> Result<()> {
    for version in VERSIONS {
        let records = nfcapd(&right(version))?.clean()?;
        equal(&truths(0..9), &Flows::by_tuple(&records), Columns::WITHOUT_TTL)?;
        assert_eq!(records[0].key.tos, truth(0).0.tos);
    }
    Ok(())
}

#[test]
fn nfcapd_notices_a_gap() -> Result<()> {
    for version in VERSIONS {
        let [one, two] = right(version);
        let two = Message { sequence: two.sequence + 2, ..two };
        complains(nfcapd(&[one, two])?, "Sequence Errors: 1")?;
    }
    Ok(())
}

#[test]
fn nfcapd_logs_a_cut_record_and_a_long_set() -> Result<()> {
    let [one, _] = right(10);
    let cut = [flow(8), flow(9)[..20].to_vec()].concat();
    complains(nfcapd(&[one.clone().set(TEMPLATE, &cut)])?, "beyond")?;
    complains(nfcapd(&[one.set_of_length(TEMPLATE, 300, &flow(8))])?, "length error")
}

#[test]
fn nfcapd_lacks_flows_without_template() -> Result<()> {
    let records = nfcapd(&[Message::new(10, 0).flows(0..5)])?.records;
    assert!(equal(&truths(0..5), &Flows::by_tuple(&records), Columns::COUNTS).is_err());
    Ok(())
}

#[test]
fn tshark_reads_right_messages() -> Result<()> {
    for version in VERSIONS {
        let records = tshark(&right(version))?.clean()?;
        equal(&truths(0..9), &Flows::by_tuple(&records), Columns::ALL)?;
        let (key, _) = truth(0);
        assert_eq!((records[0].key, records[0].end_reason), (key, Some(1)));
        assert_eq!(records[0].exported_s, Some(u64::from(TIME)));
    }
    Ok(())
}

#[test]
fn tshark_notices_a_gap() -> Result<()> {
    for version in VERSIONS {
        let [one, two] = right(version);
        complains(tshark(&[one, Message { sequence: 77, ..two }])?, "Unexpected flow sequence")?;
    }
    Ok(())
}

#[test]
fn tshark_notices_data_without_template_and_empty_sets() -> Result<()> {
    for version in VERSIONS {
        complains(tshark(&[Message::new(version, 0).flows(0..5)])?, "emplate")?;
        let [one, _] = right(version);
        complains(tshark(&[one.set(TEMPLATE, &[])])?, "alformed")?;
    }
    Ok(())
}

#[test]
fn tshark_notices_what_is_no_export_message() -> Result<()> {
    let [one, _] = right(10);
    complains(tshark(&[Message { version: 77, ..one }])?, "not an export message")
}

#[test]
fn tshark_reads_uptimes_across_their_wrap() -> Result<()> {
    // The flow began 2 s before the uptime wrapped and ended 1 s after, 10 s before the export.
    let fields = template(300, &[(8, 4), (12, 4), (4, 1), (2, 4), (1, 4), (22, 4), (21, 4)]);
    let (end, start) = (UPTIME - 10_000, (UPTIME - 13_000_u32).wrapping_sub(UPTIME));
    let mut data = vec![10, 0, 0, 1, 10, 0, 0, 2, 17];
    for value in [1, 100, start, end.wrapping_sub(UPTIME)] {
        data.extend(value.to_be_bytes());
    }
    data.extend([0, 0, 0]);
    let mut message = Message { count: 2, ..Message::new(9, 0) }.set(0, &fields).set(300, &data);
    message.time = TIME;
    let mut recording = recording(&[message], 4739);
    recording.datagrams[0].payload[4..8].copy_from_slice(&0_u32.to_be_bytes());
    let records = from_file(&recording, |file| tshark::judge(file, 4739))?.clean()?;
    let now = u64::from(TIME) * 1_000;
    assert_eq!(records[0].sums.first_ms, Some(now - 13_000));
    assert_eq!(records[0].sums.last_ms, Some(now - 10_000));
    Ok(())
}

#[test]
fn nfacctd_reads_right_messages_and_notices_a_gap() -> Result<()> {
    for version in VERSIONS {
        let verdict = from_file(&recording(&right(version), 4739), nfacctd::judge)?;
        equal(&truths(0..9), &Flows::by_tuple(&verdict.clean()?), Columns::COUNTS)?;
    }
    let lost = from_file(&recording(&right(10)[1..], 4739), nfacctd::judge)?;
    assert!(equal(&truths(5..9), &Flows::by_tuple(&lost.records), Columns::COUNTS).is_err());
    Ok(())
}

/// A capture of our own making, for softflowd to read: 20 flows of UDP and 20 of TCP.
fn capture(path: &Path) -> Result<Flows> {
    let mut writer = Writer::create(path)?;
    let mut truth = Flows::default();
    for (start, protocol) in [(0, UDP), (1, TCP)] {
        let traffic = Traffic { flows: 20, packets: 60, ipv6: false, protocol, length: 100 };
        for packet in 0..60 {
            let time = 1_700_000_000_000_000 + u64::from(start * 60 + packet) * 10_000;
            writer.frame(time, &traffic.frame(packet % 20))?;
        }
        truth.merge(&traffic.truth());
    }
    writer.finish()?;
    Ok(truth)
}

fn softflowd(capture: &Path, port: u16, version: &str) -> Result<Program> {
    let directory = capture.parent().context("a directory")?;
    let softflowd = Program::find("softflowd")?.arg("-r").arg(capture);
    let softflowd = softflowd.args(["-n", &format!("127.0.0.1:{port}"), "-v", version, "-A", "milli", "-d"]);
    Ok(softflowd.arg("-p").arg(directory.join("pid")).args(["-c", "none"]))
}

#[test]
fn softflowd_counts_right_and_breaks_the_rules() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("flows.pcap");
    let truth = capture(&file)?;
    for (version, fault) in [("9", "multiple of 4"), ("10", "sequence")] {
        let nfcapd = Nfcapd::start(None)?;
        let sniffer = Sniffer::start(nfcapd.port(), None)?;
        softflowd(&file, nfcapd.port(), version)?.run(Duration::from_secs(20))?.success()?;
        let sniffed = sniffer.stop()?;
        let stored = nfcapd.stop()?;
        equal(&truth, &Flows::by_tuple(&stored.records), Columns::COUNTS)?;
        let seen = tshark::judge(sniffed.file(), sniffed.port)?;
        equal(&truth, &Flows::by_tuple(&seen.records), Columns::COUNTS)?;
        let error = wire::judge(&sniffed.recording).err().context("softflowd has no fault any more")?;
        ensure!(error.to_string().contains(fault), "{error:#}");
    }
    Ok(())
}

#[test]
fn an_inbox_receives_what_tcpdump_would_see() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("flows.pcap");
    capture(&file)?;
    let inbox = Inbox::new()?;
    let sniffer = Sniffer::start(inbox.port(), None)?;
    let exporter = softflowd(&file, inbox.port(), "10")?.start()?;
    let (received, _) = inbox.during(exporter, Duration::from_secs(20))?;
    let payloads =
        |datagrams: &[Datagram]| datagrams.iter().map(|one| one.payload.clone()).collect::<Vec<_>>();
    assert!(!received.is_empty());
    assert_eq!(payloads(&received), payloads(&sniffer.stop()?.recording.datagrams));
    Ok(())
}

#[test]
fn our_collector_reads_right_messages() -> Result<()> {
    for version in VERSIONS {
        let records = collect::judge(&recording(&right(version), 4739).datagrams)?.clean()?;
        equal(&truths(0..9), &Flows::by_tuple(&records), Columns::ALL)?;
        assert_eq!((records[0].key, records[0].end_reason), (truth(0).0, Some(1)));
        // Without their template, the flows of the second message are not there.
        let lost = collect::judge(&recording(&right(version)[1..], 4739).datagrams)?;
        assert!(lost.clean().is_err());
    }
    Ok(())
}
