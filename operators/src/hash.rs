//! One fast, fixed hash for tables inside operators and for the exchange between workers.
//!
//! Keys are small integers (often hashes already), so a multiply and a rotate a word suffice. The hash is the
//! same in every process and version of this build: a key lives on the same worker on every run. It is not
//! hardened against chosen keys; a table that must be (none today) would bring its own.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};

const MULTIPLIER: u64 = 0xf135_7aea_2e62_a9c5;

/// Multiply and rotate, a word at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct FastHasher(u64);

impl FastHasher {
    #[inline]
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER);
    }
}

impl Hasher for FastHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.add(xxhash_rust::xxh3::xxh3_64(bytes));
    }
    #[inline]
    fn write_u8(&mut self, word: u8) {
        self.add(u64::from(word));
    }
    #[inline]
    fn write_u16(&mut self, word: u16) {
        self.add(u64::from(word));
    }
    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.add(u64::from(word));
    }
    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }
    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }
    #[inline]
    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(MULTIPLIER);
        mixed ^ (mixed >> 29)
    }
}

/// A hash map with the fast hash.
pub type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<FastHasher>>;
/// A hash set with the fast hash.
pub type FastSet<K> = HashSet<K, BuildHasherDefault<FastHasher>>;

/// The fast hash of a value.
#[inline]
pub fn hash_of<K: Hash + ?Sized>(key: &K) -> u64 {
    let mut hasher = FastHasher::default();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Where an exchange sends a key. Bits apart from those the tables look at, so that the keys of one worker
/// still spread over its tables.
#[inline]
pub fn route<K: Hash + ?Sized>(key: &K) -> u64 {
    hash_of(key).wrapping_mul(MULTIPLIER) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_worker_still_spread_and_workers_get_equal_shares() {
        let mine: Vec<u64> = (0..4096_u64).filter(|key| route(key) & 3 == 1).collect();
        assert!((800..1250).contains(&mine.len()), "{}", mine.len());
        let buckets: FastSet<u64> = mine.iter().map(|key| hash_of(key) & 1023).collect();
        assert!(buckets.len() > 500, "{}", buckets.len());
    }
}
