//! Flows that somebody made to meet in one window, knowing the seed: with every other seed they spread as
//! flows by chance do.
//!
//! Two sets are made against a seed. The one is searched for: flows by chance, of which those are kept
//! whose home is among eight neighbours. The other follows from the hash: an address that makes one factor
//! of a product zero, so that the other factor does not count, and all sums are equal.

use flowxdp_common::{slot::WINDOW, switch::SEED_WORDS};
use flowxdp_ebpf::{
    hash::{home_v4, home_v6},
    verdict::{WordsV4, WordsV6},
};

type Seed = [u64; SEED_WORDS];

const HOMES: u32 = 1 << 16;
const FLOWS: usize = 2048;
const INGRESS: u32 = 2;
/// Other seeds that a set is tried with.
const SEEDS: u64 = 64;

/// Random words by number, so that each run sees the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn seed(number: u64) -> Seed {
        let mut random = Self(number << 32);
        std::array::from_fn(|_| random.next())
    }
}

/// The differences of the two IP versions.
trait Flow: Sized {
    fn by_chance(random: &mut Random) -> Self;
    /// Flow `number` of those that have one sum under this seed.
    fn of_one_sum(seed: &Seed, number: u32) -> Self;
    fn home(&self, seed: &Seed) -> u32;
}

/// Ports by chance, TCP.
fn rest(random: &mut Random) -> u64 {
    let [a, b, c, d, ..] = random.next().to_ne_bytes();
    u64::from_ne_bytes([a, b, c, d, 6, 0, 0, 0])
}

/// A word whose low half is taken from the seed, so that its product is zero.
fn zero(seed: u64, high: u32) -> u64 {
    let low = u32::try_from(seed & u64::from(u32::MAX)).expect("a low half").wrapping_neg();
    u64::from(high) << 32 | u64::from(low)
}

impl Flow for WordsV4 {
    fn by_chance(random: &mut Random) -> Self {
        Self { addresses: random.next(), rest: rest(random) }
    }

    /// One source, and many destinations.
    fn of_one_sum(seed: &Seed, number: u32) -> Self {
        Self { addresses: zero(seed[0], number), rest: rest(&mut Random(1)) }
    }

    fn home(&self, seed: &Seed) -> u32 {
        home_v4(self, INGRESS.into(), seed, HOMES)
    }
}

impl Flow for WordsV6 {
    fn by_chance(random: &mut Random) -> Self {
        Self { addresses: std::array::from_fn(|_| random.next()), rest: rest(random) }
    }

    /// Many destinations in one network.
    fn of_one_sum(seed: &Seed, number: u32) -> Self {
        let addresses = [0x2001_0db8_0000_0000_u64.to_be(), 1, 2, zero(seed[3], number)];
        Self { addresses, rest: rest(&mut Random(1)) }
    }

    fn home(&self, seed: &Seed) -> u32 {
        home_v6(self, INGRESS.into(), seed, HOMES)
    }
}

/// Flows whose homes are eight neighbours under this seed.
fn searched<F: Flow>(seed: &Seed) -> Vec<F> {
    let mut random = Random(7);
    let flows = std::iter::repeat_with(|| F::by_chance(&mut random));
    flows.filter(|flow| (1000..1000 + WINDOW).contains(&flow.home(seed))).take(FLOWS).collect()
}

/// Flows that find their window full.
fn without_slot<F: Flow>(flows: &[F], seed: &Seed) -> usize {
    let mut taken = vec![false; (HOMES + WINDOW - 1) as usize];
    let places = flows.iter().map(|flow| flow.home(seed) as usize);
    let is_full = |place: usize| {
        let free = taken[place..place + WINDOW as usize].iter_mut().find(|slot| !**slot);
        free.map(|slot| *slot = true).is_none()
    };
    places.map(is_full).filter(|full| *full).count()
}

/// Pairs of flows with one home.
fn pairs<F: Flow>(flows: &[F], seed: &Seed) -> usize {
    let mut counts = vec![0_usize; HOMES as usize];
    flows.iter().for_each(|flow| counts[flow.home(seed) as usize] += 1);
    counts.iter().map(|count| count * count.saturating_sub(1) / 2).sum()
}

/// Made against the first seed, and seen with all others.
///
/// By chance a pair has one home with a probability of 1/H. For any two keys and a seed that is secret the
/// probability is at most 2/H, as the multiplier spreads different sums (Dietzfelbinger et al., 1997), and
/// 2⁻³² for equal ones. And 2048 flows by chance in 65,536 homes fill a window of eight slots about once in
/// two million seeds: 65,536 times the Poisson probability of nine flows where a quarter is the mean.
#[track_caller]
fn spreads<F: Flow>(what: &str, flows: &[F]) {
    let by_chance = (FLOWS * (FLOWS - 1) / 2) as f64 / f64::from(HOMES);
    let mut all = 0;
    for number in 1..=SEEDS {
        let seed = Random::seed(number);
        let without = without_slot(flows, &seed);
        assert_eq!(without, 0, "{what}, seed {number}: flows that find their window full");
        all += pairs(flows, &seed);
    }
    let mean = all as f64 / SEEDS as f64;
    println!("{what}: {mean:.1} pairs with one home, by chance {by_chance:.1}");
    assert!(mean < 2.0 * by_chance, "{what}: {mean:.1} pairs with one home, by chance {by_chance:.1}");
}

/// Against their seed, nearly all of these find no slot; without it, all do.
#[track_caller]
fn collide_and_spread<F: Flow>(what: &str, flows: &[F]) {
    // Eight neighbouring windows have fifteen slots.
    let without = without_slot(flows, &Random::seed(0));
    assert!(
        without >= FLOWS - 15,
        "{what}: {without} of {FLOWS} find no slot with the seed they are made for"
    );
    spreads(what, flows);
}

fn of_one_sum<F: Flow>(seed: &Seed) -> Vec<F> {
    (0..).map(|number| F::of_one_sum(seed, number)).take(FLOWS).collect()
}

#[test]
fn flows_by_chance_are_the_measure() {
    let mut random = Random(9);
    let flows: Vec<WordsV4> = (0..FLOWS).map(|_| Flow::by_chance(&mut random)).collect();
    spreads("IPv4 by chance", &flows);
    let flows: Vec<WordsV6> = (0..FLOWS).map(|_| Flow::by_chance(&mut random)).collect();
    spreads("IPv6 by chance", &flows);
}

#[test]
fn flows_that_were_searched_for_one_seed_spread_with_others() {
    let seed = Random::seed(0);
    collide_and_spread("IPv4, searched", &searched::<WordsV4>(&seed));
    collide_and_spread("IPv6, searched", &searched::<WordsV6>(&seed));
}

#[test]
fn flows_that_were_computed_for_one_seed_spread_with_others() {
    let seed = Random::seed(0);
    collide_and_spread("IPv4, one sum", &of_one_sum::<WordsV4>(&seed));
    collide_and_spread("IPv6, one sum", &of_one_sum::<WordsV6>(&seed));
}
