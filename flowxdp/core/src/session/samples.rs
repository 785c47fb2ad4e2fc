//! The record that tests of sessions push.

use crate::record::{Addresses, EndReason, FlowKey, FlowRecord};

pub(super) fn record(port: u16) -> FlowRecord {
    FlowRecord {
        key: FlowKey {
            addresses: Addresses::V4 { source: [192, 0, 2, 1], destination: [192, 0, 2, 2] },
            source_port: port,
            destination_port: 53,
            protocol: 17,
            tos: 0,
            vlan: 0,
            ingress: 2,
        },
        packets: 1,
        octets: 60,
        start_ms: 1_000_000,
        end_ms: 1_000_000,
        tcp_flags: 0,
        ttl_min: 64,
        ttl_max: 64,
        length_min: 60,
        length_max: 60,
        end_reason: EndReason::IdleTimeout,
        ticket: crate::record::Ticket::NONE,
    }
}
