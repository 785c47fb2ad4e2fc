//! The record that tests of sessions push.

use crate::record::FlowRecord;
use crate::samples;

pub(super) fn record(port: u16) -> FlowRecord {
    samples::udp(port).with(|flow| (flow.start_ms, flow.end_ms) = (1_000_000, 1_000_000))
}
