//! ClickHouse: everything, for analytics.
//!
//! A run is one insert a table. There are no transactions over tables, and none are needed: rows are versions
//! (`ReplacingMergeTree(t)`, materialised views with `argMax(…, t)`), so a run that was half written is simply written
//! again. A block that the server has already taken is dropped by its deduplication token.
//! Tables are made by the migrations in `sql/schemas/clickhouse`.

mod config;
mod encode;

use std::sync::Arc;

use async_trait::async_trait;
use model::Batch;

pub use config::Config;
use encode::Block;

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
            // A replay of years is one insert over many months.
            .with_setting("max_partitions_per_insert_block", "0");
        insert.send(block.bytes.clone()).await?;
        insert.end().await?;
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
        Ok(())
    }
}
