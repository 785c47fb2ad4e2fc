//! Random frames that are nearly right: valid ones with faults, and chains of headers that go far.

/// Ethernet types, and values that a length, a label or an offset may well have.
const WORDS: [u16; 14] =
    [0, 1, 8, 0x0800, 0x86dd, 0x8100, 0x88a8, 0x8864, 0x8847, 0x8848, 0x1100, 0x0021, 0x0057, 0xffff];
/// Protocol numbers, first octets of headers, lengths.
const OCTETS: [u8; 20] = [0, 1, 2, 4, 5, 6, 8, 17, 33, 43, 44, 50, 51, 58, 59, 60, 132, 136, 0x45, 0x60];
/// Extension headers that are walked.
const EXTENSIONS: [u8; 5] = [0, 43, 44, 51, 60];
/// Headers that may follow.
const UPPER: [u8; 10] = [6, 6, 6, 17, 33, 58, 132, 136, 50, 59];
/// Octets in the first buffer of a test run, and in each of the others.
const FIRST_BUFFER: usize = 3520;
const BUFFER: usize = 4096;
/// No frame made here is longer, apart from its length on the wire.
const LONGEST: usize = 65_000;

/// A source of numbers: SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, or 0 where there is none.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.word() % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    /// Whether something happens that does once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn octet(&mut self) -> u8 {
        let [octet, ..] = self.word().to_ne_bytes();
        octet
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        choices.get(self.below(choices.len())).copied()
    }

    /// As many octets.
    pub fn octets(&mut self, number: usize) -> Vec<u8> {
        (0..number).map(|_| self.octet()).collect()
    }
}

fn length(octets: &[u8]) -> u32 {
    u32::try_from(octets.len()).unwrap_or(u32::MAX)
}

/// A frame that was captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The captured octets.
    pub octets: Vec<u8>,
    /// Octets on the wire.
    pub wire: u32,
}

impl Case {
    /// A frame that was captured whole.
    #[must_use]
    pub fn whole(octets: Vec<u8>) -> Self {
        Self { wire: length(&octets), octets }
    }

    /// A random frame, often made of one of `valid`.
    #[must_use]
    pub fn random(random: &mut Random, valid: &[Self]) -> Self {
        let mut case = match random.below(8) {
            0 => noise(random),
            1..3 => far(random),
            _ => valid.get(random.below(valid.len())).cloned().unwrap_or_else(|| noise(random)),
        };
        for _ in 0..random.below(4) {
            let other = valid.get(random.below(valid.len()));
            case.mutate(random, other.map_or(&[], |other| &other.octets));
        }
        case.octets.truncate(LONGEST);
        case.wire = case.wire.max(length(&case.octets));
        case
    }

    /// Where a fault may be: mostly in the headers of an ordinary frame, now and then near the end.
    fn place(&self, random: &mut Random) -> usize {
        let captured = self.octets.len();
        match random.below(4) {
            0 => random.below(captured),
            1 => captured.saturating_sub(1 + random.below(64)),
            _ => random.below(captured.min(90)),
        }
    }

    fn put(&mut self, at: usize, octets: &[u8]) {
        for (place, octet) in self.octets.iter_mut().skip(at).zip(octets) {
            *place = *octet;
        }
    }

    /// One fault.
    fn mutate(&mut self, random: &mut Random, other: &[u8]) {
        let at = self.place(random);
        let captured = self.octets.len();
        match random.below(10) {
            0 => {
                let bit = 1 << random.below(8);
                self.octets.iter_mut().skip(at).take(1).for_each(|octet| *octet ^= bit);
            }
            1 => self.put(at, &[random.of(&OCTETS).unwrap_or(0)]),
            2 => self.put(at, &random.of(&WORDS).unwrap_or(0).to_be_bytes()),
            3 => {
                let around = (captured + 2).saturating_sub(random.below(80));
                self.put(at, &u16::try_from(around).unwrap_or(u16::MAX).to_be_bytes());
            }
            4 => self.octets.truncate(at),
            5 => {
                self.octets.truncate(at);
                self.wire = length(&self.octets);
            }
            6 => {
                let more = if random.once_in(4) { random.below(9000) } else { random.below(40) };
                self.octets.extend(random.octets(more));
            }
            7 => self.wire = (self.wire + u32::from(random.octet())).saturating_sub(40),
            8 => {
                // A header in front of the frame's own, with its type in place of the Ethernet type.
                let number = 4 + 4 * random.below(2);
                let mut header = random.of(&WORDS).unwrap_or(0).to_be_bytes().to_vec();
                header.extend(random.octets(number - 2));
                let at = if random.once_in(2) { 12.min(captured) } else { at };
                self.octets.splice(at..at, header);
            }
            _ => {
                let from = random.below(other.len());
                let part: Vec<u8> = other.iter().skip(from).take(1 + random.below(60)).copied().collect();
                self.put(at, &part);
            }
        }
    }
}

