//! ClickHouse: everything, for analytics.
//!
//! A run is one insert a table, and then one row in `progress`, so whatever is up to that T is there. There are no
//! transactions over tables, and none are needed, because a row counts once however often it is inserted:
//!
//! * Rows are versions: `ReplacingMergeTree(t)`, read with FINAL or `argMax(…, t)`; the materialised views keep
//!   `argMax(…, t)` of bars that the dataflow itself has summed. Nothing in the database adds up inserted rows, so a row
//!   that comes again, in a run cut differently after a restart, or late, from an instance that should be gone, changes
//!   no number. T's say the same whoever says them: versions that share a key and a T are equal.
//! * A merge keeps the greatest version of a key, and a withdrawn row is a version like any other: it stays, so what is
//!   older cannot come back. (`OPTIMIZE … FINAL CLEANUP` would drop it: do not.)
//! * A run that is repeated because its answer got lost has the same deduplication token for each block: the server
//!   drops what it has taken. That only saves work. A token for each T would make each T an insert of its own, ten a
//!   second and table; a token for a run cannot know a run that is cut differently. So tokens are not what counts once.
//!   A dropped block still goes to the materialised views (`deduplicate_blocks_in_dependent_materialized_views`): the
//!   first attempt may have ended between the table and its views.
//!
//! Tables are made by the migrations in `sql/schemas/clickhouse`.

mod config;
mod encode;

use std::sync::Arc;

use async_trait::async_trait;
use model::{Batch, T};

pub use config::Config;
use encode::Block;

use crate::rows::millis;
use crate::{Context, Error, Sink};

/// Writes closed batches to ClickHouse.
pub struct ClickHouse {
    context: Context,
    client: clickhouse::Client,
}

impl std::fmt::Debug for ClickHouse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClickHouse").finish_non_exhaustive()
    }
}

impl ClickHouse {
    /// A sink that will connect when first used.
    pub fn new(config: Config, context: Context) -> Self {
        Self { context, client: config.client() }
    }

    async fn insert(&self, block: &Block) -> Result<(), Error> {
        let mut insert = self
            .client
            .insert_formatted_with(block.sql())
            .with_setting("insert_deduplicate", "1")
            .with_setting("insert_deduplication_token", &block.token)
            // Older servers have to be told.
            .with_setting("deduplicate_blocks_in_dependent_materialized_views", "1")
            // A replay of years is one insert over many months.
            .with_setting("max_partitions_per_insert_block", "0");
        insert.send(block.bytes.clone()).await?;
        insert.end().await?;
        Ok(())
    }

    /// Says that everything up to T is there. The newest T stands, whoever says it.
    async fn advance(&self, t: T) -> Result<(), Error> {
        let insert = "INSERT INTO progress (sink, t) VALUES (?, fromUnixTimestamp64Milli(toInt64(?), 'UTC'))";
        self.client.query(insert).bind(self.name()).bind(millis(t)).execute().await?;
        Ok(())
    }
}

#[async_trait]
impl Sink for ClickHouse {
    fn name(&self) -> &'static str {
        "clickhouse"
    }

    async fn check(&mut self) -> Result<(), Error> {
        let query = "SELECT name FROM system.tables WHERE database = currentDatabase()";
        let present: Vec<String> = self.client.query(query).fetch_all().await?;
        let missing: Vec<&str> =
            encode::TABLES.into_iter().filter(|table| !present.iter().any(|name| name == table)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::Schema(format!("clickhouse lacks {}: run the migrations", missing.join(", "))))
    }

    async fn write(&mut self, batches: &[Arc<Batch>]) -> Result<(), Error> {
        self.context.learn(batches);
        // A run is large here: encoding it would hold up whoever shares this thread.
        let (context, run) = (self.context.clone(), batches.to_vec());
        let blocks = tokio::task::spawn_blocking(move || encode::blocks(&context, &run)).await??;
        for block in blocks {
            self.insert(&block).await?;
        }
        match batches.last() {
            Some(last) => self.advance(last.t).await,
            None => Ok(()),
        }
    }

    async fn held_t(&mut self) -> Result<Option<T>, Error> {
        let query = "SELECT toUnixTimestamp64Milli(max(t)) FROM progress WHERE sink = ?";
        let t: i64 = self.client.query(query).bind(self.name()).fetch_one().await?;
        Ok(Some(T::try_from(t).unwrap_or(0)))
    }
}
