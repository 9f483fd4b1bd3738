//! Redis: what stands now, for whoever needs it within a millisecond, and messages when it changes.
//!
//! A run is one transaction in one round trip: readers see whole moments. Each change is applied by a script only if
//! it is newer than what its key holds, so repeats and older runs change nothing, whichever instance sends them.
//! `encode` lists the keys.
//!
//! A Redis that lost what it held is given the whole state. Of keys that are not in it there is no version to compare
//! with any more, so the state's T becomes a floor: nothing older is taken, or an instance that should be gone could
//! bring back what was withdrawn.

mod config;
pub(crate) mod encode;

use std::sync::Arc;

use async_trait::async_trait;
use model::{Batch, T};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Pipeline, Script};

pub use config::Config;
use encode::Op;

use crate::{Context, Error, Sink};

const APPLY: &str = include_str!("apply.lua");
/// Keys that are forgotten in one round trip.
const FORGET_KEYS: usize = 1_000;

/// Writes closed batches to Redis.
pub struct Redis {
    config: Config,
    context: Context,
    client: redis::Client,
    connection: Option<ConnectionManager>,
    script: Script,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Redis {
    /// A sink that will connect when first used.
    pub fn new(config: Config, context: Context) -> Result<Self, Error> {
        let client = redis::Client::open(config.url.expose().as_str())?;
        Ok(Self { config, context, client, connection: None, script: Script::new(APPLY) })
    }

    async fn connection(&mut self) -> Result<ConnectionManager, Error> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        // The manager reconnects by itself when a connection breaks; when to try again is the driver's business.
        let settings = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(self.config.connect_timeout.0))
            .set_response_timeout(Some(self.config.driver.write_timeout.0));
        let connection = ConnectionManager::new_with_config(self.client.clone(), settings).await?;
        self.connection = Some(connection.clone());
        Ok(connection)
    }

    /// A transaction that has nothing in it yet.
    fn transaction() -> Pipeline {
        let mut pipe = redis::pipe();
        pipe.atomic();
        // The server may have been restarted since the last run: the script goes along each time (Redis knows it by hash).
        pipe.cmd("SCRIPT").arg("LOAD").arg(APPLY).ignore();
        pipe
    }

    /// `fields`: the marks in `progress` that the run moves on.
    fn pipeline(&self, ops: &[Op], last_t: T, fields: &[&str]) -> Pipeline {
        let mut pipe = Self::transaction();
        for op in ops {
            self.add(&mut pipe, op);
        }
        for board in encode::BOARDS {
            self.call(&mut pipe, &self.board_keys(board), "expire", last_t).arg(self.config.retention.millis());
        }
        for field in fields {
            self.call(&mut pipe, &[], "progress", last_t).arg(field);
        }
        pipe
    }

    async fn apply(&mut self, batches: &[Arc<Batch>], fields: &[&str], news: bool) -> Result<(), Error> {
        let Some(last) = batches.last() else { return Ok(()) };
        self.context.learn(batches);
        let mut ops = encode::encode(&self.context, &self.config, batches)?;
        ops.retain(|op| news || !matches!(op, Op::Publish { .. }));
        let pipe = self.pipeline(&ops, last.t, fields);
        pipe.query_async::<()>(&mut self.connection().await?).await?;
        Ok(())
    }

    /// Keys of the hashes that [`Op::State`] makes.
    async fn state_keys(&mut self) -> Result<Vec<String>, Error> {
        let mut connection = self.connection().await?;
        let mut keys = Vec::new();
        for kind in encode::STATES {
            let pattern = format!("{}:*", literal(&self.key(kind)));
            let mut found = connection.scan_match::<_, String>(pattern).await?;
            while let Some(key) = found.next_item().await {
                keys.push(key?);
            }
        }
        Ok(keys)
    }

    fn add(&self, pipe: &mut Pipeline, op: &Op) {
        match op {
            Op::State { key, t, removed, fields } => {
                let call = self.call(pipe, &[self.key(key)], "state", *t).arg(i32::from(*removed));
                fields.iter().fold(call, |call, (name, value)| call.arg(name).arg(value));
            }
            Op::Price { series, t, start_ms, fields } => {
                let keys = ["price", "bars:starts", "bars"].map(|kind| self.key(&format!("{kind}:{series}")));
                let packed: String =
                    fields.iter().flatten().map(|(name, value)| format!("\x1f{name}\x1f{value}")).collect();
                self.call(pipe, &keys, "price", *t).arg(*start_ms).arg(self.config.recent_bars.max(1)).arg(packed);
                pipe.sadd(self.key(encode::SERIES), series).ignore();
            }
            Op::Board { board, t, id, date_ms, value } => {
                self.call(pipe, &self.board_keys(board), "board", *t)
                    .arg(id)
                    .arg(*date_ms)
                    .arg(self.config.retention.millis())
                    .arg(value.as_deref().unwrap_or_default());
            }
            Op::Append { stream, t, n, fields } => {
                let call = self.call(pipe, &[self.key(stream)], "append", *t).arg(*n).arg(self.config.stream_entries);
                fields.iter().fold(call, |call, (name, value)| call.arg(name).arg(value));
            }
            Op::Publish { channel, t, payload } => {
                self.call(pipe, &[self.key("published")], "publish", *t).arg(channel).arg(payload.as_slice());
            }
        }
    }

    /// A call of the script; `progress` is the last key of every one.
    fn call<'a>(&self, pipe: &'a mut Pipeline, keys: &[String], what: &str, t: T) -> &'a mut Pipeline {
        let call = pipe.cmd("EVALSHA").arg(self.script.get_hash()).arg(keys.len() + 1).arg(keys);
        call.arg(self.key("progress")).arg(what).arg(t).ignore()
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.config.prefix)
    }

    fn board_keys(&self, board: &str) -> [String; 3] {
        ["", ":dates", ":versions"].map(|part| self.key(&format!("{board}{part}")))
    }
}

