//! The home slots that the hash gives: in bounds, even, and other ones with every seed.

use flowxdp_common::switch::SEED_WORDS;
use flowxdp_ebpf::{
    hash::{home_v4, home_v6},
    verdict::{WordsV4, WordsV6},
};
use proptest::prelude::*;

type Seed = [u64; SEED_WORDS];

/// Random words by number, so that each run sees the same.
fn seed(number: u64) -> Seed {
    let mut state = number;
    std::array::from_fn(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// UDP to port 53.
fn rest(source_port: u16) -> u64 {
    let [a, b] = source_port.to_be_bytes();
    u64::from_ne_bytes([a, b, 0, 53, 17, 0, 0, 0])
}

/// 10.0.0.0 and the addresses behind it, to one server.
fn v4(host: u32, source_port: u16) -> WordsV4 {
    let [a, b, c, d] = (0x0a00_0000 + host).to_be_bytes();
    WordsV4 { addresses: u64::from_ne_bytes([a, b, c, d, 192, 0, 2, 1]), rest: rest(source_port) }
}

/// 2001:db8:: and the addresses behind it, to one server.
fn v6(host: u32, source_port: u16) -> WordsV6 {
    let addresses = [0x2001_0db8_0000_0000, u64::from(host), 0x2001_0db8_ffff_0000, 1].map(u64::to_be);
    WordsV6 { addresses, rest: rest(source_port) }
}

const FLOWS: u32 = 1 << 16;

/// Flows as they come from a network or a scan: one part of the key counts up.
fn sequences(seed: &Seed, homes: u32) -> Vec<(&'static str, Vec<u32>)> {
    let port = |flow: u32| u16::try_from(flow).expect("as many flows as ports");
    let all = |home: &dyn Fn(u32) -> u32| (0..FLOWS).map(home).collect();
    vec![
        ("IPv4 hosts", all(&|flow| home_v4(&v4(flow, 1000), 1, seed, homes))),
        ("IPv4 networks", all(&|flow| home_v4(&v4(flow << 8, 1000), 1, seed, homes))),
        ("IPv4 ports", all(&|flow| home_v4(&v4(1, port(flow)), 1, seed, homes))),
        ("IPv4 hosts and ports", all(&|flow| home_v4(&v4(flow >> 8, port(flow & 255)), 1, seed, homes))),
        ("IPv4 interfaces", all(&|flow| home_v4(&v4(1, 1000), flow.into(), seed, homes))),
        ("IPv6 hosts", all(&|flow| home_v6(&v6(flow, 1000), 1, seed, homes))),
        ("IPv6 networks", all(&|flow| home_v6(&v6(flow << 16, 1000), 1, seed, homes))),
        ("IPv6 ports", all(&|flow| home_v6(&v6(1, port(flow)), 1, seed, homes))),
        ("IPv6 interfaces", all(&|flow| home_v6(&v6(1, 1000), flow.into(), seed, homes))),
    ]
}

/// Flows by bucket of equal size.
fn counts(places: &[u32], homes: u32, buckets: u32) -> Vec<u32> {
    let mut counts = vec![0; buckets as usize];
    for place in places {
        let bucket = u64::from(*place) * u64::from(buckets) / u64::from(homes);
        counts[usize::try_from(bucket).expect("a bucket")] += 1;
    }
    counts
}

proptest! {
    #[test]
    fn homes_are_below_their_number(
        words in any::<[u64; 5]>(), ingress in any::<u32>(), seed in any::<Seed>(), homes in 1..u32::MAX,
    ) {
        let [a, b, c, d, rest] = words;
        let four = home_v4(&WordsV4 { addresses: a, rest }, ingress.into(), &seed, homes);
        let six = home_v6(&WordsV6 { addresses: [a, b, c, d], rest }, ingress.into(), &seed, homes);
        prop_assert!(four < homes && six < homes, "{four} and {six} of {homes}");
    }
}

#[test]
fn the_only_home_is_the_home_of_all() {
    assert!(sequences(&seed(1), 1).iter().all(|(_, homes)| homes.iter().all(|home| *home == 0)));
}

/// Chi-square of 255 degrees of freedom: 255 on average, a deviation of 22.6. Keys that count up lie more
/// even than chance, never less; 400 would come by chance once in some hundred million times.
#[test]
fn flows_that_count_up_are_spread_evenly() {
    let buckets = 256;
    for number in 0..20 {
        for homes in [1 << 16, 81_920, 1_250_000] {
            for (name, places) in sequences(&seed(number), homes) {
                let mean = f64::from(FLOWS) / f64::from(buckets);
                let counts = counts(&places, homes, buckets);
                let chi: f64 = counts.iter().map(|count| (f64::from(*count) - mean).powi(2) / mean).sum();
                assert!(chi < 400.0, "{name}, {homes} homes, seed {number}: chi-square {chi:.0}");
            }
        }
    }
}

/// The measure of a table: how many flows find the eight slots of their window taken by others. In a full
/// table, four flows to five homes, that is 5.1 of 100 for homes by chance.
#[test]
fn windows_of_a_full_table_fill_as_rarely_as_by_chance() {
    let (homes, window) = (81_920, 8);
    for number in 0..20 {
        for (name, places) in sequences(&seed(number), homes) {
            let mut taken = vec![false; (homes + window - 1) as usize];
            let mut without = 0;
            for place in places {
                let free = taken.iter_mut().skip(place as usize).take(window as usize).find(|slot| !**slot);
                match free {
                    Some(slot) => *slot = true,
                    None => without += 1,
                }
            }
            assert!(without < FLOWS / 100 * 6, "{name}, seed {number}: {without} of {FLOWS} find no slot");
        }
    }
}

#[test]
fn another_seed_gives_other_collisions() {
    let homes = 1 << 16;
    let pairs = |number| -> Vec<_> {
        let all = sequences(&seed(number), homes);
        all.into_iter()
            .map(|(name, places)| {
                let mut by_home: Vec<(u32, usize)> = places.into_iter().zip(0..).collect();
                by_home.sort_unstable();
                let alike = by_home.windows(2).filter(|pair| pair[0].0 == pair[1].0);
                (name, alike.map(|pair| (pair[0].1, pair[1].1)).collect::<std::collections::HashSet<_>>())
            })
            .collect()
    };
    for ((name, one), (_, other)) in pairs(1).into_iter().zip(pairs(2)) {
        let both = one.intersection(&other).count();
        assert!(both * 20 <= one.len(), "{name}: {both} of {} collisions again", one.len());
    }
}
