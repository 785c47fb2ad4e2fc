//! Flow records to export, and flow records made again from a collector's fields.

use flowxdp_core::clock::Now;
use flowxdp_core::exporting::session::{Message, Protocol, Session, SessionConfig};
use flowxdp_core::record::{Addresses, EndReason, Flow, FlowKey, FlowRecord};
use flowxdp_core::samples;

use crate::collector::{DataRecord, Read, number};

pub(crate) const BOTH: [Protocol; 2] = [Protocol::Ipfix, Protocol::V9];
/// 2026-11-03 10:00:00.000 UTC.
pub(crate) const T0: u64 = 1_793_700_000_000;
/// System start of the sessions here: one hour before.
pub(crate) const SYSTEM_START: u64 = T0 - 3_600_000;

/// Milliseconds after [`T0`], on both clocks.
pub(crate) fn at(ms: u64) -> Now {
    Now::new(1_000_000 * (3_600_000 + ms), T0 + ms)
}

pub(crate) fn session(protocol: Protocol) -> Session {
    Session::new(SessionConfig::new(protocol, SYSTEM_START)).unwrap()
}

/// All messages that are ready.
pub(crate) fn drain(session: &mut Session, now: Now, flush: bool) -> Vec<Message> {
    std::iter::from_fn(|| session.poll_message(now, flush)).collect()
}

pub(crate) fn ipv4(protocol: u8, destination_port: u16) -> FlowRecord {
    Flow {
        key: FlowKey {
            addresses: Addresses::V4 { source: [192, 0, 2, 1], destination: [198, 51, 100, 2] },
            source_port: if matches!(protocol, 1 | 58) { 0 } else { 49152 },
            destination_port,
            protocol,
            tos: 0xb8,
            vlan: 7,
            ingress: 3,
        },
        packets: 5,
        octets: 2945,
        start_ms: T0 - 1877,
        end_ms: T0 - 1,
        tcp_flags: if protocol == 6 { 0x1b } else { 0 },
        ttl_min: 61,
        length_min: 40,
        length_max: 1500,
        end_reason: EndReason::EndOfFlow,
        ..samples::FLOW
    }
    .into()
}

pub(crate) fn ipv6(protocol: u8, destination_port: u16) -> FlowRecord {
    let address = |last| [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    ipv4(protocol, destination_port).with(|flow| {
        flow.key.addresses = Addresses::V6 { source: address(1), destination: address(2) };
        flow.end_reason = EndReason::IdleTimeout;
    })
}

/// The flow record that a collector makes of a data record, by element number alone.
pub(crate) fn flow(read: &Read, data: &DataRecord) -> FlowRecord {
    let get = |ids: &[u16]| data.fields.iter().find(|(id, _)| ids.contains(id)).map(|(_, octets)| octets);
    let value = |ids: &[u16]| number(get(ids).unwrap());
    let time = |ms: u16, uptime: u16| match get(&[uptime]) {
        None => value(&[ms]),
        Some(octets) => {
            // Milliseconds before the export, in 32 bits that wrap.
            let before = (read.uptime as u32).wrapping_sub(number(octets) as u32);
            read.export_secs * 1000 - u64::from(before)
        }
    };
    let aggregate = get(&[3]).is_some();
    let unless_aggregate = |id: u16| {
        assert_eq!(get(&[id]).is_none(), aggregate, "{id}");
        if aggregate { 0 } else { value(&[id]) }
    };
    let array = |id| get(&[id]).unwrap().as_slice();
    let key = FlowKey {
        addresses: if get(&[8]).is_some() {
            Addresses::V4 { source: array(8).try_into().unwrap(), destination: array(12).try_into().unwrap() }
        } else {
            Addresses::V6 {
                source: array(27).try_into().unwrap(),
                destination: array(28).try_into().unwrap(),
            }
        },
        source_port: unless_aggregate(7) as u16,
        destination_port: value(&[11]) as u16,
        protocol: value(&[4]) as u8,
        tos: unless_aggregate(5) as u8,
        vlan: unless_aggregate(58) as u16,
        ingress: value(&[10]) as u32,
    };
    assert_eq!(get(&[32, 139, 178]).is_some(), key.is_icmp());
    for id in [32, 139] {
        assert!(get(&[id]).is_none_or(|octets| number(octets) == value(&[11])));
    }
    if get(&[178]).is_some() {
        assert_eq!(value(&[178]) << 8 | value(&[179]), value(&[11]));
    }
    assert_eq!((value(&[60]), value(&[61])), (if get(&[8]).is_some() { 4 } else { 6 }, 0));
    if aggregate {
        let any = [&[12][..], &[28]].iter().any(|id| get(id).is_some_and(|it| it.iter().all(|o| *o == 0)));
        let all = if get(&[8]).is_some() { 32 } else { 128 };
        assert_eq!((value(&[9, 29]), value(&[13, 30])), (0, if any { 0 } else { all }));
        assert_eq!((value(&[3]), value(&[136])), (value(&[2]), 5));
    }
    let reasons = [
        EndReason::IdleTimeout,
        EndReason::ActiveTimeout,
        EndReason::EndOfFlow,
        EndReason::Forced,
        EndReason::LackOfResources,
    ];
    Flow {
        key,
        packets: value(&[2]),
        octets: value(&[1]),
        start_ms: time(152, 22),
        end_ms: time(153, 21),
        tcp_flags: value(&[6]) as u16,
        ttl_min: value(&[52]) as u8,
        ttl_max: value(&[53]) as u8,
        length_min: value(&[25]) as u16,
        length_max: value(&[26]) as u16,
        end_reason: if aggregate { EndReason::Aggregated } else { reasons[value(&[136]) as usize - 1] },
    }
    .into()
}

/// `record` as `protocol` can say it, which may have less room.
pub(crate) fn as_exported(protocol: Protocol, record: &FlowRecord) -> FlowRecord {
    record.with(|flow| {
        if protocol == Protocol::V9 {
            flow.tcp_flags &= 0xff;
        }
        if flow.end_reason == EndReason::Aggregated {
            (flow.key.source_port, flow.key.tos, flow.key.vlan) = (0, 0, 0);
        }
    })
}
