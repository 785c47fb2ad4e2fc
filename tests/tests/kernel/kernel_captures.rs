//! Every capture, replayed through the kernel into both protocols, and read by every judge.
//!
//! The project's own captures, and those of the directories in `FLOWXDP_CAPTURES`. With timeouts longer
//! than a capture each flow is one record and must be exact in every column; with the default timeouts the
//! sums must be the same, and each record must have ended when and why it should.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use anyhow::{Result, ensure};
use flowxdp_tests::captures::{self, Capture, Directory};
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::failures::{Failures, in_parallel, tell};
use flowxdp_tests::flows::{Flows, Key, Record};
use flowxdp_tests::judge::{collect, nfacctd, tshark, wire};
use flowxdp_tests::pcap::Recording;
use flowxdp_tests::replayed::{ONE_RECORD, Replayed, replay};
use flowxdp_tests::truth::Truth;

/// The default timeouts, in milliseconds.
const IDLE: u64 = 15_000;
const ACTIVE: u64 = 60_000;
/// Timeouts are looked at once a second, so a record may be as much longer; one more for the rounding.
const LATE: u64 = 2_000;
/// Flags for a replay in which each flow is one record.
const TEN_THOUSAND_HOURS: u64 = 10_000 * 3_600_000;
/// Templates come again after every 20 messages that follow them.
const TEMPLATES_EVERY: u64 = 20;
/// And after so many seconds; export times are whole seconds.
const TEMPLATES_AFTER: u32 = 601;

/// Replays every capture by itself and says how many there were.
fn each(
    protocol: &str,
    options: &[&str],
    check: impl Fn(&Capture, &Replayed, &str, &mut Failures) + Sync,
) -> Result<()> {
    each_of(protocol, options, |_| true, check)
}

/// The same of the captures that are `wanted`.
fn each_of(
    protocol: &str,
    options: &[&str],
    wanted: impl Fn(&Capture) -> bool,
    check: impl Fn(&Capture, &Replayed, &str, &mut Failures) + Sync,
) -> Result<()> {
    let mut failures = Failures::default();
    for Directory { path, mut captures } in captures::directories()? {
        captures.retain(|capture| wanted(capture));
        failures.merge(in_parallel(&captures, |capture, failures| {
            let name = format!("{} {protocol}", capture.name);
            let replayed = failures.check(&name, || replay(&[&capture.path], protocol, options));
            if let Some(replayed) = replayed {
                check(capture, &replayed, &name, failures);
            }
        }));
        tell(&format!("{protocol} {}: {} captures of {}", options.join(" "), captures.len(), path.display()));
    }
    failures.end()
}

/// Properties of every replay, with any timeouts; gives tshark's reading.
fn rules(truth: &Truth, replayed: &Replayed, name: &str, failures: &mut Failures) -> Vec<Record> {
    failures.check(&format!("{name}: books"), || replayed.books_are(truth));
    failures.check(&format!("{name}: nfcapd"), || replayed.nfcapd.clone().clean());
    failures.check(&format!("{name}: wire"), || {
        let seen = wire::judge(&replayed.sniffed.recording)?;
        let records: u64 =
            replayed.books.collectors.values().map(|collector| collector.exported_records).sum();
        ensure!(seen.data_records == records, "{} records sent, the books say {records}", seen.data_records);
        let run = seen.messages_after_template;
        ensure!(run <= TEMPLATES_EVERY, "data {run} messages after its template");
        let age = seen.seconds_after_template;
        ensure!(age <= TEMPLATES_AFTER, "data {age} s after its template");
        Ok(())
    });
    let tshark = failures.check(&format!("{name}: tshark"), || {
        let records = tshark::judge(replayed.sniffed.file(), replayed.sniffed.port)?.clean()?;
        ensure!(
            records.iter().all(|record| record.ingress == Some(1)),
            "not every record came in by interface 1"
        );
        Ok(records)
    });
    tshark.unwrap_or_default()
}

/// Templates of IPFIX records with one of the upper four TCP flags, by id.
const WIDE: RangeInclusive<u16> = 288..=291;

/// Whether an IPFIX record has TCP flags of two octets.
fn has_wide_flags(recording: &Recording) -> bool {
    let sets = recording.datagrams.iter().flat_map(|datagram| sets(&datagram.payload));
    sets.into_iter().any(|id| WIDE.contains(&id))
}

/// The ids of the sets of an IPFIX message.
fn sets(message: &[u8]) -> Vec<u16> {
    let mut ids = Vec::new();
    let mut rest = message.get(16..).unwrap_or_default();
    while let [a, b, c, d, ..] = *rest {
        ids.push(u16::from_be_bytes([a, b]));
        let length = usize::from(u16::from_be_bytes([c, d]));
        rest = rest.get(length.max(4)..).unwrap_or_default();
    }
    ids
}

