//! Limits in the memory of one process: bounded, and never without a limit.
//!
//! When the table is full of what still counts, further keys share 1,024 places by their hash: under an attack with
//! many addresses some strangers wait for each other, but nobody is let through uncounted.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

use async_trait::async_trait;
use parking_lot::Mutex;
use uuid::Uuid;

use super::{Key, Lockout, Rate, Store, Verdict};
use crate::Error;

const MOST_KEYS: usize = 100_000;
const SHARED_PLACES: u64 = 1_024;
/// A full table is swept at most this often: sweeping costs about a millisecond.
const SWEEP_MS: i64 = 1_000;

/// Counts of one process.
#[derive(Debug)]
pub struct Memory {
    most_keys: usize,
    hasher: RandomState,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Theoretical arrival times, in µs.
    rates: Swept<Key, i64>,
    strikes: Swept<Key, Strikes>,
    revoked: Swept<Uuid, i64>,
}

/// A map with a limit, and when it was last swept.
#[derive(Debug)]
struct Swept<K, V> {
    map: HashMap<K, V>,
    next_ms: i64,
}

impl<K, V> Default for Swept<K, V> {
    fn default() -> Self {
        Self { map: HashMap::new(), next_ms: i64::MIN }
    }
}

impl<K: Hash + Eq, V> Swept<K, V> {
    /// Whether `key` has a place, or there is one for it.
    fn has_room(&mut self, key: &K, most: usize, now_ms: i64, is_over: impl Fn(&V) -> bool) -> bool {
        if self.map.contains_key(key) || self.map.len() < most {
            return true;
        }
        if now_ms >= self.next_ms || self.next_ms.saturating_sub(now_ms) > SWEEP_MS {
            self.next_ms = now_ms.saturating_add(SWEEP_MS);
            self.map.retain(|_, value| !is_over(value));
        }
        self.map.len() < most
    }
}

#[derive(Clone, Copy, Debug)]
struct Strikes {
    count: u32,
    /// When failures are forgotten, or the lock opens.
    until_ms: i64,
    locked: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self::with_capacity(MOST_KEYS)
    }
}

impl Memory {
    /// With room for so many keys of each sort.
    pub fn with_capacity(most_keys: usize) -> Self {
        Self { most_keys, hasher: RandomState::new(), table: Mutex::default() }
    }

    /// See [`Store::take`].
    pub fn take(&self, key: &Key, rate: Rate, now_ms: i64) -> Verdict {
        let now_us = now_ms.saturating_mul(1_000);
        let mut table = self.table.lock();
        let room = table.rates.has_room(key, self.most_keys, now_ms, |arrival_us| *arrival_us <= now_us);
        let key = if room { key.clone() } else { self.shared_place(key) };
        let arrival_us = table.rates.map.get(&key).map_or(now_us, |arrival| now_us.max(*arrival));
        let (verdict, next_us) = gcra(arrival_us, rate, now_us);
        table.rates.map.insert(key, next_us);
        verdict
    }

    /// See [`Store::strike`].
    pub fn strike(&self, key: &Key, lockout: Lockout, now_ms: i64) -> Option<u64> {
        let mut table = self.table.lock();
        let room = table.strikes.has_room(key, self.most_keys, now_ms, |strikes| strikes.until_ms <= now_ms);
        let key = if room { key.clone() } else { self.shared_place(key) };
        let before = table.strikes.map.get(&key).copied().filter(|strikes| strikes.until_ms > now_ms);
        let mut strikes = before.unwrap_or(Strikes { count: 0, until_ms: 0, locked: false });
        if !strikes.locked {
            strikes.count += 1;
            strikes.locked = strikes.count >= lockout.after;
            strikes.until_ms = now_ms.saturating_add(lockout.lock_for.millis_i64());
        }
        table.strikes.map.insert(key, strikes);
        strikes.locked.then(|| strikes.until_ms.abs_diff(now_ms))
    }

    /// See [`Store::locked`].
    pub fn locked(&self, key: &Key, now_ms: i64) -> Option<u64> {
        let table = self.table.lock();
        let strikes = table.strikes.map.get(key).or_else(|| table.strikes.map.get(&self.shared_place(key)))?;
        (strikes.locked && strikes.until_ms > now_ms).then(|| strikes.until_ms.abs_diff(now_ms))
    }

    /// See [`Store::forgive`]. A place that is shared stays as it is: it is not this key's to forgive.
    pub fn forgive(&self, key: &Key) {
        self.table.lock().strikes.map.remove(key);
    }

    /// See [`Store::revoke`]. A session that finds no room is known in the shared store and in Postgres.
    pub fn revoke(&self, session: Uuid, until_ms: i64, now_ms: i64) {
        let mut table = self.table.lock();
        if table.revoked.has_room(&session, self.most_keys, now_ms, |until_ms| *until_ms <= now_ms) {
            table.revoked.map.insert(session, until_ms);
        }
    }

    /// See [`Store::is_revoked`].
    pub fn is_revoked(&self, session: Uuid, now_ms: i64) -> bool {
        self.table.lock().revoked.map.get(&session).is_some_and(|until_ms| *until_ms > now_ms)
    }

    fn shared_place(&self, key: &Key) -> Key {
        Key(format!("shared:{}", self.hasher.hash_one(key) % SHARED_PLACES))
    }
}

/// The generic cell rate algorithm: what comes of one more, and the next theoretical arrival time. `gcra.lua` says the
/// same.
fn gcra(arrival_us: i64, rate: Rate, now_us: i64) -> (Verdict, i64) {
    let next_us = arrival_us.saturating_add(rate.interval_us());
    let over_us = next_us.saturating_sub(now_us).saturating_sub(rate.burst_us());
    if over_us > 0 {
        let retry_after_ms = over_us.unsigned_abs().div_ceil(1_000);
        return (Verdict::Refused { retry_after_ms }, arrival_us);
    }
    let remaining = u32::try_from(over_us.unsigned_abs() / rate.interval_us().unsigned_abs()).unwrap_or(u32::MAX);
    (Verdict::Allowed { remaining }, next_us)
}

#[async_trait]
impl Store for Memory {
    async fn take(&self, key: &Key, rate: Rate, now_ms: i64) -> Result<Verdict, Error> {
        Ok(self.take(key, rate, now_ms))
    }
    async fn strike(&self, key: &Key, lockout: Lockout, now_ms: i64) -> Result<Option<u64>, Error> {
        Ok(self.strike(key, lockout, now_ms))
    }
    async fn locked(&self, key: &Key, now_ms: i64) -> Result<Option<u64>, Error> {
        Ok(self.locked(key, now_ms))
    }
    async fn forgive(&self, key: &Key) -> Result<(), Error> {
        self.forgive(key);
        Ok(())
    }
    async fn revoke(&self, session: Uuid, until_ms: i64, now_ms: i64) -> Result<(), Error> {
        self.revoke(session, until_ms, now_ms);
        Ok(())
    }
    async fn is_revoked(&self, session: Uuid, now_ms: i64) -> Result<bool, Error> {
        Ok(self.is_revoked(session, now_ms))
    }
}
