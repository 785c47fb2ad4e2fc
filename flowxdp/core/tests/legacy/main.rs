//! NetFlow v5, v7 and v1 as a collector sees them: records in, messages out, read back by readers that
//! share no code with the encoder.
#![allow(
    clippy::cast_possible_truncation,
    clippy::panic,
    clippy::unwrap_used,
    reason = "every function here is part of a test"
)]

mod collector;
mod golden;
mod parser;
mod properties;

use flowxdp_core::clock::Now;
use flowxdp_core::exporting::legacy::{Legacy, LegacyConfig, Version};
use flowxdp_core::record::{Addresses, EndReason, Flow, FlowKey, FlowRecord};
use flowxdp_core::samples;

/// 2026-11-03 10:00:00.000 UTC.
const T0: u64 = 1_793_700_000_000;
/// System start of the sessions here: one hour before.
const SYSTEM_START: u64 = T0 - 3_600_000;

/// Milliseconds after [`T0`], on both clocks.
fn at(ms: u64) -> Now {
    Now::new(1_000_000 * (3_600_000 + ms), T0 + ms)
}

fn session(version: Version) -> Legacy {
    let config = LegacyConfig { observation_domain: 0x0a0b_0c0d, ..LegacyConfig::new(version, SYSTEM_START) };
    Legacy::new(config).unwrap()
}

/// A record from 1,877 ms to 1 ms before [`T0`].
fn ipv4(protocol: u8, destination_port: u16) -> FlowRecord {
    Flow {
        key: FlowKey {
            addresses: Addresses::V4 { source: [192, 0, 2, 1], destination: [198, 51, 100, 2] },
            source_port: if protocol == 1 { 0 } else { 49152 },
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
        tcp_flags: if protocol == 6 { 0x11b } else { 0 },
        ttl_min: 61,
        length_min: 40,
        length_max: 1500,
        end_reason: EndReason::EndOfFlow,
        ..samples::FLOW
    }
    .into()
}
