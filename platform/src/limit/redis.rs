//! Limits in Redis, shared by all instances. Keys: `<prefix>:rate:<key>`, `<prefix>:strikes:<key>`,
//! `<prefix>:revoked:<session>`; each expires by itself when it says nothing any more.

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{AsyncCommands, Client, Script};
use async_trait::async_trait;
use model::humane::Span;
use uuid::Uuid;

use super::{Key, Lockout, Rate, Store, Verdict};
use crate::Error;

/// Counts that all instances share.
pub struct Redis {
    connection: ConnectionManager,
    prefix: String,
    rate: Script,
    strike: Script,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects when first asked, and again when a connection breaks (after a failure it takes two questions until the
    /// first is answered). `patience` bounds each question.
    pub fn new(url: &str, prefix: &str, patience: Span) -> Result<Self, Error> {
        let settings = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(patience.0))
            .set_response_timeout(Some(patience.0));
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(Client::open(url)?, settings)?,
            prefix: prefix.to_owned(),
            rate: Script::new(include_str!("gcra.lua")),
            strike: Script::new(include_str!("strike.lua")),
        })
    }

    fn key(&self, kind: &str, name: impl std::fmt::Display) -> String {
        format!("{}:{kind}:{name}", self.prefix)
    }
}

#[async_trait]
impl Store for Redis {
    async fn take(&self, key: &Key, rate: Rate, now_ms: i64) -> Result<Verdict, Error> {
        let mut call = self.rate.prepare_invoke();
        call.key(self.key("rate", &key.0)).arg(now_ms.saturating_mul(1_000));
        call.arg(rate.interval_us()).arg(rate.burst_us());
        let (allowed, number): (bool, u64) = call.invoke_async(&mut self.connection.clone()).await?;
        Ok(if allowed {
            Verdict::Allowed { remaining: u32::try_from(number).unwrap_or(u32::MAX) }
        } else {
            Verdict::Refused { retry_after_ms: number }
        })
    }

    async fn strike(&self, key: &Key, lockout: Lockout, now_ms: i64) -> Result<Option<u64>, Error> {
        let mut call = self.strike.prepare_invoke();
        call.key(self.key("strikes", &key.0)).arg(now_ms).arg(lockout.after).arg(lockout.lock_for.millis());
        let locked_ms: i64 = call.invoke_async(&mut self.connection.clone()).await?;
        Ok(u64::try_from(locked_ms).ok())
    }

    async fn locked(&self, key: &Key, now_ms: i64) -> Result<Option<u64>, Error> {
        let (locked, until_ms): (Option<u8>, Option<i64>) =
            self.connection.clone().hmget(self.key("strikes", &key.0), &["locked", "until"]).await?;
        let left_ms = until_ms.filter(|until_ms| locked.is_some() && *until_ms > now_ms).map(|until| until - now_ms);
        Ok(left_ms.and_then(|ms| u64::try_from(ms).ok()))
    }

    async fn forgive(&self, key: &Key) -> Result<(), Error> {
        Ok(self.connection.clone().del::<_, ()>(self.key("strikes", &key.0)).await?)
    }

    async fn revoke(&self, session: Uuid, until_ms: i64, now_ms: i64) -> Result<(), Error> {
        let Some(life_ms) = u64::try_from(until_ms.saturating_sub(now_ms)).ok().filter(|ms| *ms > 0) else {
            return Ok(());
        };
        Ok(self.connection.clone().pset_ex::<_, _, ()>(self.key("revoked", session), 1, life_ms).await?)
    }

    async fn is_revoked(&self, session: Uuid, _now_ms: i64) -> Result<bool, Error> {
        Ok(self.connection.clone().exists(self.key("revoked", session)).await?)
    }
}
