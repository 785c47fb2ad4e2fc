//! Random sessions before tshark: as many records as were told, the same sums, and nothing odd.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flowxdp_core::exporting::protocol::Protocol;
use flowxdp_core::record::{Addresses, Flow};
use flowxdp_fuzz::encoder::{Delivered, export};
use flowxdp_fuzz::mutate::Random;
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::failures::Failures;
use flowxdp_tests::flows::{Flows, Key, Record, Sums, Tuple};
use flowxdp_tests::handmade::write;
use flowxdp_tests::judge::tshark;
use flowxdp_tests::pcap::{Datagram, Recording};

/// Inputs of each protocol.
const INPUTS: u64 = 6;
/// The most octets that a datagram over IPv4 holds.
const DATAGRAM: usize = 65_507;
const PORT: u16 = 4739;

/// A record as a judge must read it.
fn truth(record: &Flow) -> Record {
    let key = &record.key;
    let (src, dst): (IpAddr, IpAddr) = match key.addresses {
        Addresses::V4 { source, destination } => (source.into(), destination.into()),
        Addresses::V6 { source, destination } => (source.into(), destination.into()),
    };
    let (sport, dport) = (key.source_port, key.destination_port);
    let [_, flags] = record.tcp_flags.to_be_bytes();
    Record {
        key: Key {
            tuple: Tuple { src, dst, proto: key.protocol, sport, dport },
            vlan: Some(key.vlan),
            tos: Some(key.tos),
        },
        sums: Sums {
            packets: record.packets,
            octets: record.octets,
            flags: Some(flags),
            first_ms: Some(record.start_ms),
            last_ms: Some(record.end_ms),
            min_ttl: Some(record.ttl_min),
            max_ttl: Some(record.ttl_max),
        },
        end_reason: Some(record.end_reason as u8),
        ingress: Some(key.ingress),
        exported_s: None,
    }
}

/// Lets tshark read a session out of a recording of datagrams, or out of a file of messages.
fn judged(protocol: Protocol, session: &Delivered, is_file: bool, folder: &Path) -> Result<usize> {
    let verdict = if is_file {
        let file = folder.join("session.ipfix");
        std::fs::write(&file, session.messages.concat())?;
        tshark::nothing_found(&file)?;
        tshark::judge_file(&file)?
    } else {
        let file = folder.join("session.pcap");
        let from = (Ipv4Addr::new(192, 0, 2, 1), 40_000).into();
        let to = (Ipv4Addr::new(192, 0, 2, 2), PORT).into();
        let datagram = |payload: &Vec<u8>| Datagram { from, to, payload: payload.clone() };
        let datagrams = session.messages.iter().map(datagram).collect();
        write(&Recording { datagrams, ..Recording::default() }, &file)?;
        tshark::judge(&file, PORT)?
    };
    let read = verdict.clean()?;
    ensure!(read.len() == session.records.len(), "{} of {} records", read.len(), session.records.len());
    // Times in 32 bits of milliseconds are read as half a round before or behind the export.
    let columns = if protocol == Protocol::Ipfix { Columns::ALL } else { Columns::COUNTS };
    let truths: Vec<Record> = session.records.iter().map(truth).collect();
    equal(&Flows::by_tuple(&truths), &Flows::by_tuple(&read), columns)?;
    Ok(read.len())
}

#[test]
fn tshark_reads_what_random_sessions_send() -> Result<()> {
    let (mut failures, mut records) = (Failures::default(), [0; 6]);
    for seed in 0..6 * INPUTS {
        let mut input = Random(seed).octets(500);
        let kind = u8::try_from(seed % 6)?;
        *input.first_mut().context("an input of 500 octets")? = kind + 126 * u8::from(seed % 4 > 1);
        let export = export(&input);
        // Of the six, the third is the one over TCP.
        let is_file = kind == 2;
        for (number, session) in export.sessions.iter().enumerate() {
            if !is_file && session.messages.iter().any(|message| message.len() > DATAGRAM) {
                continue;
            }
            failures.check(&format!("seed {seed}, {}, session {number}", export.protocol), || {
                let folder = tempfile::tempdir()?;
                if !session.messages.is_empty() {
                    records[usize::from(kind)] += judged(export.protocol, session, is_file, folder.path())?;
                }
                Ok(())
            });
        }
    }
    failures.end()?;
    ensure!(records.iter().all(|count| *count > 20), "records by protocol: {records:?}");
    Ok(())
}
