//! Marks in Redis: `<prefix>:ended:<what>` holds the instant up to which tokens are dead, and expires with the last of them.

use std::sync::atomic::{AtomicI64, Ordering};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client};

use super::Now;
use crate::{Config, Error};

/// How long a Redis that did not answer is left alone.
const PAUSE_MS: i64 = 1_000;

/// Marks that all instances share.
pub(super) struct Shared {
    connection: ConnectionManager,
    prefix: String,
    away_until_ms: AtomicI64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Shared {
    /// The Redis of a configuration, if it has one; connects when first asked.
    pub(super) fn new(config: &Config) -> Result<Option<Self>, Error> {
        if config.redis_url.expose().is_empty() {
            return Ok(None);
        }
        let patience = Some(config.limits.redis_timeout.0);
        let settings = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(patience)
            .set_response_timeout(patience);
        let client = Client::open(config.redis_url.expose().as_str())?;
        Ok(Some(Self {
            connection: ConnectionManager::new_lazy_with_config(client, settings)?,
            prefix: format!("{}:ended", config.redis_prefix),
            away_until_ms: AtomicI64::new(i64::MIN),
        }))
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    /// Leaves a mark for so long.
    pub(super) async fn mark(&self, name: &str, before_ms: i64, life_ms: i64) -> Result<(), Error> {
        let life_ms = u64::try_from(life_ms).unwrap_or(1).max(1);
        Ok(self.connection.clone().pset_ex::<_, _, ()>(self.key(name), before_ms, life_ms).await?)
    }

    /// The latest of these marks, `i64::MIN` when there is none; nothing when Redis does not answer.
    pub(super) async fn latest(&self, names: &[String], now: Now) -> Option<i64> {
        let now_ms = now.timestamp_millis();
        let until_ms = self.away_until_ms.load(Ordering::Relaxed);
        if now_ms < until_ms && until_ms.saturating_sub(now_ms) <= PAUSE_MS {
            return None;
        }
        let keys: Vec<String> = names.iter().map(|name| self.key(name)).collect();
        let marks: Result<Vec<Option<i64>>, _> = self.connection.clone().mget(keys).await;
        match marks {
            Ok(marks) => Some(marks.into_iter().flatten().max().unwrap_or(i64::MIN)),
            Err(error) => {
                tracing::warn!(%error, "sessions are looked up in Postgres: Redis does not answer");
                self.away_until_ms.store(now_ms.saturating_add(PAUSE_MS), Ordering::Relaxed);
                None
            }
        }
    }

    pub(super) async fn ping(&self) -> Result<(), Error> {
        Ok(redis::cmd("PING").query_async::<()>(&mut self.connection.clone()).await?)
    }
}
