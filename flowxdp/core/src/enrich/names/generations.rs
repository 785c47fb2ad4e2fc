//! A map of bounded size that forgets its oldest entries: two generations, of which the older one goes as a whole.

use std::{collections::HashMap, hash::Hash};

use foldhash::fast::RandomState;

/// A map of at most so many entries. Its hashes are seeded, since keys come from the network.
#[derive(Debug)]
pub(super) struct Generations<K, V> {
    young: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
    /// Entries of a generation.
    half: usize,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), half: most.div_ceil(2).max(1) }
    }

    /// Adds an entry, or replaces the one with its key.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// An entry, which is young from now on.
    pub(super) fn recent(&mut self, key: &K) -> Option<&mut V>
    where
        K: Copy,
    {
        if !self.young.contains_key(key)
            && let Some(value) = self.old.remove(key)
        {
            self.insert(*key, value);
        }
        self.young.get_mut(key)
    }

    /// Takes an entry out.
    pub(super) fn take(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_half_is_kept_and_never_more_than_all() {
        let mut map = Generations::new(8);
        for key in 0..100 {
            map.insert(key, key * 2);
            assert!(map.young.len() + map.old.len() <= 8);
            let kept = key.min(3);
            assert!((key - kept..=key).all(|key| map.get(&key) == Some(&(key * 2))), "{key}");
        }
        assert_eq!(map.get(&50), None);
        assert_eq!((map.take(&99), map.take(&99)), (Some(198), None));
    }

    #[test]
    fn an_entry_that_is_needed_stays() {
        let mut map = Generations::new(8);
        map.insert(0, 'a');
        for key in 1..100 {
            map.insert(key, 'b');
            assert_eq!(map.recent(&0), Some(&mut 'a'), "{key}");
            assert!(map.young.len() + map.old.len() <= 8);
        }
        assert_eq!(map.recent(&1), None);
    }

    #[test]
    fn a_key_is_in_one_generation() {
        let mut map = Generations::new(2);
        map.insert(1, 'a');
        map.insert(2, 'b');
        map.insert(1, 'c');
        assert_eq!((map.take(&1), map.get(&1)), (Some('c'), None));
    }
}
