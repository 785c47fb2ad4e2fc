//! Messages to the octet.

use flowxdp_core::exporting::legacy::Version;

use crate::{T0, at, ipv4, session};

/// TCP, ICMP on an interface whose index is too large, and the longest that the header can place.
const V5: &str = "
    0005 0003       version, count
    0036 fc1b       SysUptime: one hour and 3.483 s
    6ae9 b0a3       unix_secs
    1cc9 fec0       unix_nsecs: 483 ms
    0000 0000       flow_sequence
    0c 0d           engine type and id: what is low in the observation domain
    0000            sampling_interval

    c000 0201 c633 6402 0000 0000   srcaddr, dstaddr, nexthop
    0003 0000                       input, output
    0000 0005 0000 0b81             dPkts, dOctets
    0036 e72b 0036 ee7f             First, Last
    c000 01bb                       srcport, dstport
    00 1b 06 b8                     pad1, tcp_flags, prot, tos
    0000 0000 00 00 0000            src_as, dst_as, src_mask, dst_mask, pad2

    c000 0201 c633 6402 0000 0000   srcaddr, dstaddr, nexthop
    0000 0000                       input (unknown), output
    0000 0005 0000 0b81             dPkts, dOctets
    0036 e72b 0036 ee7f             First, Last
    0000 0800                       srcport, dstport: an echo request
    00 00 01 b8                     pad1, tcp_flags, prot, tos
    0000 0000 00 00 0000            src_as, dst_as, src_mask, dst_mask, pad2

    c000 0201 c633 6402 0000 0000   srcaddr, dstaddr, nexthop
    ffff 0000                       input, output
    0000 0005 ffff ffff             dPkts, dOctets
    0000 0000 0036 fc1b             First, Last: from system start to the export
    c000 0035                       srcport, dstport
    00 00 11 b8                     pad1, tcp_flags, prot, tos
    0000 0000 00 00 0000            src_as, dst_as, src_mask, dst_mask, pad2
";

const V7: &str = "
    0007 0001       version, count
    0036 fc1b       SysUptime
    6ae9 b0a3       unix_secs
    1cc9 fec0       unix_nsecs
    0000 0000       flow_sequence
    0000 0000       reserved

    c000 0201 c633 6402 0000 0000   srcaddr, dstaddr, nexthop
    0003 0000                       input, output
    0000 0005 0000 0b81             dPkts, dOctets
    0036 e72b 0036 ee7f             First, Last
    c000 01bb                       srcport, dstport
    00 1b 06 b8                     flags, tcp_flags, prot, tos
    0000 0000 00 00 0000            src_as, dst_as, src_mask, dst_mask, flags
    0000 0000                       router_sc
";

const V1: &str = "
    0001 0001       version, count
    0036 fc1b       SysUptime
    6ae9 b0a3       unix_secs
    1cc9 fec0       unix_nsecs

    c000 0201 c633 6402 0000 0000   srcaddr, dstaddr, nexthop
    0003 0000                       input, output
    0000 0005 0000 0b81             dPkts, dOctets
    0036 e72b 0036 ee7f             First, Last
    c000 01bb                       srcport, dstport
    0000 06 b8 1b                   pad1, prot, tos, tcp_flags
    00 0000 0000 0000               pad2
";

/// The octets at the beginning of each line, before the first word that is not hexadecimal.
fn octets(text: &str) -> String {
    let is_hex = |word: &&str| matches!(word.len(), 2 | 4) && word.bytes().all(|c| c.is_ascii_hexdigit());
    text.lines().flat_map(|line| line.split_whitespace().take_while(is_hex)).collect()
}

#[test]
fn messages_are_those_of_the_descriptions() {
    let icmp = ipv4(1, 8 << 8).with(|flow| flow.key.ingress = 0x1_0003);
    let large = ipv4(17, 53).with(|flow| {
        flow.key.ingress = 0xffff;
        flow.octets = u64::from(u32::MAX);
        (flow.start_ms, flow.end_ms) = (T0 - 3_600_000, T0 + 3_483);
    });
    let tcp = ipv4(6, 443);
    for (version, records, text) in
        [(Version::V5, &[tcp, icmp, large][..], V5), (Version::V7, &[tcp], V7), (Version::V1, &[tcp], V1)]
    {
        let mut session = session(version);
        for record in records {
            session.push(record, at(0)).unwrap();
        }
        let message = session.poll_message(at(3_483), false).unwrap();
        let hex: String = message.bytes.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(hex, octets(text), "{version:?}");
        assert_eq!((message.domain, message.templates_only), (0x0a0b_0c0d, false));
    }
}

#[test]
fn a_recycled_buffer_gives_the_same_octets() {
    for version in Version::ALL {
        let mut sessions = [session(version), session(version)];
        let mut all = [Vec::new(), Vec::new()];
        for round in 0..50 {
            for (reuse, session) in sessions.iter_mut().enumerate() {
                for port in 0..=round {
                    session.push(&ipv4(6, port), at(u64::from(round))).unwrap();
                }
                while let Some(message) = session.poll_message(at(u64::from(round)), round % 3 == 0) {
                    all[reuse].push(message.bytes.clone());
                    if reuse == 1 {
                        session.recycle(message);
                    }
                }
            }
        }
        assert_eq!(all[0], all[1]);
        assert!(all[0].len() > 10);
    }
}
