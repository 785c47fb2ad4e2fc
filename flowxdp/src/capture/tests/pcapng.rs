//! pcapng: sections, interfaces, clocks, and the three blocks that carry packets.

use super::build::{BIG, LITTLE, Writer};
use super::{Owned, frames};

fn file(writer: Writer, options: &[u8], blocks: &[Vec<u8>]) -> Vec<u8> {
    [writer.section(), writer.interface(1, 0, options), blocks.concat()].concat()
}

#[test]
fn enhanced_packets_in_both_orders() {
    for writer in [LITTLE, BIG] {
        let file = file(writer, &[], &[writer.enhanced(0, 1_700_000_000_123_456, 90, &[3; 61])]);
        assert_eq!(
            frames(&file),
            [Owned { time_ns: Some(1_700_000_000_123_456_000), wire: 90, link: 1, data: vec![3; 61] }]
        );
    }
}

#[test]
fn simple_packets_have_no_time_and_the_snap_length_of_their_interface() {
    let simple = |wire: u32, data: &[u8]| BIG.block(3, &[&BIG.u32(wire)[..], data].concat());
    let file = [
        BIG.section(),
        BIG.interface(113, 6, &[]),
        BIG.interface(1, 0, &[]),
        simple(5, &[1; 5]),
        simple(70, &[2; 6]),
    ]
    .concat();
    assert_eq!(
        frames(&file),
        [
            Owned { time_ns: Some(0), wire: 5, link: 113, data: vec![1; 5] },
            Owned { time_ns: Some(0), wire: 70, link: 113, data: vec![2; 6] },
        ]
    );
}

#[test]
fn obsolete_packets_count_drops_beside_their_interface() {
    for writer in [LITTLE, BIG] {
        let fields = [writer.u16(1), writer.u16(77)].concat();
        let body = [fields, writer.words(&[0, 1_500_000, 5, 9]), vec![4; 5]].concat();
        let file = [
            writer.section(),
            writer.interface(1, 0, &[]),
            writer.interface(276, 0, &[]),
            writer.block(2, &body),
        ]
        .concat();
        assert_eq!(
            frames(&file),
            [Owned { time_ns: Some(1_500_000_000), wire: 9, link: 276, data: vec![4; 5] }]
        );
    }
}

#[test]
fn clocks_of_either_base_with_an_offset() {
    let seconds = |offset: i64| LITTLE.option(14, &offset.to_le_bytes());
    for (resolution, ticks, offset, time) in [
        (9, 1_234_567_891, 0, 1_234_567_891),
        (3, 1_234, 0, 1_234_000_000),
        (0, 7, 3, 10_000_000_000),
        (12, 1_999, 0, 1),
        (127, u64::MAX, 2, 2_000_000_000),
        (0x80 | 10, 1536, 0, 1_500_000_000),
        (0x80 | 32, 1 << 31, 0, 500_000_000),
        (0x80 | 127, u64::MAX, 1, 1_000_000_000),
        (6, 5_000_000, -5, 0),
    ] {
        let options = [LITTLE.option(9, &[resolution]), seconds(offset), LITTLE.option(0, &[])].concat();
        let file = file(LITTLE, &options, &[LITTLE.enhanced(0, ticks, 0, &[])]);
        assert_eq!(frames(&file)[0].time_ns, Some(time), "if_tsresol {resolution}, if_tsoffset {offset}");
    }
}

#[test]
fn times_out_of_range_are_none_and_the_rest_is_read() {
    let option = |resolution, offset: i64| {
        [LITTLE.option(9, &[resolution]), LITTLE.option(14, &offset.to_le_bytes())].concat()
    };
    for (resolution, ticks, offset, time) in [
        (6, 4_999_999, -5, None),
        (6, 0, i64::MIN, None),
        (6, u64::MAX, i64::MAX, None),
        (9, u64::MAX, 0, None),
        (0, u64::MAX, i64::MIN, None),
        (0, 1 << 32, 0, None),
        (0, (1 << 32) - 1, 0, Some(((1 << 32) - 1) * 1_000_000_000)),
        (0, 1 << 40, -(1 << 40), Some(0)),
    ] {
        let packets = [LITTLE.enhanced(0, ticks, 1, &[1]), LITTLE.enhanced(0, ticks, 2, &[2; 2])];
        let found = frames(&file(LITTLE, &option(resolution, offset), &packets));
        let times: Vec<_> = found.iter().map(|frame| (frame.time_ns, frame.wire)).collect();
        assert_eq!(times, [(time, 1), (time, 2)], "{ticks} of if_tsresol {resolution}, {offset}");
    }
}

#[test]
fn options_behind_the_end_of_options_are_not_read() {
    let options = [LITTLE.option(2, b"eth0"), LITTLE.option(0, &[]), LITTLE.option(9, &[9])].concat();
    let file = file(LITTLE, &options, &[LITTLE.enhanced(0, 3, 0, &[])]);
    assert_eq!(frames(&file)[0].time_ns, Some(3_000));
}

#[test]
fn a_section_has_its_own_order_and_interfaces() {
    let first = file(LITTLE, &[], &[LITTLE.enhanced(0, 1, 1, &[1])]);
    let second = [BIG.section(), BIG.interface(101, 0, &[]), BIG.enhanced(0, 2, 1, &[2])].concat();
    let found = frames(&[first, second].concat());
    let links: Vec<_> = found.iter().map(|frame| (frame.link, frame.time_ns)).collect();
    assert_eq!(links, [(1, Some(1_000)), (101, Some(2_000))]);
}

#[test]
fn unknown_blocks_are_passed_over_whatever_their_length() {
    let blocks = [
        LITTLE.block(4, &[0; 8]),
        LITTLE.block(0x8000_0001, &vec![9; 300_000]),
        LITTLE.block(0xbad, &[]),
        LITTLE.enhanced(0, 0, 2, &[5, 6]),
        LITTLE.block(5, &[0; 12]),
    ];
    assert_eq!(frames(&file(LITTLE, &[], &blocks))[0].data, [5, 6]);
}
