//! A collector of its own: reads messages by the octets' places in Cisco's tables.

use flowxdp_core::exporting::legacy::Version;
use flowxdp_core::record::{Addresses, EndReason, Flow, FlowKey, FlowRecord};
use flowxdp_core::samples;

/// A message as read.
pub(crate) struct Read {
    pub(crate) export_ms: u64,
    pub(crate) uptime: u64,
    pub(crate) sequence: Option<u32>,
    pub(crate) records: Vec<FlowRecord>,
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().fold(0, |value, octet| value << 8 | u64::from(*octet))
}

/// Reads a message, and holds it to the rules of its version.
pub(crate) fn read(version: Version, bytes: &[u8]) -> Read {
    let (number_of_version, header, length, most, sequence) = match version {
        Version::V1 => (1, 16, 48, 24, None),
        Version::V5 => (5, 24, 48, 30, Some(16)),
        Version::V7 => (7, 24, 52, 27, Some(16)),
    };
    assert_eq!(number(bytes, 0, 2), number_of_version);
    let count = number(bytes, 2, 2);
    assert!((1..=most).contains(&count), "{count} records");
    assert_eq!(bytes.len(), header + count as usize * length);
    let (uptime, nanoseconds) = (number(bytes, 4, 4), number(bytes, 12, 4));
    assert!(nanoseconds < 1_000_000_000 && nanoseconds % 1_000_000 == 0);
    let export_ms = number(bytes, 8, 4) * 1000 + nanoseconds / 1_000_000;
    let records = bytes[header..].chunks(length).map(|octets| record(version, octets, export_ms, uptime));
    Read {
        export_ms,
        uptime,
        sequence: sequence.map(|at| number(bytes, at, 4) as u32),
        records: records.collect(),
    }
}

fn record(version: Version, octets: &[u8], export_ms: u64, uptime: u64) -> FlowRecord {
    let array = |at: usize| octets[at..at + 4].try_into().unwrap();
    // Milliseconds before the export, in 32 bits that wrap.
    let time = |at| export_ms - u64::from((uptime as u32).wrapping_sub(number(octets, at, 4) as u32));
    let flags = if version == Version::V1 { 40 } else { 37 };
    let known = [8..12, 14..16, 36..37, flags + if flags == 40 { 1 } else { 3 }..octets.len()];
    for zeros in known {
        assert!(octets[zeros].iter().all(|octet| *octet == 0));
    }
    Flow {
        key: FlowKey {
            addresses: Addresses::V4 { source: array(0), destination: array(4) },
            source_port: number(octets, 32, 2) as u16,
            destination_port: number(octets, 34, 2) as u16,
            protocol: octets[38],
            tos: octets[39],
            ingress: number(octets, 12, 2) as u32,
            ..samples::KEY
        },
        packets: number(octets, 16, 4),
        octets: number(octets, 20, 4),
        start_ms: time(24),
        end_ms: time(28),
        tcp_flags: octets[flags].into(),
        end_reason: EndReason::Forced,
        ..samples::LEGACY
    }
    .into()
}
