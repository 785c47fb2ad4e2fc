//! The crate netflow_parser, which shares no code with us, reads the same fields.

use flowxdp_core::exporting::session::{Protocol, Session, SessionConfig};
use flowxdp_core::record::FlowRecord;
use netflow_parser::variable_versions::field_value::FieldValue;
use netflow_parser::variable_versions::ipfix::lookup::IPFixField;
use netflow_parser::variable_versions::v9::lookup::V9Field;
use netflow_parser::variable_versions::{ipfix, v9};
use netflow_parser::{NetflowPacket, NetflowParser};
use proptest::prelude::*;
use proptest::sample::select;

use crate::collector::{Collector, DataRecord};
use crate::properties::record;
use crate::samples::{BOTH, SYSTEM_START, at, drain};

/// The octets of a field as the crate understood them.
fn octets(value: &FieldValue) -> Vec<u8> {
    let mut octets = Vec::new();
    value.write_be_bytes(&mut octets).unwrap();
    octets
}

/// Numbers of templates, and the data records, that the crate found in one message.
fn parse(parser: &mut NetflowParser, message: &[u8]) -> (usize, Vec<DataRecord>) {
    let result = parser.parse_bytes(message);
    assert!(result.error.is_none(), "{:?}", result.error);
    let (mut templates, mut records) = (0, Vec::new());
    match result.packets.as_slice() {
        [NetflowPacket::IPFix(packet)] => {
            for set in &packet.flowsets {
                match &set.body {
                    ipfix::FlowSetBody::Template(_) => templates += 1,
                    ipfix::FlowSetBody::Templates(several) => templates += several.len(),
                    ipfix::FlowSetBody::Data(data) => records.extend(data.fields.iter().map(|fields| {
                        let fields = fields.iter().map(|(field, value)| (ipfix_id(*field), octets(value)));
                        DataRecord { set: set.header.header_id, fields: fields.collect() }
                    })),
                    other => panic!("{other:?}"),
                }
            }
        }
        [NetflowPacket::V9(packet)] => {
            for set in &packet.flowsets {
                match &set.body {
                    v9::FlowSetBody::Template(several) => templates += several.templates.len(),
                    v9::FlowSetBody::Data(data) => records.extend(data.fields.iter().map(|fields| {
                        let fields = fields.iter().map(|(field, value)| (u16::from(*field), octets(value)));
                        DataRecord { set: set.header.flowset_id, fields: fields.collect() }
                    })),
                    other => panic!("{other:?}"),
                }
            }
        }
        other => panic!("{other:?}"),
    }
    (templates, records)
}

fn ipfix_id(field: IPFixField) -> u16 {
    (0..=u16::MAX).find(|id| IPFixField::new(*id, None) == field).unwrap()
}

/// The crate keeps nine of the twelve TCP flags, and has no number for protocols without a name.
fn as_the_crate_says(mut data: DataRecord) -> DataRecord {
    for (id, octets) in &mut data.fields {
        match (*id, octets.as_mut_slice()) {
            (6, [high, _]) => *high &= 1,
            (4, [protocol]) => {
                *protocol = u8::from(netflow_parser::protocol::ProtocolTypes::from(*protocol));
            }
            _ => {}
        }
    }
    data
}

fn both_read_the_same(protocol: Protocol, records: &[FlowRecord]) {
    let mut session = Session::new(SessionConfig::new(protocol, SYSTEM_START)).unwrap();
    records.iter().for_each(|record| session.push(record, at(0)).unwrap());
    let (mut parser, mut collector) = (NetflowParser::default(), Collector::default());
    for message in drain(&mut session, at(0), true) {
        let read = collector.read(&message.bytes);
        let (templates, data) = parse(&mut parser, &message.bytes);
        assert_eq!(templates, read.templates.len());
        let expected: Vec<_> = read.records.into_iter().map(as_the_crate_says).collect();
        assert_eq!(data, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn netflow_parser_reads_the_same(
        protocol in select(BOTH.to_vec()), records in prop::collection::vec(record(), 1..80),
    ) {
        both_read_the_same(protocol, &records);
    }
}

#[test]
fn it_knows_every_element_of_v9() {
    for element in &flowxdp_core::elements::ELEMENTS {
        assert_eq!(u16::from(V9Field::from(element.id)), element.id, "{}", element.name);
    }
}
