//! Captures packed with gzip or zstd: read as they are, cut, damaged, and made to fill the memory.

use std::io::{Read, Write};

use flate2::{Compression, write::GzEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::super::CaptureError;
use super::build::LITTLE;
use super::{Owned, Reader, read};

pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(data: &[u8]) -> Vec<u8> {
    compress_to_vec(data, CompressionLevel::Fastest)
}

/// A file of three packets, which no packer makes much shorter.
fn capture() -> Vec<u8> {
    let noise: Vec<u8> = (0..1000_u32).map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let packet = |second| LITTLE.record(second, 0, 1500, &noise);
    [LITTLE.pcap(0xa1b2_c3d4, 4, 1), packet(1), packet(2), packet(3)].concat()
}

#[test]
fn packed_files_are_told_by_their_first_octets_and_read_whole() {
    let (frames, none) = read(&capture());
    assert!(frames.len() == 3 && none.is_none());
    let whole = capture();
    let (first, second) = whole.split_at(1234);
    // A skippable frame in front, as pzstd writes it.
    let skippable = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9][..], &zstd(&capture())].concat();
    for packed in [
        gzip(&capture()),
        zstd(&capture()),
        [gzip(first), gzip(second)].concat(),
        [zstd(first), zstd(second)].concat(),
        skippable,
    ] {
        let (found, error) = read(&packed);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(found, frames);
        assert!(Reader::new("a.pcap", &packed[..]).unwrap().is_packed());
    }
}

#[test]
fn a_packed_file_that_is_cut_gives_its_whole_packets() {
    let whole = read(&capture()).0;
    for (packing, packed) in [("gzip", gzip(&capture())), ("zstd", zstd(&capture()))] {
        for length in (4..packed.len()).step_by(7).chain([packed.len() - 1]) {
            let (found, error) = read(&packed[..length]);
            let error = error.map(|error| error.to_string()).unwrap_or_default();
            let cut = error.ends_with(&format!("the file is cut: its {packing} data end in the middle"));
            assert!(cut && !error.contains('\n'), "cut at {length}: {error}");
            assert_eq!(found, whole[..found.len()], "cut at {length}");
        }
        let (found, error) = read(&packed[..packed.len() - 1]);
        assert_eq!(found.len(), 3, "the last octet is of the checksum");
        assert!(matches!(error, Some(CaptureError::At { packed: true, .. })), "{error:?}");
    }
}

#[test]
fn a_packed_file_that_is_damaged_is_said_to_be() {
    for packed in [gzip(&capture()), zstd(&capture())] {
        let whole: Vec<Owned> = read(&capture()).0;
        let mut said = 0;
        for place in (4..packed.len()).step_by(11).chain([packed.len() - 5]) {
            let mut damaged = packed.clone();
            damaged[place] ^= 0x55;
            let (found, error) = read(&damaged);
            said += usize::from(error.is_some());
            if error.is_none() {
                // A header's field that says nothing of the content.
                assert_eq!(found, whole, "octet {place}");
            }
        }
        assert!(said > 50, "{said} faults were said");
    }
}

#[test]
fn packed_twice_is_no_capture() {
    let error = read(&zstd(&gzip(&capture()))).1.unwrap().to_string();
    assert!(error.contains("compressed more than once, with gzip inside"), "{error}");
}

/// zstd blocks that each say one octet 131,072 times, without end.
struct Bomb {
    head: Vec<u8>,
    at: usize,
}

impl Read for Bomb {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        // Block header: not the last, RLE, a size of 2^17.
        let block = ((1_u32 << 17) << 3 | 1 << 1).to_le_bytes();
        let cycle = [block[0], block[1], block[2], 0];
        for octet in &mut *into {
            *octet =
                self.head.get(self.at).copied().unwrap_or_else(|| cycle[(self.at - self.head.len()) % 4]);
            self.at += 1;
        }
        Ok(into.len())
    }
}

/// Octets of memory that this process has at most had, by the kernel.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}

#[test]
fn a_bomb_is_read_in_bounded_memory() {
    // One skipped block of a section, 512 MiB long, 2^17 octets of which are four of the file; a window of 8 MiB.
    let block = LITTLE.words(&[0xbad, 512 << 20]);
    let start = [LITTLE.section(), block].concat();
    let raw = (u32::try_from(start.len()).unwrap() << 3).to_le_bytes();
    let head = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3][..], &raw[..3], &start].concat();
    let mut reader = Reader::new("bomb", Bomb { head, at: 0 }).unwrap();
    let before = peak();
    let error = reader.next().unwrap_err().to_string();
    assert!(error.contains("the two lengths of a block differ"), "{error}");
    let grown = peak() - before;
    // Other tests of this process run beside it.
    assert!(grown < 256 << 20, "{grown} octets more after 512 MiB");
    // A window beyond the limit allocates nothing.
    let huge = [0x28, 0xb5, 0x2f, 0xfd, 0, 0xf8, 0, 0, 0, 0];
    let error = read(&huge).1.unwrap().to_string();
    assert!(error.contains("zstd data are damaged"), "{error}");
}
