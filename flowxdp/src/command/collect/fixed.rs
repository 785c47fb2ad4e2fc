//! NetFlow v5 and v7, whose records have one fixed shape, as records of elements.

use netflow_parser::static_versions::{v5, v7};

use super::header::Header;
use super::record::{Key, Record};
use super::value::Value;

/// The fields that both versions have, by the numbers of the elements that mean the same.
macro_rules! fields {
    ($flow:expr) => {
        [
            address(8, $flow.src_addr),
            address(12, $flow.dst_addr),
            address(15, $flow.next_hop),
            number(7, $flow.src_port),
            number(11, $flow.dst_port),
            number(4, $flow.protocol_number),
            number(5, $flow.tos),
            number(6, $flow.tcp_flags),
            number(10, $flow.input),
            number(14, $flow.output),
            number(2, $flow.d_pkts),
            number(1, $flow.d_octets),
            number(22, $flow.first),
            number(21, $flow.last),
            number(16, $flow.src_as),
            number(17, $flow.dst_as),
            number(9, $flow.src_mask),
            number(13, $flow.dst_mask),
        ]
    };
}

pub(super) fn from_v5(header: &Header, flow: &v5::FlowSet) -> Record {
    record(header, fields!(flow).into())
}

pub(super) fn from_v7(header: &Header, flow: &v7::FlowSet) -> Record {
    record(header, fields!(flow).into())
}

fn address(id: u16, address: std::net::Ipv4Addr) -> (Key, Value) {
    (Key::Element(0, id), Value::Address(address.into()))
}

fn number(id: u16, number: impl Into<u64>) -> (Key, Value) {
    (Key::Element(0, id), Value::Unsigned(number.into()))
}

fn record(header: &Header, fields: Vec<(Key, Value)>) -> Record {
    let mut record = Record { options: false, fields };
    record.complete_times(|uptime| header.wall_ms(uptime));
    record
}