/// Each key is one record, but for those that the end of a TCP connection or a leap of the clock closed.
fn one_for_each(keys: &Flows, records: &[Record]) -> Result<()> {
    let of = |reason| records.iter().filter(|record| record.end_reason == Some(reason)).count();
    let (idle, active, closed, forced) = (of(1), of(2), of(3), of(4));
    ensure!(idle + active + closed + forced == records.len(), "end reasons are not 1 to 4");
    ensure!(forced <= keys.len(), "{forced} records for {} keys", keys.len());
    let spans = keys.rows().filter_map(|(_, sums)| sums.last_ms.zip(sums.first_ms));
    let (last, first) = spans.fold((0, u64::MAX), |(l, f), (last, first)| (l.max(last), f.min(first)));
    ensure!(idle + active == 0 || last - first >= TEN_THOUSAND_HOURS, "{idle} idle, {active} active ones");
    Ok(())
}

fn one_record_for_each_flow(protocol: &str) -> Result<()> {
    each(protocol, &ONE_RECORD, |capture, replayed, name, failures| {
        let truth = &capture.truth;
        let dissected = rules(truth, replayed, name, failures);
        let stored = &replayed.nfcapd.records;
        let columns = Columns::ALL;
        failures.check(&format!("{name}: nfcapd's rows"), || {
            equal(&truth.flows, &Flows::by_tuple(stored), Columns { ttl: false, ..columns })?;
            ensure!(stored.len() == dissected.len(), "{} of {} records", stored.len(), dissected.len());
            Ok(())
        });
        failures.check(&format!("{name}: tshark's rows"), || {
            equal(&truth.flows, &Flows::by_tuple(&dissected), columns)?;
            equal(&truth.vlan_flows, &Flows::by_vlan(&dissected), columns)?;
            one_for_each(&truth.vlan_flows, &dissected)
        });
        failures.check(&format!("{name}: nfacctd"), || {
            let read = nfacctd::judge(replayed.sniffed.file())?.clean()?;
            // nfdump reads flags of two octets as 0.
            let flags = protocol != "ipfix" || !has_wide_flags(&replayed.sniffed.recording);
            equal(&truth.flows, &Flows::by_tuple(&read), Columns { flags, ..Columns::COUNTS })
        });
        failures.check(&format!("{name}: flowxdp collect"), || {
            let read = collect::judge(&replayed.sniffed.recording.datagrams)?.clean()?;
            equal(&truth.vlan_flows, &Flows::by_vlan(&read), columns)
        });
    })
}

#[test]
fn each_flow_is_one_exact_record_in_ipfix() -> Result<()> {
    one_record_for_each_flow("ipfix")
}

#[test]
fn each_flow_is_one_exact_record_in_v9() -> Result<()> {
    one_record_for_each_flow("v9")
}

/// Whether each record ended when and why it should, with the default timeouts.
fn ends(truth: &Truth, records: &[Record]) -> Result<()> {
    let mut by_key: BTreeMap<Key, Vec<&Record>> = BTreeMap::new();
    for record in records {
        by_key.entry(record.key).or_default().push(record);
        let (Some(first), Some(last)) = (record.sums.first_ms, record.sums.last_ms) else {
            anyhow::bail!("a record without times: {record:?}");
        };
        ensure!(first <= last, "it starts after its end: {record:?}");
        ensure!(last - first <= ACTIVE + LATE, "it lasted longer than the active timeout: {record:?}");
        let exported = record.exported_s.map(|seconds| (seconds + 1) * 1_000);
        ensure!(exported.is_some_and(|exported| last < exported), "it ended after its export: {record:?}");
        let closing =
            record.key.tuple.proto == 6 && record.sums.flags.is_some_and(|flags| flags & 0b101 != 0);
        match record.end_reason {
            Some(1 | 4) => {}
            Some(2) => {
                ensure!(last - first + LATE >= ACTIVE - IDLE, "too short for an active timeout: {record:?}")
            }
            Some(3) => ensure!(closing, "no FIN or RST, and still the end of the flow: {record:?}"),
            other => anyhow::bail!("end reason {other:?}: {record:?}"),
        }
    }
    for (key, sums) in truth.vlan_flows.rows() {
        let lasted = sums.last_ms.zip(sums.first_ms).map_or(0, |(last, first)| last - first);
        let records = by_key.get(key).map_or(0, Vec::len);
        ensure!(lasted <= ACTIVE + LATE || records > 1, "{key} lasted {lasted} ms and is one record");
    }
    Ok(())
}

fn the_same_sums_with_default_timeouts(protocol: &str) -> Result<()> {
    each(protocol, &[], |capture, replayed, name, failures| {
        let truth = &capture.truth;
        let dissected = rules(truth, replayed, name, failures);
        failures.check(&format!("{name}: nfcapd's rows"), || {
            equal(&truth.flows, &Flows::by_tuple(&replayed.nfcapd.records), Columns::WITHOUT_TTL)
        });
        failures.check(&format!("{name}: tshark's rows"), || {
            equal(&truth.vlan_flows, &Flows::by_vlan(&dissected), Columns::ALL)
        });
        failures.check(&format!("{name}: ends"), || ends(truth, &dissected));
    })
}

