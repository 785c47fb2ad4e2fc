//! pcap: byte orders, units of time, versions, and ends in the middle.

use super::build::{BIG, LITTLE};
use super::{Fault, Owned, fault, frames, read};

#[test]
fn both_orders_and_both_units_of_time() {
    for writer in [LITTLE, BIG] {
        for (magic, unit) in [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)] {
            let mut file = writer.pcap(magic, 4, 1);
            file.extend(writer.record(1_700_000_000, 999_999, 1514, &[7; 60]));
            file.extend(writer.record(u32::MAX, 5, 0, &[]));
            let time = 1_700_000_000_000_000_000 + 999_999 * unit;
            let last = u64::from(u32::MAX) * 1_000_000_000 + 5 * unit;
            assert_eq!(
                frames(&file),
                [
                    Owned { time_ns: time, wire: 1514, link: 1, data: vec![7; 60] },
                    Owned { time_ns: last, wire: 0, link: 1, data: vec![] },
                ]
            );
        }
    }
}

#[test]
fn a_wire_length_below_the_captured_one_is_raised() {
    let file = [LITTLE.pcap(0xa1b2_c3d4, 4, 101), LITTLE.record(0, 0, 3, &[0x45; 40])].concat();
    assert_eq!(frames(&file)[0].wire, 40);
}

#[test]
fn frame_check_sequence_bits_are_no_part_of_the_link_type() {
    let file = [BIG.pcap(0xa1b2_c3d4, 4, 0x2400_0071), BIG.record(0, 0, 0, &[])].concat();
    assert_eq!(frames(&file)[0].link, 113);
}

#[test]
fn version_2_3_may_have_exchanged_its_lengths() {
    let mut file = LITTLE.pcap(0xa1b2_c3d4, 3, 1);
    file.extend(LITTLE.words(&[0, 0, 60, 20]));
    file.extend([1; 20]);
    file.extend(LITTLE.record(0, 0, 60, &[2; 20]));
    let both = frames(&file);
    assert!(both.iter().all(|frame| (frame.wire, frame.data.len()) == (60, 20)), "{both:?}");
}

#[test]
fn other_versions_are_refused() {
    for minor in [0, 2, 5] {
        let (offset, fault) = fault(&LITTLE.pcap(0xa1b2_c3d4, minor, 1), 0);
        assert_eq!((offset, fault.to_string()), (0, format!("pcap version 2.{minor} is not supported")));
    }
}

#[test]
fn a_cut_is_told_apart_from_a_clean_end_at_every_octet() {
    let head = LITTLE.pcap(0xa1b2_c3d4, 4, 1);
    let whole = [head.clone(), LITTLE.record(1, 0, 9, &[1; 9]), LITTLE.record(2, 0, 5, &[2; 5])].concat();
    let ends = [24, 49, 70];
    for length in 4..=whole.len() {
        let (found, error) = read(&whole[..length]);
        let packets = ends.iter().filter(|end| **end <= length).count();
        assert_eq!(found.len(), packets.saturating_sub(1), "cut at {length}");
        assert_eq!(error.is_none(), ends.contains(&length), "cut at {length}: {error:?}");
        if length > 24 && !ends.contains(&length) {
            let (offset, fault) = fault(&whole[..length], packets - 1);
            assert_eq!(offset, ends[packets - 1] as u64);
            assert!(matches!(fault, Fault::Cut("packet record")), "{fault}");
        }
    }
}

#[test]
fn a_link_type_that_cannot_be_metered_is_named_with_its_place() {
    let file = [LITTLE.pcap(0xa1b2_c3d4, 4, 147), LITTLE.record(0, 0, 1, &[0])].concat();
    let error = read(&file).1.unwrap().to_string();
    assert!(error.starts_with("a.pcap: at octet 24: link type 147 is not supported"), "{error}");
    assert!(read(&LITTLE.pcap(0xa1b2_c3d4, 4, 147)).1.is_none(), "no packet, no fault");
}
