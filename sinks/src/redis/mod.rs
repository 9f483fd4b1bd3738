//! Redis: what stands now, for whoever needs it within a millisecond, and messages when it changes.
//!
//! A run is one transaction in one round trip: readers see whole moments. Each change is applied by a script only if
//! it is newer than what its key holds, so repeats and older runs change nothing. `encode` lists the keys.

mod config;
pub(crate) mod encode;

use std::sync::Arc;

use async_trait::async_trait;
use model::Batch;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Pipeline, Script};

pub use config::Config;
use encode::Op;

use crate::{Context, Error, Sink};

const APPLY: &str = include_str!("apply.lua");

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

    fn pipeline(&self, ops: &[Op], last_t: u64) -> Pipeline {
        let mut pipe = redis::pipe();
        pipe.atomic();
        // The server may have been restarted since the last run: the script goes along each time (Redis knows it by hash).
        pipe.cmd("SCRIPT").arg("LOAD").arg(APPLY).ignore();
        for op in ops {
            self.add(&mut pipe, op);
        }
        for board in encode::BOARDS {
            let [values, dates, versions, progress] = self.board_keys(board);
            self.call(&mut pipe, &[values, dates, versions, progress], "expire", last_t)
                .arg(self.config.retention.millis());
        }
        for field in ["boards", "run"] {
            self.call(&mut pipe, &[self.key("progress")], "progress", last_t).arg(field);
        }
        pipe
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
                pipe.sadd(self.key("series"), series).ignore();
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

    fn call<'a>(&self, pipe: &'a mut Pipeline, keys: &[String], what: &str, t: u64) -> &'a mut Pipeline {
        pipe.cmd("EVALSHA").arg(self.script.get_hash()).arg(keys.len()).arg(keys).arg(what).arg(t).ignore()
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.config.prefix)
    }

    fn board_keys(&self, board: &str) -> [String; 4] {
        [
            self.key(board),
            self.key(&format!("{board}:dates")),
            self.key(&format!("{board}:versions")),
            self.key("progress"),
        ]
    }
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
        let Some(last) = batches.last() else { return Ok(()) };
        self.context.learn(batches);
        let ops = encode::encode(&self.context, &self.config, batches)?;
        let pipe = self.pipeline(&ops, last.t);
        let mut connection = self.connection().await?;
        pipe.query_async::<()>(&mut connection).await?;
        Ok(())
    }
}
