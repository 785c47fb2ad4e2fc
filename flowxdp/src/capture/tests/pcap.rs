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
                    Owned { time_ns: Some(time), wire: 1514, link: 1, data: vec![7; 60] },
                    Owned { time_ns: Some(last), wire: 0, link: 1, data: vec![] },
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
fn versions_before_2_4_have_the_lengths_of_their_writers() {
    // Each packet is 60 octets long on the wire, of which 20 were captured.
    let exchanged = [LITTLE.words(&[0, 0, 60, 20]), vec![1; 20]].concat();
    let usual = LITTLE.record(0, 0, 60, &[2; 20]);
    for (minor, records) in [
        (0, vec![&exchanged, &exchanged]),
        (1, vec![&exchanged]),
        (2, vec![&exchanged]),
        (3, vec![&exchanged, &usual]),
        (4, vec![&usual]),
    ] {
        let file =
            [LITTLE.pcap(0xa1b2_c3d4, minor, 1), records.into_iter().flatten().copied().collect()].concat();
        let found = frames(&file);
        assert!(found.iter().all(|frame| (frame.wire, frame.data.len()) == (60, 20)), "2.{minor}: {found:?}");
    }
    let mut file = BIG.pcap(0xa1b2_c3d4, 0, 1);
    file[4..6].copy_from_slice(&543_u16.to_be_bytes());
    file.extend([BIG.words(&[7, 0, 9, 5]), vec![3; 5]].concat());
    assert_eq!(frames(&file), [Owned { time_ns: Some(7_000_000_000), wire: 9, link: 1, data: vec![3; 5] }]);
}

#[test]
fn other_versions_are_refused() {
    let (offset, fault) = fault(&LITTLE.pcap(0xa1b2_c3d4, 5, 1), 0);
    assert_eq!((offset, fault.to_string()), (0, "pcap version 2.5 is not supported".to_owned()));
}

#[test]
fn a_fraction_may_lead_out_of_the_range_of_times() {
    let last = LITTLE.record(u32::MAX, 999_999, 1, &[1]);
    let beyond = LITTLE.record(u32::MAX, 1_000_000, 1, &[2]);
    let found = frames(&[LITTLE.pcap(0xa1b2_c3d4, 4, 1), last, beyond].concat());
    assert_eq!(found[0].time_ns, Some((1 << 32) * 1_000_000_000 - 1_000));
    assert_eq!(found[1].time_ns, None);
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
fn a_link_type_that_cannot_be_metered_is_handed_on_with_its_place() {
    let file = [LITTLE.pcap(0xa1b2_c3d4, 4, 147), LITTLE.record(0, 0, 1, &[0])].concat();
    let mut reader = super::Reader::new("a.pcap", &file[..]).unwrap();
    let frame = reader.next().unwrap().unwrap();
    assert_eq!((frame.link, frame.offset, frame.wire), (147, 24, 1));
    assert!(reader.next().unwrap().is_none());
}
