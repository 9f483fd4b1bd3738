//! How often something may be tried, who is locked out, and which sessions have ended early.
//!
//! ```text
//! Limiter ─► Redis   shared by all instances; one script a question, so that two at once do not both pass
//!    └─────► Memory  of this process: when there is no Redis, or none that answers in time. Never "unlimited"
//! ```
//!
//! Limits are GCRA: `5/15m` gives five at once, and one more every three minutes. Lock-out counts failures in a row.
//! What is counted is named by a keyed hash, so neither Redis nor a dump of it holds an e-mail address.
//!
//! Time is told by the caller. A clock that is ahead by a second shortens a wait by a second, no more.

mod memory;
mod rate;
mod redis;

use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use model::humane::Span;
use ring::hmac;
use uuid::Uuid;

pub use self::memory::Memory;
pub use self::rate::Rate;
pub use self::redis::Redis;
use crate::{Config, Error, seal};

/// Whether something may be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allowed {
        /// How many more may follow at once.
        remaining: u32,
    },
    /// It may not.
    Refused {
        /// When to try again.
        retry_after_ms: u64,
    },
}

impl Verdict {
    /// Whether it may.
    pub fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

/// When failures lock somebody out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// Failures in a row.
    pub after: u32,
    /// How long; failures are forgotten as fast.
    pub lock_for: Span,
}

/// What is counted: a hash, for a purpose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(String);

/// Makes keys.
#[derive(Clone, Debug)]
pub struct Keys(hmac::Key);

/// Where counts are kept.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Takes one, if there is one left.
    async fn take(&self, key: &Key, rate: Rate, now_ms: i64) -> Result<Verdict, Error>;
    /// Notes a failure. For how many milliseconds the key is locked now, if it is.
    async fn strike(&self, key: &Key, lockout: Lockout, now_ms: i64) -> Result<Option<u64>, Error>;
    /// For how many more milliseconds the key is locked, if it is.
    async fn locked(&self, key: &Key, now_ms: i64) -> Result<Option<u64>, Error>;
    /// Forgets failures and lock (not what was taken).
    async fn forgive(&self, key: &Key) -> Result<(), Error>;
    /// Ends a session for those who hold an access token of it; `until_ms` is when the last of them dies.
    async fn revoke(&self, session: Uuid, until_ms: i64, now_ms: i64) -> Result<(), Error>;
    /// Whether a session was ended.
    async fn is_revoked(&self, session: Uuid, now_ms: i64) -> Result<bool, Error>;
}

/// Redis while it answers, memory while it does not.
#[derive(Debug)]
pub struct Limiter {
    shared: Option<Box<dyn Store>>,
    memory: Memory,
    /// Until when nobody asks the shared store again.
    away_until_ms: AtomicI64,
}

/// How long a store that failed is left alone.
const PAUSE_MS: i64 = 1_000;

impl Keys {
    /// Keys whose hashes nobody else can make.
    pub fn new(keys: &seal::Keys) -> Self {
        Self(keys.pepper("limit"))
    }

    /// The key of `value` (an e-mail address, an IP address, an id) for `purpose` (`login_account`).
    pub fn of(&self, purpose: &str, value: &str) -> Key {
        let tag = hmac::sign(&self.0, format!("{purpose}\0{value}").as_bytes());
        Key(format!("{purpose}:{}", HEXLOWER.encode(&tag.as_ref()[..16])))
    }
}

impl Limiter {
    /// With the Redis of a configuration, if it has one. Connects when first asked.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let shared: Option<Box<dyn Store>> = match config.redis_url.expose().as_str() {
            "" => None,
            url => Some(Box::new(Redis::new(url, &config.redis_prefix, config.limits.redis_timeout)?)),
        };
        Ok(Self::with(shared))
    }

    /// With any shared store, or with memory alone.
    pub fn with(shared: Option<Box<dyn Store>>) -> Self {
        Self { shared, memory: Memory::default(), away_until_ms: AtomicI64::new(i64::MIN) }
    }

    /// Takes one, if there is one left. Never fails: when the shared store is away, this process counts alone.
    pub async fn take(&self, key: &Key, rate: Rate, now_ms: i64) -> Verdict {
        if let Some(store) = self.shared(now_ms)
            && let Some(verdict) = self.heard(store.take(key, rate, now_ms).await, now_ms)
        {
            return verdict;
        }
        self.memory.take(key, rate, now_ms)
    }

    /// Notes a failure, here and there: a store that comes back does not open what was locked meanwhile.
    pub async fn strike(&self, key: &Key, lockout: Lockout, now_ms: i64) -> Option<u64> {
        let here = self.memory.strike(key, lockout, now_ms);
        match self.shared(now_ms) {
            Some(store) => self.heard(store.strike(key, lockout, now_ms).await, now_ms).flatten().max(here),
            None => here,
        }
    }

    /// For how many more milliseconds the key is locked, if it is.
    pub async fn locked(&self, key: &Key, now_ms: i64) -> Option<u64> {
        let here = self.memory.locked(key, now_ms);
        match self.shared(now_ms) {
            Some(store) => self.heard(store.locked(key, now_ms).await, now_ms).flatten().max(here),
            None => here,
        }
    }

    /// Forgets failures and lock, after a good log-in or a new password.
    pub async fn forgive(&self, key: &Key, now_ms: i64) {
        self.memory.forgive(key);
        if let Some(store) = self.shared(now_ms) {
            self.heard(store.forgive(key).await, now_ms);
        }
    }

    /// Ends a session for those who hold an access token of it. Sessions live in Postgres: this register only makes
    /// it known before the token dies. The error says that other instances have not heard of it.
    pub async fn revoke(&self, session: Uuid, until_ms: i64, now_ms: i64) -> Result<(), Error> {
        self.memory.revoke(session, until_ms, now_ms);
        match &self.shared {
            Some(store) => store.revoke(session, until_ms, now_ms).await,
            None => Ok(()),
        }
    }

    /// Whether a session was ended. An error says that nobody knows: look into Postgres.
    pub async fn is_revoked(&self, session: Uuid, now_ms: i64) -> Result<bool, Error> {
        if self.memory.is_revoked(session, now_ms) {
            return Ok(true);
        }
        let Some(store) = &self.shared else { return Ok(false) };
        let Some(store) = self.awake(store.as_ref(), now_ms) else {
            return Err(Error::Timeout(std::time::Duration::ZERO));
        };
        let answer = store.is_revoked(session, now_ms).await;
        if answer.is_err() {
            self.away_until_ms.store(now_ms.saturating_add(PAUSE_MS), Ordering::Relaxed);
        }
        answer
    }

    fn shared(&self, now_ms: i64) -> Option<&dyn Store> {
        self.awake(self.shared.as_deref()?, now_ms)
    }

    fn awake<'a>(&self, store: &'a dyn Store, now_ms: i64) -> Option<&'a dyn Store> {
        let until_ms = self.away_until_ms.load(Ordering::Relaxed);
        // A clock that was set back must not keep us away for long.
        (now_ms >= until_ms || until_ms.saturating_sub(now_ms) > PAUSE_MS).then_some(store)
    }

    fn heard<V>(&self, answer: Result<V, Error>, now_ms: i64) -> Option<V> {
        answer
            .inspect_err(|error| {
                tracing::warn!(%error, "limits are counted in memory: the shared store does not answer");
                self.away_until_ms.store(now_ms.saturating_add(PAUSE_MS), Ordering::Relaxed);
            })
            .ok()
    }
}

#[cfg(test)]
mod tests;