#[test]
fn default_timeouts_give_the_same_sums_in_ipfix() -> Result<()> {
    the_same_sums_with_default_timeouts("ipfix")
}

#[test]
fn default_timeouts_give_the_same_sums_in_v9() -> Result<()> {
    the_same_sums_with_default_timeouts("v9")
}

/// All captures in one call are one table, one clock and one session.
fn several_files(protocol: &str) -> Result<()> {
    let captures = captures::all()?;
    let files: Vec<_> = captures.iter().map(|capture| &capture.path).collect();
    let truths = captures.iter().map(|capture| &capture.truth);
    let Some(truth) = Truth::joined(truths) else { anyhow::bail!("there is no capture") };
    let replayed = replay(&files, protocol, &[])?;
    let (mut failures, columns) = (Failures::default(), Columns::ALL);
    let dissected = rules(&truth, &replayed, protocol, &mut failures);
    failures.check("nfcapd's rows", || {
        equal(&truth.flows, &Flows::by_tuple(&replayed.nfcapd.records), Columns { ttl: false, ..columns })
    });
    failures.check("tshark's rows", || equal(&truth.vlan_flows, &Flows::by_vlan(&dissected), columns));
    failures.end()
}

#[test]
fn several_files_in_one_call_in_ipfix() -> Result<()> {
    several_files("ipfix")
}

#[test]
fn several_files_in_one_call_in_v9() -> Result<()> {
    several_files("v9")
}

/// Captures whose truth has rows for these options: the same rows, and books that balance.
fn rows_by(protocol: &str, options: &[&str], rows: impl Fn(&Truth) -> Option<&Flows> + Sync) -> Result<()> {
    let has_rows = |capture: &Capture| rows(&capture.truth).is_some();
    ensure!(captures::all()?.iter().any(has_rows), "no capture has rows for {options:?}");
    let all: Vec<&str> = ONE_RECORD.iter().chain(options).copied().collect();
    each_of(protocol, &all, has_rows, |capture, replayed, name, failures| {
        let Some(rows) = rows(&capture.truth) else { return };
        failures.check(&format!("{name}: books"), || octets_are(&capture.truth, rows, replayed));
        failures.check(&format!("{name}: nfcapd's rows"), || {
            let read = replayed.nfcapd.clone().clean()?;
            equal(rows, &Flows::by_tuple(&read), Columns { ttl: false, ..Columns::ALL })
        });
        failures.check(&format!("{name}: tshark's rows"), || {
            let read = tshark::judge(replayed.sniffed.file(), replayed.sniffed.port)?.clean()?;
            equal(rows, &Flows::by_tuple(&read), Columns::ALL)
        });
        failures.check(&format!("{name}: flowxdp collect"), || {
            let read = collect::judge(&replayed.sniffed.recording.datagrams)?.clean()?;
            equal(rows, &Flows::by_tuple(&read), Columns::ALL)
        });
    })
}

/// Every packet is exported, and the octets are those of the rows; headers outside of them are counted apart.
fn octets_are(truth: &Truth, rows: &Flows, replayed: &Replayed) -> Result<()> {
    let books = &replayed.books;
    books.all_exported()?;
    let exported = (books.exported.packets, books.exported.octets);
    ensure!(exported == rows.totals(), "exported {exported:?}, true {:?}", rows.totals());
    let outside: u64 = books.interfaces.values().map(|interface| interface.unwrapped.octets).sum();
    let whole = books.exported.octets + outside;
    ensure!(
        whole == truth.metered_octets,
        "{whole} octets with {outside} outside, not {}",
        truth.metered_octets
    );
    for (reason, packets) in &truth.ignored {
        let counted = books.ignored.get(reason).map_or(0, |row| row.packets);
        ensure!(counted == *packets, "{reason}: {counted} packets ignored, true {packets}");
    }
    Ok(())
}

const INNER: [&str; 2] = ["--tunnels", "inner"];
const JOIN: [&str; 2] = ["--fragments", "join"];

#[test]
fn packets_in_tunnels_are_metered_by_their_own_header_in_ipfix() -> Result<()> {
    rows_by("ipfix", &INNER, |truth| truth.inner.as_ref())
}

#[test]
fn packets_in_tunnels_are_metered_by_their_own_header_in_v9() -> Result<()> {
    rows_by("v9", &INNER, |truth| truth.inner.as_ref())
}

#[test]
fn fragments_are_joined_in_ipfix() -> Result<()> {
    rows_by("ipfix", &JOIN, |truth| truth.joined.as_ref())
}

#[test]
fn fragments_are_joined_in_v9() -> Result<()> {
    rows_by("v9", &JOIN, |truth| truth.joined.as_ref())
}