/// Octets of no meaning behind an Ethernet type that has one.
fn noise(random: &mut Random) -> Case {
    let number = random.below(200);
    let mut octets = random.octets(number);
    if let (Some(kind), Some(place)) = (random.of(&WORDS), octets.get_mut(12..14)) {
        place.copy_from_slice(&kind.to_be_bytes());
    }
    Case::whole(octets)
}

/// An IPv6 packet whose transport header is thousands of octets from the start, often where a buffer ends.
fn far(random: &mut Random) -> Case {
    let mut octets = way(random);
    let at = octets.len();
    octets.extend([0x60 | random.octet() & 15, random.octet(), 0, 0, 0, 0]);
    let kinds: Vec<u8> = (0..random.below(10)).filter_map(|_| random.of(&EXTENSIONS)).collect();
    let upper = random.of(&UPPER).unwrap_or(6);
    let mut nexts = kinds.iter().skip(1).chain([&upper]);
    octets.extend([kinds.first().copied().unwrap_or(upper), random.octet()]);
    octets.extend(random.octets(32));
    let end = FIRST_BUFFER + BUFFER * random.below(3) + 8 - random.below(40);
    let is_aimed = random.once_in(2);
    for kind in &kinds {
        let length = match random.below(3) {
            _ if is_aimed => end.saturating_sub(octets.len()),
            0 => random.below(64),
            _ => 1024 + random.below(1024),
        };
        octets.extend(extension(random, *kind, nexts.next().copied().unwrap_or(upper), length));
    }
    let most = if random.once_in(3) { 9000 } else { 30 };
    let payload = random.below(most);
    octets.extend(random.octets(payload));
    let total = u16::try_from(octets.len() - at - 40).unwrap_or(u16::MAX);
    for (place, octet) in octets.iter_mut().skip(at + 4).zip(total.to_be_bytes()) {
        *place = octet;
    }
    Case::whole(octets)
}

/// Ethernet and the headers that may be between it and an IPv6 packet.
fn way(random: &mut Random) -> Vec<u8> {
    let mut octets = random.octets(12);
    for _ in 0..random.below(3) {
        octets.extend([0x81, 0, random.octet(), random.octet()]);
    }
    match random.below(4) {
        0 => {
            octets.extend([0x88, 0x47]);
            let labels = random.below(8);
            octets.extend([0, 1, 0, 64].repeat(labels));
            octets.extend([0, 1, 1, 64]);
        }
        1 => octets.extend([0x88, 0x64, 0x11, 0, 0, 1, 0, 0, 0, 0x57]),
        _ => octets.extend([0x86, 0xdd]),
    }
    octets
}

/// An extension header of about `length` octets, where its kind can be so long.
fn extension(random: &mut Random, kind: u8, next: u8, length: usize) -> Vec<u8> {
    let unit = if kind == 51 { 4 } else { 8 };
    let units = u8::try_from(length.saturating_sub(8) / unit).unwrap_or(u8::MAX);
    let mut header = vec![next, units];
    header.resize(if kind == 44 { 8 } else { 8 + usize::from(units) * unit }, 0);
    // A later fragment now and then.
    if kind == 44 && random.once_in(4) {
        header.splice(2..4, [random.octet(), random.octet()]);
    }
    header
}

#[cfg(test)]
mod tests {
    use flowxdp_common::reason::Ignored;

    use super::{Case, Random};
    use crate::outcome::outcome;

    #[test]
    fn random_frames_are_of_every_kind() {
        let mut random = Random(1);
        let valid: Vec<Case> = (0..50).map(|_| super::far(&mut random)).collect();
        let cases: Vec<Case> = (0..5_000).map(|_| Case::random(&mut random, &valid)).collect();
        let said = |wanted: &dyn Fn(&Case) -> bool| cases.iter().filter(|case| wanted(case)).count();
        let is = |case: &Case, why| outcome(&case.octets, case.wire, 1) == Err(why);
        for why in [Ignored::NotIp, Ignored::Truncated, Ignored::Malformed] {
            assert!(said(&|case| is(case, why)) > 250, "{why:?}");
        }
        assert!(said(&|case| outcome(&case.octets, case.wire, 1).is_ok()) > 1_000);
        assert!(said(&|case| case.octets.len() > 3_600) > 1_000);
        assert!(cases.iter().all(|case| case.octets.len() <= case.wire as usize));
    }
}
