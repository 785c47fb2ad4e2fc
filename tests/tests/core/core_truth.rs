//! Truth files, sums and comparisons: equal ones pass, and every difference is named.

use std::fs;
use std::path::Path;

use anyhow::Result;
use flowxdp_tests::books::Books;
use flowxdp_tests::captures;
use flowxdp_tests::compare::{Columns, differences, equal};
use flowxdp_tests::flows::{Flows, Key, Record};
use flowxdp_tests::handmade::{truth, truths};
use flowxdp_tests::truth::Truth;

const HEAD: &str = "src,dst,proto,sport,dport,packets,octets,tcp_flags,first_ms,last_ms,min_ttl,max_ttl";
const ROW: &str = "10.0.0.1,fe80::1,6,1,2,3,400,0x1b,1000,2000,63,64";

fn write(directory: &Path, metered: u64, not_ip: u64) -> Result<()> {
    fs::write(directory.join("a.5.csv"), format!("{HEAD}\n{ROW}\n"))?;
    fs::write(directory.join("a.vlan.csv"), format!("{HEAD},vlan,tos\n{ROW},7,40\n"))?;
    let ignored = format!(r#"{{"not_ip": {not_ip}, "truncated": 0, "malformed": 1}}"#);
    let books = format!(
        r#"{{"frames": 6, "metered_packets": {metered}, "metered_octets": 400, "ignored": {ignored}}}"#
    );
    Ok(fs::write(directory.join("a.ignored.json"), books)?)
}

#[test]
fn truth_files_are_read_whole() -> Result<()> {
    let directory = tempfile::tempdir()?;
    write(directory.path(), 3, 2)?;
    let truth = Truth::read(directory.path(), "a")?;
    let (key, sums) = truth.vlan_flows.rows().next().unwrap();
    assert_eq!((key.vlan, key.tos, sums.flags, sums.first_ms), (Some(7), Some(40), Some(0x1b), Some(1000)));
    assert_eq!((sums.min_ttl, sums.max_ttl, truth.flows.len()), (Some(63), Some(64), 1));
    assert_eq!(truth.ignored.get("not_ip"), Some(&2));
    let both = Truth::joined([&truth, &truth]).unwrap();
    assert_eq!((both.frames, both.flows.totals(), both.flows.len()), (12, (6, 800), 1));
    Ok(())
}

#[test]
fn truth_files_that_contradict_each_other_are_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    write(directory.path(), 4, 1)?;
    assert!(Truth::read(directory.path(), "a").is_err());
    write(directory.path(), 3, 1)?;
    assert!(Truth::read(directory.path(), "a").is_err());
    Ok(())
}

#[test]
fn captures_without_truth_and_empty_directories_are_errors() -> Result<()> {
    let directory = tempfile::tempdir()?;
    assert!(captures::read(directory.path()).is_err());
    fs::write(directory.path().join("a.pcap"), b"")?;
    assert!(captures::read(directory.path()).is_err());
    write(directory.path(), 3, 2)?;
    assert_eq!(captures::read(directory.path())?.captures.len(), 1);
    Ok(())
}

#[test]
fn equal_rows_pass_and_an_empty_truth_never() -> Result<()> {
    equal(&truths(0..5), &truths(0..5), Columns::ALL)?;
    assert!(equal(&Flows::default(), &Flows::default(), Columns::ALL).is_err());
    Ok(())
}

#[test]
fn missing_and_extra_rows_are_named() {
    let found = differences(&truths(0..5), &truths(1..6), Columns::ALL);
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with("missing") && found[0].contains("10.0.0.0"));
    assert!(found[1].starts_with("extra") && found[1].contains("10.0.0.5"));
}

#[test]
fn every_column_is_compared() {
    let right = truths(0..1);
    let wrong = [
        right.map(|row| row.packets += 1),
        right.map(|row| row.octets -= 1),
        right.map(|row| row.flags = Some(2)),
        right.map(|row| row.first_ms = row.first_ms.map(|ms| ms + 1)),
        right.map(|row| row.last_ms = row.last_ms.map(|ms| ms - 1)),
        right.map(|row| row.min_ttl = Some(1)),
        right.map(|row| row.max_ttl = None),
    ];
    for wrong in wrong {
        assert_eq!(differences(&right, &wrong, Columns::ALL).len(), 1, "{wrong:?}");
    }
}

#[test]
fn records_of_one_key_are_summed() {
    let (key, sums) = truth(4);
    let record = Record { key, sums, end_reason: None, ingress: None, exported_s: None };
    let other = Record { key: Key { vlan: Some(6), ..key }, ..record.clone() };
    let flows = Flows::by_tuple([&record, &other]);
    assert_eq!((flows.len(), flows.totals()), (1, (2 * sums.packets, 2 * sums.octets)));
    assert_eq!(Flows::by_vlan([&record, &other]).len(), 2);
}

/// The books of a collector `c` and an interface `i`, with this much exported.
fn books(exported: u64) -> Result<Books> {
    let row = |n: u64| format!(r#"{{"packets":{n},"octets":{n},"records":1}}"#);
    let none = row(0);
    let ignored = format!(r#"{{"not_ip":{},"truncated":{none},"malformed":{none}}}"#, row(2));
    let seen = row(7);
    let interface = format!(r#"{{"seen":{seen},"ignored":{ignored},"lost":{{}}}}"#);
    let collector = format!(
        r#"{{"exported":{},"queued":{none},"lost":{none},"lost_by_reason":{{}},"perhaps_twice":{none},"inherited":{none},"inherited_exported":{none},"inherited_lost":{none}}}"#,
        row(exported)
    );
    Books::parse(&format!(
        r#"{{"seen":{seen},"exported":{},"queued":{none},"in_table":{none},"ignored":{ignored},"lost":{{"full":{none}}},"interfaces":{{"i":{interface}}},"collectors":{{"c":{collector}}},"bracket":{{"before":{seen},"after":{seen}}}}}"#,
        row(exported)
    ))
}

#[test]
fn books_must_balance() -> Result<()> {
    books(5)?.all_exported()?;
    assert!(books(4)?.balance().is_err());
    assert!(Books::parse("{}").is_err());
    Ok(())
}
