//! Files that are cut or that lie: one clear error each, at the block that it is about.

use std::io::{self, Read};

use super::build::{BIG, LITTLE};
use super::{Fault, Reader, fault, read};

/// A section with one interface, and then `block`; returns the error of the latter.
fn said(block: &[u8]) -> String {
    let head = [LITTLE.section(), LITTLE.interface(1, 0, &[])].concat();
    let (offset, fault) = fault(&[&head, block].concat(), 0);
    assert_eq!(offset, head.len() as u64, "{fault}");
    fault.to_string()
}

#[test]
fn lengths_that_lie() {
    let enhanced = |captured| LITTLE.block(6, &LITTLE.words(&[0, 0, 0, captured, 9, 0, 0]));
    for (block, text) in [
        (LITTLE.words(&[9, 8]), "malformed block: a block length below 12"),
        (LITTLE.words(&[9, 14]), "malformed block: a block length that is not a multiple of 4"),
        (LITTLE.words(&[9, 12, 16]), "malformed block: the two lengths of a block differ"),
        (LITTLE.words(&[9, u32::MAX - 3]), "the file is cut inside the block that begins here"),
        (enhanced(9), "malformed block: a packet longer than its block"),
        (enhanced(u32::MAX), "malformed block: a packet longer than its block"),
        (LITTLE.block(6, &[0; 16]), "malformed block: a packet block too short for its fields"),
        (LITTLE.block(3, &[]), "malformed block: a packet block too short for its fields"),
        (LITTLE.block(3, &LITTLE.words(&[5, 0])), "malformed block: a packet longer than its block"),
        (LITTLE.block(1, &[0; 4]), "malformed block: an interface description too short for its fields"),
        (LITTLE.interface(1, 0, &[2, 0, 9, 0]), "malformed block: an option longer than its block"),
        (LITTLE.enhanced(1, 0, 0, &[]), "malformed block: a packet of an interface that no block described"),
    ] {
        assert_eq!(said(&block), text);
    }
}

#[test]
fn a_captured_length_beyond_the_limit_allocates_nothing() {
    let length = super::super::MAX_CAPTURED + 1;
    let file = [BIG.pcap(0xa1b2_c3d4, 4, 1), BIG.words(&[0, 0, length, length])].concat();
    let (offset, fault) = fault(&file, 0);
    assert!(matches!(fault, Fault::TooLong { length: 262_145 }) && offset == 24, "{fault}");

    let words = LITTLE.words(&[6, u32::MAX - 3, 0, 0, 0, length, length]);
    assert_eq!(said(&words), "a captured length of 262145 octets; 262144 is the most that a packet can have");
}

#[test]
fn section_headers() {
    let version = |major: u16, minor: u16| {
        let versions = [LITTLE.u16(major), LITTLE.u16(minor)].concat();
        LITTLE.block(0x0a0d_0d0a, &[&LITTLE.u32(0x1a2b_3c4d)[..], &versions, &[0; 8]].concat())
    };
    assert!(read(&version(1, 2)).1.is_none());
    for (file, text) in [
        (version(2, 0), "pcapng version 2.0 is not supported"),
        (version(1, 1), "pcapng version 1.1 is not supported"),
        (
            LITTLE.block(0x0a0d_0d0a, &[0; 16]),
            "malformed block: a section header without the byte-order magic",
        ),
        (
            LITTLE.block(0x0a0d_0d0a, &LITTLE.words(&[0x1a2b_3c4d, 1, 0])),
            "malformed block: a section header too short for its fields",
        ),
    ] {
        assert_eq!(fault(&file, 0).1.to_string(), text);
    }
}

#[test]
fn interfaces_are_bounded() {
    let file = [LITTLE.section(), LITTLE.interface(1, 0, &[]).repeat(65_537)].concat();
    let error = read(&file).1.unwrap().to_string();
    assert!(error.ends_with("malformed block: more than 65536 interfaces in one section"), "{error}");
}

#[test]
fn a_cut_at_every_octet_of_a_pcapng_file() {
    let blocks = [
        BIG.section(),
        BIG.interface(1, 0, &BIG.option(9, &[9])),
        BIG.enhanced(0, 0, 5, &[1; 5]),
        BIG.block(7, &[0; 4]),
        BIG.enhanced(0, 0, 4, &[2; 4]),
    ];
    let whole = blocks.concat();
    let ends: Vec<usize> = (0..=blocks.len()).map(|count| blocks[..count].concat().len()).collect();
    for length in 5..=whole.len() {
        let (found, error) = read(&whole[..length]);
        let blocks_whole = ends.iter().filter(|end| **end <= length).count() - 1;
        let packets = [0, 0, 0, 1, 1, 2][blocks_whole];
        assert_eq!(found.len(), packets, "cut at {length}");
        assert_eq!(error.is_none(), ends.contains(&length), "cut at {length}");
        if error.is_some() {
            assert_eq!(fault(&whole[..length], packets).0, ends[blocks_whole] as u64);
        }
    }
}

#[test]
fn an_error_of_the_disk_is_handed_on() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let head = LITTLE.pcap(0xa1b2_c3d4, 4, 1);
    let mut reader = Reader::new("a.pcap", head.chain(Broken)).unwrap();
    assert_eq!(reader.next().unwrap_err().to_string(), "a.pcap: at octet 24: the disk is gone");
}
