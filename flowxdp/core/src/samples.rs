//! The values of flow records that tests begin with: the one place that names every field.

use crate::record::{Addresses, EndReason, Flow, FlowKey, FlowRecord};

/// The key of a flow of UDP over IPv4.
pub const KEY: FlowKey = FlowKey {
    addresses: Addresses::V4 { source: [192, 0, 2, 1], destination: [192, 0, 2, 2] },
    source_port: 1,
    destination_port: 53,
    protocol: 17,
    tos: 0,
    vlan: 0,
    ingress: 2,
};

/// A flow of one packet, a millisecond after 1970 began.
pub const FLOW: Flow = Flow {
    key: KEY,
    packets: 1,
    octets: 60,
    start_ms: 1,
    end_ms: 1,
    tcp_flags: 0,
    ttl_min: 64,
    ttl_max: 64,
    length_min: 60,
    length_max: 60,
    end_reason: EndReason::IdleTimeout,
};

/// [`FLOW`] from this source port.
pub fn udp(source_port: u16) -> FlowRecord {
    Flow { key: FlowKey { source_port, ..KEY }, ..FLOW }.into()
}

/// [`FLOW`] without the values that NetFlow v5, v7 and v1 have no field for.
pub const LEGACY: Flow = Flow { ttl_min: 0, ttl_max: 0, length_min: 0, length_max: 0, ..FLOW };
