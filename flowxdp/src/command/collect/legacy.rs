//! NetFlow v1, v5 and v7, whose records have one fixed shape, as records of elements.

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

/// The records of a whole v1 message, which the crate does not read; `None` if it is not as long as it says.
pub(super) fn from_v1(header: &Header, message: &[u8]) -> Option<Vec<Record>> {
    const HEADER: usize = 16;
    const RECORD: usize = 48;
    let (records, rest) = message.get(HEADER..)?.as_chunks::<RECORD>();
    let whole = rest.is_empty() && records.len() == usize::from(header.count);
    whole.then(|| records.iter().map(|octets| record(header, v1(octets))).collect())
}

/// The fields of a v1 record: element, place and length of each. The next hop is an address too.
const V1: [(u16, usize, usize); 14] = [
    (8, 0, 4),
    (12, 4, 4),
    (15, 8, 4),
    (7, 32, 2),
    (11, 34, 2),
    (4, 38, 1),
    (5, 39, 1),
    (6, 40, 1),
    (10, 12, 2),
    (14, 14, 2),
    (2, 16, 4),
    (1, 20, 4),
    (22, 24, 4),
    (21, 28, 4),
];

fn v1(octets: &[u8; 48]) -> Vec<(Key, Value)> {
    V1.map(|(id, at, length)| Key::Element(0, id).field(octets.get(at..at + length).unwrap_or_default()))
        .into()
}

fn address(id: u16, address: std::net::Ipv4Addr) -> (Key, Value) {
    (Key::Element(0, id), Value::Address(address.into()))
}

fn number(id: u16, number: impl Into<u64>) -> (Key, Value) {
    (Key::Element(0, id), Value::Unsigned(number.into()))
}

fn record(header: &Header, fields: Vec<(Key, Value)>) -> Record {
    let mut record = Record { fields, ..Record::default() };
    record.complete_times(|uptime| header.wall_ms(uptime));
    record
}
