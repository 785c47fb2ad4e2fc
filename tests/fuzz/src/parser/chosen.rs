//! Properties of the program's further choices for a frame: its home slots, and whether it is a first packet.

use flowxdp_common::switch::SEED_WORDS;
use flowxdp_ebpf::{
    first::Place,
    frame::Slice,
    hash,
    verdict::Verdict,
    walk::{self, walk},
};

use crate::outcome::Outcome;

/// Sizes of tables: one slot, few, a prime number, the most.
const HOMES: [u32; 4] = [1, 2, 65_521, u32::MAX];

/// Seeds with all bits clear, set, and mixed.
const SEEDS: [[u64; SEED_WORDS]; 3] =
    [[0; SEED_WORDS], [u64::MAX; SEED_WORDS], [0x9e37_79b9_7f4a_7c15; SEED_WORDS]];

/// A home slot lies in the table, whatever the key and the seed.
pub(super) fn homes(frame: &Slice<'_>, ingress: u64) {
    let verdict = walk::verdict(frame);
    for (seed, homes) in SEEDS.iter().flat_map(|seed| HOMES.map(|homes| (seed, homes))) {
        let home = match &verdict {
            Verdict::V4(words, _) => hash::home_v4(words, ingress, seed, homes),
            Verdict::V6(words, _) => hash::home_v6(words, ingress, seed, homes),
            Verdict::Ignored(_) => return,
        };
        assert!(home < homes, "home {home} of {homes}");
    }
}

/// A packet that may say a name is a metered one of TCP or UDP.
pub(super) fn first(frame: &Slice<'_>, whole: Outcome) {
    let mut place = Place::default();
    walk(frame, &mut place);
    let has_ports = whole.is_ok_and(|metered| matches!(metered.key.protocol, 6 | 17));
    assert!(has_ports || !place.may_name(frame), "a first packet of {whole:?}");
}