/// A pattern that matches exactly this text.
fn literal(text: &str) -> String {
    text.chars()
        .flat_map(|c| matches!(c, '*' | '?' | '[' | ']' | '\\').then_some('\\').into_iter().chain([c]))
        .collect()
}

#[async_trait]
impl Sink for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn check(&mut self) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await?;
        Ok(())
    }

    async fn write(&mut self, batches: &[Arc<Batch>]) -> Result<(), Error> {
        self.apply(batches, &["boards", "run"], true).await
    }

    async fn held_t(&mut self) -> Result<Option<T>, Error> {
        let t: Option<T> = self.connection().await?.hget(self.key("progress"), "run").await?;
        Ok(Some(t.unwrap_or(0)))
    }

    async fn forget(&mut self) -> Result<(), Error> {
        let states = self.state_keys().await?;
        let mut connection = self.connection().await?;
        let series: Vec<String> = connection.smembers(self.key(encode::SERIES)).await?;
        let mut calls: Vec<(&str, Vec<String>)> = vec![("forget floor", Vec::new())];
        calls.extend(encode::BOARDS.map(|board| ("forget board", vec![self.key(board)])));
        calls.extend(series.iter().map(|series| {
            ("forget price", ["price", "bars"].map(|kind| self.key(&format!("{kind}:{series}"))).to_vec())
        }));
        calls.extend(states.into_iter().map(|key| ("forget state", vec![key])));
        for calls in calls.chunks(FORGET_KEYS) {
            let mut pipe = Self::transaction();
            for (what, keys) in calls {
                self.call(&mut pipe, keys, what, 0);
            }
            pipe.query_async::<()>(&mut connection).await?;
        }
        Ok(())
    }

    async fn restore(&mut self, batches: &[Arc<Batch>]) -> Result<(), Error> {
        self.apply(batches, &["boards", "run", "floor"], false).await
    }
}
