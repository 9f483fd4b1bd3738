//! Postgres: reference data; bars, alerts, bids and auctions as they stand; the lives of alerts and bids; notices.
//!
//! One run is one transaction: COPY into temporary tables, upsert where the version is newer, then the progress T.
//! So a reader sees whole moments, and a repeat or an older run changes nothing, even from another instance at the same
//! time: a row is locked before versions are compared, and every run takes rows in the order of their keys, so two runs
//! never wait for each other in a circle. Withdrawn rows stay, marked, so that an older version cannot come back.
//! Tables are made by the migrations in `sql/schemas/postgres`; partitions by the sink, months ahead of the rows that
//! need them.

mod config;
mod encode;
mod tables;
mod zones;

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use model::{Batch, T};
use tokio_postgres::{Client, NoTls, Transaction};

pub use config::Config;
use tables::Load;

use crate::rows::millis;
use crate::{Context, Error, Sink};

/// Writes closed batches to Postgres.
pub struct Postgres {
    config: Config,
    context: Context,
    // Taken out while a write is under way: one that is cancelled or fails leaves none behind, and the next connects anew.
    connection: Option<Connection>,
    swept_month: i64,
}

struct Connection {
    client: Client,
    /// Months (since year 0) of each table whose partition is there.
    partitions: HashSet<(&'static str, i64)>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Postgres {
    /// A sink that will connect when first used.
    pub fn new(config: Config, context: Context) -> Self {
        Self { config, context, connection: None, swept_month: 0 }
    }

    /// How far this generation is written; `None` before its first write.
    pub async fn progress(&mut self) -> Result<Option<T>, Error> {
        let connection = self.take().await?;
        let query = "SELECT (extract(epoch FROM t) * 1000)::bigint FROM progress WHERE sink = $1 AND generation = $2";
        let row = connection.client.query_opt(query, &[&"postgres", &self.config.generation]).await?;
        self.connection = Some(connection);
        Ok(row.map(|row| T::try_from(row.get::<_, i64>(0)).unwrap_or(0)))
    }

    async fn take(&mut self) -> Result<Connection, Error> {
        match self.connection.take() {
            Some(connection) if !connection.client.is_closed() => Ok(connection),
            _ => self.connect().await,
        }
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let mut settings: tokio_postgres::Config = self.config.url.expose().parse()?;
        settings.connect_timeout(self.config.connect_timeout.0).application_name("optibid");
        let (client, connection) = settings.connect(NoTls).await?;
        #[allow(clippy::disallowed_methods, reason = "drives the connection's socket, ends with it")]
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "postgres connection ended");
            }
        });
        let connection = Connection { client, partitions: HashSet::new(), task };
        // A run is short; whatever would hold it up longer (a lock, a lost client) must not hold up the store.
        let timeout_ms = self.config.driver.write_timeout.millis();
        connection
            .client
            .batch_execute(&format!(
                "SET timezone = 'UTC'; SET client_min_messages = warning; SET statement_timeout = {timeout_ms}; SET idle_in_transaction_session_timeout = {timeout_ms}; SET synchronous_commit = on"
            ))
            .await?;
        Ok(connection)
    }

    async fn write_run(&self, connection: &mut Connection, batches: &[Arc<Batch>], last_t: T) -> Result<(), Error> {
        let loads = tables::loads(&self.context, batches)?;
        for load in &loads {
            ensure_partitions(connection, load).await?;
        }
        let transaction = connection.client.transaction().await?;
        for load in &loads {
            upsert(&transaction, load).await?;
        }
        transaction
            .execute(
                "INSERT INTO progress (sink, generation, t) VALUES ($1, $2, to_timestamp($3::float8 / 1000)) \
                 ON CONFLICT (sink, generation) DO UPDATE SET t = excluded.t, updated_time = now() WHERE excluded.t > progress.t",
                &[&"postgres", &self.config.generation, &(millis(last_t) as f64)],
            )
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Drops months past retention; once a month of T is often enough.
    async fn sweep(&mut self, connection: &Connection, last_t: T) -> Result<(), Error> {
        let (Some(retention), month) = (self.config.retention, tables::month(millis(last_t))) else { return Ok(()) };
        if month > self.swept_month {
            let before_ms = millis(last_t).saturating_sub(retention.millis_i64()) as f64;
            for table in tables::TIME_SERIES {
                let query = "SELECT drop_partitions_before($1, to_timestamp($2::float8 / 1000))";
                connection.client.query_one(query, &[&table, &before_ms]).await?;
            }
            // Bids are in no partition, since they may move to another day: they go by the month of their delivery.
            let gone = "DELETE FROM bids WHERE delivery_time < date_trunc('month', to_timestamp($1::float8 / 1000))";
            connection.client.execute(gone, &[&before_ms]).await?;
            self.swept_month = month;
        }
        Ok(())
    }
}

/// Makes what is missing for the rows' months and the month after, outside the transaction: it is idempotent by itself.
async fn ensure_partitions(connection: &mut Connection, load: &Load) -> Result<(), Error> {
    for month in &load.months {
        if !connection.partitions.contains(&(load.table, *month)) {
            let (from_ms, to_ms) = (tables::month_start_ms(*month) as f64, tables::month_start_ms(*month + 1) as f64);
            let query =
                "SELECT ensure_partitions($1, to_timestamp($2::float8 / 1000), to_timestamp($3::float8 / 1000))";
            connection.client.query_one(query, &[&load.table, &from_ms, &to_ms]).await?;
            connection.partitions.insert((load.table, *month));
        }
    }
    Ok(())
}

async fn upsert(transaction: &Transaction<'_>, load: &Load) -> Result<(), Error> {
    use futures::SinkExt;
    transaction.batch_execute(&load.staging_sql()).await?;
    let copy = transaction.copy_in(&load.copy_sql()).await?;
    futures::pin_mut!(copy);
    copy.send(bytes::Bytes::from(encode::copy_text(&load.rows)?)).await?;
    copy.close().await?;
    transaction.batch_execute(&load.upsert_sql()).await?;
    Ok(())
}

#[async_trait]
impl Sink for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    async fn check(&mut self) -> Result<(), Error> {
        let mut connection = self.take().await?;
        let query = "SELECT array_agg(name) FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL";
        let missing: Option<Vec<String>> = connection.client.query_one(query, &[&tables::ALL.as_slice()]).await?.get(0);
        if let Some(missing) = missing {
            return Err(Error::Schema(format!("postgres lacks {}: run the migrations", missing.join(", "))));
        }
        zones::upsert(&mut connection.client, &self.context.zones).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn held_t(&mut self) -> Result<Option<T>, Error> {
        Ok(Some(self.progress().await?.unwrap_or(0)))
    }

    async fn write(&mut self, batches: &[Arc<Batch>]) -> Result<(), Error> {
        let Some(last) = batches.last() else { return Ok(()) };
        self.context.learn(batches);
        let mut connection = self.take().await?;
        self.write_run(&mut connection, batches, last.t).await?;
        self.sweep(&connection, last.t).await?;
        self.connection = Some(connection);
        Ok(())
    }
}
