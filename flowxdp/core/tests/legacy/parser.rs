//! A parser that others wrote reads v5 and v7 the same.

use flowxdp_core::exporting::legacy::Version;
use netflow_parser::{NetflowPacket, NetflowParser};

use crate::{at, ipv4, session};

/// Fields that both versions have, of the first record.
macro_rules! fields {
    ($message:expr) => {{
        let (header, flow) = (&$message.header, &$message.flowsets[0]);
        assert_eq!((header.count, $message.flowsets.len()), (2, 2));
        assert_eq!(
            (header.unix_secs, header.unix_nsecs, header.flow_sequence),
            (1_793_700_002, 1_000_000, 2)
        );
        assert_eq!(header.sys_up_time, 3_602_001);
        assert_eq!((flow.first, flow.last), (3_600_000 - 1877, 3_600_000 - 1));
        assert_eq!((flow.src_addr.octets(), flow.dst_addr.octets()), ([192, 0, 2, 1], [198, 51, 100, 2]));
        assert_eq!((flow.d_pkts, flow.d_octets, flow.input, flow.output), (5, 2945, 3, 0));
        assert_eq!((flow.src_port, flow.dst_port, flow.tcp_flags, flow.tos), (49152, 443, 0x1b, 0xb8));
        assert_eq!((flow.protocol_number, flow.src_as, flow.dst_as), (6, 0, 0));
    }};
}

#[test]
fn a_foreign_parser_reads_the_same() {
    for version in [Version::V5, Version::V7] {
        let mut session = session(version);
        for ms in [1, 2001] {
            session.push(&ipv4(6, 443), at(0)).unwrap();
            session.push(&ipv4(6, 444), at(0)).unwrap();
            let message = session.poll_message(at(ms), true).unwrap();
            if ms == 1 {
                continue;
            }
            let result = NetflowParser::builder().build().unwrap().parse_bytes(&message.bytes);
            assert!(result.error.is_none());
            match &result.packets[..] {
                [NetflowPacket::V5(v5)] => {
                    fields!(v5);
                    let header = &v5.header;
                    let engine = (header.engine_type, header.engine_id, header.sampling_interval);
                    assert_eq!(engine, (0x0c, 0x0d, 0));
                }
                [NetflowPacket::V7(v7)] => fields!(v7),
                other => panic!("{other:?}"),
            }
        }
    }
}
