//! The crate netflow_parser, which shares no code with us, reads options and flows of a whole session.

use flowxdp_core::exporting::session::Protocol;
use netflow_parser::variable_versions::{ipfix, v9};
use netflow_parser::{NetflowPacket, NetflowParser};

use crate::read::{Collector, Read};
use crate::samples::{configs, life};

/// Data records in one message: of flows and of options.
fn count(parser: &mut NetflowParser, message: &[u8]) -> usize {
    let result = parser.parse_bytes(message);
    assert!(result.error.is_none(), "{:?}", result.error);
    match result.packets.as_slice() {
        [NetflowPacket::IPFix(packet)] => {
            let bodies = packet.flowsets.iter().map(|set| match &set.body {
                ipfix::FlowSetBody::Data(data) => data.fields.len(),
                ipfix::FlowSetBody::OptionsData(data) => data.fields.len(),
                _ => 0,
            });
            bodies.sum()
        }
        [NetflowPacket::V9(packet)] => {
            let bodies = packet.flowsets.iter().map(|set| match &set.body {
                v9::FlowSetBody::Data(data) => data.fields.len(),
                v9::FlowSetBody::OptionsData(data) => data.fields.len(),
                _ => 0,
            });
            bodies.sum()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn netflow_parser_finds_every_record_of_flows_and_options() {
    for config in configs() {
        let messages = life(&config);
        // Its table of templates knows no domains, and our ids are apart in all of them.
        let mut parser = NetflowParser::default();
        let mut found = 0;
        for (message, read) in messages.iter().zip(Collector::all(&messages)) {
            let here = count(&mut parser, &message.bytes);
            assert_eq!(
                here,
                read.data().count(),
                "{:?}",
                read.sets.iter().map(|set| set.id).collect::<Vec<_>>()
            );
            found += here;
        }
        let least = if config.protocol == Protocol::V9 { 1_200 } else { 1_400 };
        assert!(found > least, "{found}");
        let all = Collector::all(&messages);
        assert_eq!(found, all.iter().flat_map(Read::data).count());
    }
}
