//! A map that keeps about so many entries: those that were asked for lately. It decides nothing; whoever fills it says
//! when an entry is no longer true.

use std::{collections::HashMap, hash::Hash, mem};

/// Two generations: when the young one is full it becomes the old one, and what nobody asked for since is forgotten.
#[derive(Debug)]
pub struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> Recent<K, V> {
    /// With room for so many; half of them at least.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            half: (capacity / 2).max(1),
        }
    }

    /// What is kept for a key.
    pub fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.insert(key.clone(), value.clone());
        Some(value)
    }

    /// Keeps a value in the place of any before.
    pub fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    /// Forgets a key.
    pub fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let mut recent = Recent::new(4);
        for number in 0..100 {
            recent.insert(number, number * 10);
            assert_eq!(recent.get(&0), Some(0), "after {number}");
            assert!(recent.young.len() + recent.old.len() <= 4);
        }
        assert_eq!((recent.get(&99), recent.get(&50)), (Some(990), None));
    }

    #[test]
    fn a_key_has_one_value_and_none_once_it_is_removed() {
        let mut recent = Recent::new(2);
        recent.insert('a', 1);
        recent.insert('b', 2);
        recent.insert('a', 3);
        assert_eq!(recent.get(&'a'), Some(3));
        recent.remove(&'a');
        assert_eq!(recent.get(&'a'), None);
        recent.insert('b', 4);
        assert_eq!(recent.get(&'b'), Some(4));
    }
}
