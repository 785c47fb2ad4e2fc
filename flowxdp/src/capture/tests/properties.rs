//! Properties of any octets: no panic, no length above its limit, and no packet lost on the way.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{CaptureError, MAX_CAPTURED, link, to_ethernet};
use super::build::{BIG, LITTLE, Writer};
use super::{Owned, in_range, read};

const LINKS: [u16; 18] = [0, 1, 9, 12, 14, 50, 51, 101, 104, 108, 109, 113, 117, 204, 228, 229, 239, 276];

fn writer() -> impl Strategy<Value = Writer> {
    prop_oneof![Just(LITTLE), Just(BIG)].no_shrink()
}

/// Packets as a file can hold them, nanoseconds of the time apart.
fn packets() -> impl Strategy<Value = Vec<(u32, u32, u16, Vec<u8>)>> {
    vec((any::<u32>(), 0..1_000_000_000_u32, 0..2000_u16, vec(any::<u8>(), 0..70)), 0..6)
}

fn owned(link: u16, packets: &[(u32, u32, u16, Vec<u8>)]) -> Vec<Owned> {
    let frame = |(seconds, nanoseconds, missing, data): &(u32, u32, u16, Vec<u8>)| Owned {
        time_ns: in_range(u64::from(*seconds) * 1_000_000_000 + u64::from(*nanoseconds)),
        wire: u32::try_from(data.len()).unwrap() + u32::from(*missing),
        link: link.into(),
        data: data.clone(),
    };
    packets.iter().map(frame).collect()
}

fn pcap(writer: Writer, link: u16, frames: &[Owned]) -> Vec<u8> {
    let mut file = writer.pcap(0xa1b2_3c4d, 4, link.into());
    for frame in frames {
        let time = frame.time_ns.unwrap_or_default();
        let (seconds, rest) = (time / 1_000_000_000, time % 1_000_000_000);
        let (seconds, rest) = (u32::try_from(seconds).unwrap(), u32::try_from(rest).unwrap());
        file.extend(writer.record(seconds, rest, frame.wire, &frame.data));
    }
    file
}

fn pcapng(writer: Writer, link: u16, frames: &[Owned]) -> Vec<u8> {
    let mut file = [writer.section(), writer.interface(link, 0, &writer.option(9, &[9]))].concat();
    for frame in frames {
        file.extend(writer.enhanced(0, frame.time_ns.unwrap_or_default(), frame.wire, &frame.data));
    }
    file
}

/// The frames of any file keep the promises of a frame.
fn check(file: &[u8]) {
    let (frames, error) = read(file);
    for frame in frames {
        assert!(frame.data.len() <= MAX_CAPTURED as usize && frame.wire as usize >= frame.data.len());
        assert!(frame.time_ns.is_none_or(|time| time >> 32 < 1_000_000_000));
    }
    if let Some(error) = error {
        let line = error.to_string();
        assert!(line.starts_with("a.pcap: at octet ") && !line.contains('\n'), "{line}");
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(writer in writer(), link in 0..LINKS.len(), packets in packets()) {
        let link = LINKS[link];
        let frames = owned(link, &packets);
        for file in [pcap(writer, link, &frames), pcapng(writer, link, &frames)] {
            let (found, error) = read(&file);
            prop_assert!(error.is_none(), "{:?}", error);
            prop_assert_eq!(&found, &frames);
        }
    }

    #[test]
    fn any_octets_behind_any_magic(start in 0..9_usize, rest in vec(any::<u8>(), 0..200)) {
        let starts = [
            vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3],
            vec![0x28, 0xb5, 0x2f, 0xfd],
            vec![0x5f, 0x2a, 0x4d, 0x18],
            vec![],
            LITTLE.pcap(0xa1b2_c3d4, 4, 1),
            BIG.pcap(0xa1b2_3c4d, 4, 101),
            LITTLE.section(),
            [BIG.section(), BIG.interface(1, 0, &[])].concat(),
            vec![0x0a, 0x0d, 0x0d, 0x0a],
        ];
        check(&[starts[start].clone(), rest].concat());
    }

    #[test]
    fn changed_files(
        writer in writer(),
        packets in packets(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let frames = owned(1, &packets);
        for mut file in [pcap(writer, 1, &frames), pcapng(writer, 1, &frames)] {
            for (place, value) in &changes {
                let place = place.index(file.len());
                file[place] = *value;
            }
            check(&file);
            check(&file[..cut.index(file.len())]);
        }
    }

    #[test]
    fn changed_packed_files(
        packets in packets(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let file = pcap(LITTLE, 1, &owned(1, &packets));
        for mut packed in [super::packed::gzip(&file), super::packed::zstd(&file)] {
            for (place, value) in &changes {
                let place = place.index(packed.len());
                packed[place] = *value;
            }
            check(&packed);
            check(&packed[..cut.index(packed.len())]);
        }
    }

    #[test]
    fn any_packet_gets_an_ethernet_header(
        link in 0..300_u32,
        data in vec(any::<u8>(), 0..64),
        front in 0..7_usize,
        wire in any::<u32>(),
    ) {
        let fronts: [&[u8]; 7] = [
            &[],
            &[0xff, 3],
            &[0x0f, 0, 8, 0],
            &[2, 0, 0, 0],
            &[0, 0, 3, 56],
            &[8, 0, 0, 0, 0, 0, 0, 0, 3, 56],
            &[2, 0, 0, 0, 8, 0, 1, 0, 8, 0, 0, 0, 20, 0, 9, 0, 0x45],
        ];
        let data = [fronts[front], &data].concat();
        let mut out = Vec::new();
        match to_ethernet(link, &data, wire, &mut out) {
            Ok(lengths) => {
                prop_assert!(link::is_supported(link));
                prop_assert_eq!(lengths.captured as usize, out.len());
                prop_assert!(lengths.wire >= lengths.captured);
                // A packet is kept octet for octet, up to its end where it is the last of its link header.
                let kept = if link == 1 { &out[..] } else { out.get(14..).unwrap_or_default() };
                let is_part = kept.is_empty() || data.windows(kept.len()).any(|part| part == kept);
                let is_kept = if link == 239 { is_part } else { data.ends_with(kept) };
                prop_assert!(is_kept);
            }
            Err(CaptureError::LinkType { link: named }) => {
                prop_assert_eq!(named, link);
                prop_assert!(!link::is_supported(link));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
