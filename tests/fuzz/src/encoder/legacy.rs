//! Messages of NetFlow v1, v5 and v7, by the places in Cisco's tables; v5 and v7 also by netflow_parser.

use flowxdp_core::record::{Addresses, EndReason, Flow, FlowKey};
use flowxdp_core::samples;
use netflow_parser::{NetflowPacket, NetflowParser};

use super::{Read, number};

/// Reads a message. Fields that no version has are as in [`as_told`].
pub(super) fn read(bytes: &[u8]) -> Read {
    let at = |place: usize, length: usize| number(&bytes[place..place + length]);
    let (header, length, most, has_sequence) = match at(0, 2) {
        1 => (16, 48, 24, false),
        5 => (24, 48, 30, true),
        7 => (24, 52, 27, true),
        other => unreachable!("version {other}"),
    };
    let (count, nanoseconds) = (at(2, 2), at(12, 4));
    assert!((1..=most).contains(&count), "{count} records");
    assert_eq!(bytes.len() as u64, header + count * length);
    assert!(nanoseconds < 1_000_000_000 && nanoseconds.is_multiple_of(1_000_000));
    let export_ms = at(8, 4) * 1000 + nanoseconds / 1_000_000;
    let word = |place| u32::from_be_bytes([0, 1, 2, 3].map(|it: usize| bytes[place + it]));
    let uptime = word(4);
    let (header, length) = (if has_sequence { 24 } else { 16 }, if at(0, 2) == 7 { 52 } else { 48 });
    let records: Vec<Flow> =
        bytes[header..].chunks(length).map(|octets| record(at(0, 2), octets, export_ms, uptime)).collect();
    if has_sequence {
        same(bytes, &records, export_ms);
    }
    let sequence = has_sequence.then(|| word(16));
    let engine = if at(0, 2) == 5 { Some(at(20, 2)) } else { None };
    Read { export_ms, uptime, sequence, engine, records, ..Read::default() }
}

fn record(version: u64, octets: &[u8], export_ms: u64, uptime: u32) -> Flow {
    let at = |place: usize, length: usize| number(&octets[place..place + length]);
    let short = |place: usize| u16::from_be_bytes([octets[place], octets[place + 1]]);
    let four = |place: usize| [0, 1, 2, 3].map(|it| octets[place + it]);
    // Milliseconds before the export, in 32 bits that wrap.
    let time = |place| export_ms - u64::from(uptime.wrapping_sub(u32::from_be_bytes(four(place))));
    let flags = if version == 1 { 40 } else { 37 };
    let behind = if version == 1 { 41 } else { 40 };
    for zeros in [8..12, 14..16, 36..37, behind..octets.len()] {
        assert!(octets[zeros].iter().all(|octet| *octet == 0), "{octets:?}");
    }
    Flow {
        key: FlowKey {
            addresses: Addresses::V4 { source: four(0), destination: four(4) },
            source_port: short(32),
            destination_port: short(34),
            protocol: octets[38],
            tos: octets[39],
            ingress: short(12).into(),
            ..samples::KEY
        },
        packets: at(16, 4),
        octets: at(20, 4),
        start_ms: time(24),
        end_ms: time(28),
        tcp_flags: octets[flags].into(),
        end_reason: EndReason::Forced,
        ..samples::LEGACY
    }
}

/// The parts of a record that a legacy version has.
pub(super) fn as_told(record: &Flow) -> Flow {
    let ingress = if record.key.ingress > 0xffff { 0 } else { record.key.ingress };
    Flow {
        key: FlowKey { vlan: 0, ingress, ..record.key },
        tcp_flags: record.tcp_flags & 0xff,
        ttl_min: 0,
        ttl_max: 0,
        length_min: 0,
        length_max: 0,
        end_reason: EndReason::Forced,
        ..*record
    }
}

/// The common fields of v5 and v7.
macro_rules! flows {
    ($message:expr, $export_ms:expr) => {{
        let header = &$message.header;
        let time = |uptime: u32| $export_ms - u64::from(header.sys_up_time.wrapping_sub(uptime));
        let flows = $message.flowsets.iter().map(|flow| Flow {
            key: FlowKey {
                addresses: Addresses::V4 {
                    source: flow.src_addr.octets(),
                    destination: flow.dst_addr.octets(),
                },
                source_port: flow.src_port,
                destination_port: flow.dst_port,
                protocol: flow.protocol_number,
                tos: flow.tos,
                ingress: flow.input.into(),
                ..samples::KEY
            },
            packets: flow.d_pkts.into(),
            octets: flow.d_octets.into(),
            start_ms: time(flow.first),
            end_ms: time(flow.last),
            tcp_flags: flow.tcp_flags.into(),
            end_reason: EndReason::Forced,
            ..samples::LEGACY
        });
        flows.collect::<Vec<_>>()
    }};
}

fn same(bytes: &[u8], records: &[Flow], export_ms: u64) {
    let result = NetflowParser::default().parse_bytes(bytes);
    assert!(result.error.is_none(), "{:?}", result.error);
    let flows = match &result.packets[..] {
        [NetflowPacket::V5(message)] => flows!(message, export_ms),
        [NetflowPacket::V7(message)] => flows!(message, export_ms),
        other => unreachable!("no one message: {other:?}"),
    };
    assert_eq!(flows, records, "the foreign parser reads another thing");
}
