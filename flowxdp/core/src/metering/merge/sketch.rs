//! A filter that rules out most keys that are not in a small set, at less cost than a hash of the whole key.

use crate::record::{Addresses, FlowKey};

/// A set has two to the power of this bits: of some hundred keys it takes few others for its own.
const BITS: u32 = 14;

/// A set of keys that also takes some others for its own, never the reverse: a Bloom filter of one hash.
#[derive(Debug)]
pub(super) struct Sketch {
    words: Box<[u64; 1 << (BITS - 6)]>,
    is_empty: bool,
}

impl Default for Sketch {
    fn default() -> Self {
        Self { words: Box::new([0; 1 << (BITS - 6)]), is_empty: true }
    }
}

impl Sketch {
    pub(super) fn insert(&mut self, key: &FlowKey) {
        let (word, bit) = place(key);
        self.is_empty = false;
        self.words[word] |= bit;
    }

    /// `false` only if the key was not inserted.
    #[inline]
    pub(super) fn may_have(&self, key: &FlowKey) -> bool {
        if self.is_empty {
            return false;
        }
        let (word, bit) = place(key);
        self.words[word] & bit != 0
    }

    pub(super) fn clear(&mut self) {
        if !self.is_empty {
            self.words.fill(0);
            self.is_empty = true;
        }
    }
}

/// The word of a key, and its bit there.
fn place(key: &FlowKey) -> (usize, u64) {
    let end = |address: &[u8; 16]| address.last_chunk().map_or(0, |octets| u64::from_le_bytes(*octets));
    let addresses = match &key.addresses {
        Addresses::V4 { source, destination } => {
            u64::from(u32::from_le_bytes(*source)) << 32 | u64::from(u32::from_le_bytes(*destination))
        }
        Addresses::V6 { source, destination } => end(source).rotate_left(32) ^ end(destination),
    };
    let ports = u64::from(key.source_port) << 16 | u64::from(key.destination_port);
    // Fibonacci hashing: the upper bits of the product depend on all.
    let hash = (addresses ^ ports.rotate_left(24)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS);
    let word = usize::try_from(hash >> 6).unwrap_or_default() % (1 << (BITS - 6));
    (word, 1 << (hash % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32, ipv6: bool) -> FlowKey {
        let [a, b, c, d] = number.to_be_bytes();
        let addresses = if ipv6 {
            Addresses::V6 { source: [a; 16], destination: [[b, c, d, 1]; 4].concat().try_into().unwrap() }
        } else {
            Addresses::V4 { source: [10, a, b, c], destination: [10, 0, 0, d] }
        };
        FlowKey {
            addresses,
            source_port: (number % 50_000) as u16,
            destination_port: 443,
            protocol: 6,
            tos: 0,
            vlan: 0,
            ingress: 2,
        }
    }

    #[test]
    fn it_has_all_that_went_in_and_few_others() {
        for ipv6 in [false, true] {
            let mut sketch = Sketch::default();
            assert!(!sketch.may_have(&key(1, ipv6)));
            (0..200).for_each(|number| sketch.insert(&key(number, ipv6)));
            assert!((0..200).all(|number| sketch.may_have(&key(number, ipv6))));
            let others = (200..10_200).filter(|&number| sketch.may_have(&key(number, ipv6))).count();
            assert!(others < 500, "{others} of 10000 with IPv6 {ipv6}");
            sketch.clear();
            assert!(!sketch.may_have(&key(1, ipv6)));
        }
    }
}
