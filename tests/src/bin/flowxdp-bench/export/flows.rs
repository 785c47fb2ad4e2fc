//! Flows that are all different: as records, and as packets of a capture.

use std::path::Path;

use anyhow::{Result, ensure};
use flowxdp_core::clock::{Now, SECOND};
use flowxdp_core::record::{self, Addresses, FlowKey, FlowRecord};
use flowxdp_core::samples;
use flowxdp_tests::pcap::{self, Datagram};

use super::decode::Flow;

/// Milliseconds since 1970.
pub(crate) const SYSTEM_START: u64 = 1_700_000_000_000;
/// When the records are exported.
pub(crate) const NOW: Now = Now::new(3_600 * SECOND, SYSTEM_START + 3_600_000);

/// Octets of each packet's payload in the capture.
const PAYLOAD: usize = 18;

/// Records that come again and again: as many as stay in a cache, as those of an agent come out of its own.
const RECORDS: u64 = 4096;

/// IPv4, one in sixteen ICMP, the others TCP and UDP.
pub(crate) fn records() -> Vec<FlowRecord> {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let mut random = || {
        // xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..RECORDS).map(|_| record(random(), random())).collect()
}

fn record(one: u64, other: u64) -> FlowRecord {
    let [a, b, c, d, e, f, g, h] = one.to_be_bytes();
    let [i, j, k, l, ..] = other.to_be_bytes();
    let protocol = match one % 16 {
        0 => 1,
        1..=7 => 17,
        _ => 6,
    };
    let source_port = if protocol == 1 { 0 } else { u16::from_be_bytes([i, j]) };
    record::Flow {
        key: FlowKey {
            addresses: Addresses::V4 { source: [a, b, c, d], destination: [e, f, g, h] },
            source_port,
            destination_port: u16::from_be_bytes([k, l]),
            protocol,
            ..samples::KEY
        },
        packets: 1 + other % 100,
        octets: 40 + other % 100_000,
        start_ms: NOW.wall_ms - 60_000 - one % 60_000,
        end_ms: NOW.wall_ms - other % 60_000,
        tcp_flags: if protocol == 6 { 0x1b } else { 0 },
        ttl_min: 63,
        length_min: 40,
        length_max: 1500,
        ..samples::FLOW
    }
    .into()
}

/// The packet of one flow of the capture, and its time, microseconds since 1970.
pub(crate) fn packet(flow: u32) -> Result<(u64, Vec<u8>)> {
    let [_, high, middle, low] = flow.to_be_bytes();
    let datagram = Datagram {
        from: ([10, high, middle, low], 1024 + u16::from(low)).into(),
        to: ([192, 0, 2, 1], 53).into(),
        payload: vec![0; PAYLOAD],
    };
    Ok((SYSTEM_START * 1000 + u64::from(flow) * 20, pcap::frame(&datagram)?))
}

/// Writes a capture with one packet of UDP for each flow, 20 µs apart.
pub(crate) fn capture(path: &Path, flows: u32) -> Result<()> {
    let mut writer = pcap::Writer::create(path)?;
    for flow in 0..flows {
        let (time, frame) = packet(flow)?;
        writer.frame(time, &frame)?;
    }
    writer.finish()
}

/// The capture's flows, in order, as a collector must get them.
pub(crate) fn captured(flows: u32) -> Vec<Flow> {
    let destination = u32::from_be_bytes([192, 0, 2, 1]);
    let octets = 20 + 8 + PAYLOAD as u64;
    let flow = |flow: u32| {
        let source = u32::from_be_bytes([10, 0, 0, 0]) | flow & 0xff_ffff;
        [source.into(), destination.into(), 1024 + u64::from(flow & 0xff), 53, 17, 1, octets]
    };
    let mut flows: Vec<Flow> = (0..flows).map(flow).collect();
    flows.sort_unstable();
    flows
}

/// The received flows must equal the captured ones, each once, with its counters.
pub(crate) fn same(came: &[Flow], captured: &[Flow], who: &str) -> Result<()> {
    let differs = came.iter().zip(captured).find(|(one, other)| one != other);
    ensure!(
        came == captured,
        "{who}: {} records came of {} flows; the first that differ: {differs:?}",
        came.len(),
        captured.len()
    );
    Ok(())
}
