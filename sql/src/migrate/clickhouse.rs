//! ClickHouse: no transactions and no locks, so files are made of statements that may be repeated (IF NOT EXISTS), and
//! the lock is a table: creating it succeeds for one only. One that was left behind by a crash is taken over.

use std::time::Duration;

use clickhouse::Client;
use clickhouse::error::Error as ClientError;

use super::{Applied, CLICKHOUSE, Error, Migration, pending};

/// How long a lock may be held, and is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

const RECORDS: &str = "CREATE TABLE IF NOT EXISTS migrations (\
    version UInt32, name String, checksum String, applied_time DateTime DEFAULT now()) \
    ENGINE = ReplacingMergeTree ORDER BY version";

/// Where ClickHouse is.
#[derive(Clone, Copy, Debug)]
pub struct ClickHouse<'a> {
    /// HTTP interface, `http://host:8123`.
    pub url: &'a str,
    /// Database; made if it is missing.
    pub database: &'a str,
    /// User; empty sends none.
    pub user: &'a str,
    /// Password; empty sends none.
    pub password: &'a str,
}

impl ClickHouse<'_> {
    fn client(&self) -> Client {
        let mut client = Client::default().with_url(self.url).with_compression(clickhouse::Compression::None);
        if !self.user.is_empty() {
            client = client.with_user(self.user);
        }
        if !self.password.is_empty() {
            client = client.with_password(self.password);
        }
        client
    }
}

/// Brings the database up to date; returns the names of the files applied now.
pub async fn clickhouse(target: ClickHouse<'_>) -> Result<Vec<&'static str>, Error> {
    clickhouse_with(target, CLICKHOUSE, PATIENCE).await
}

pub(super) async fn clickhouse_with(
    target: ClickHouse<'_>,
    built_in: &'static [Migration],
    patience: Duration,
) -> Result<Vec<&'static str>, Error> {
    let client = target.client();
    execute(&client, &format!("CREATE DATABASE IF NOT EXISTS {}", quoted(target.database)), None).await?;
    let client = client.with_database(target.database);
    lock(&client, patience).await?;
    let result = run(&client, built_in).await;
    let unlocked = execute(&client, "DROP TABLE IF EXISTS migration_lock SYNC", None).await;
    let done = result?;
    unlocked.map(|()| done)
}

async fn run(client: &Client, built_in: &'static [Migration]) -> Result<Vec<&'static str>, Error> {
    execute(client, RECORDS, None).await?;
    let query = "SELECT version, name, checksum FROM migrations FINAL ORDER BY version";
    let rows: Vec<(u32, String, String)> =
        client.query(query).fetch_all().await.map_err(|error| Error::ClickHouse(None, error))?;
    let applied: Vec<Applied> =
        rows.into_iter().map(|(version, name, checksum)| Applied { version, name, checksum }).collect();
    let mut done = Vec::new();
    for file in pending(built_in, &applied)? {
        for statement in file.statements() {
            execute(client, statement, Some(file.name)).await?;
        }
        let record = format!(
            "INSERT INTO migrations (version, name, checksum) VALUES ({}, '{}', '{}')",
            file.version,
            file.name,
            file.checksum()
        );
        execute(client, &record, Some(file.name)).await?;
        tracing::info!(file = file.name, "clickhouse migrated");
        done.push(file.name);
    }
    Ok(done)
}

/// Creates the lock table; waits for a holder, and takes over from one that is gone.
async fn lock(client: &Client, patience: Duration) -> Result<(), Error> {
    // However short the patience with a holder: a busy server may take seconds for each answer.
    let give_up = tokio::time::Instant::now() + patience.saturating_mul(2).max(Duration::from_secs(30));
    while tokio::time::Instant::now() < give_up {
        match execute(client, "CREATE TABLE migration_lock (holder String) ENGINE = Memory", None).await {
            Ok(()) => return Ok(()),
            // TABLE_ALREADY_EXISTS
            Err(Error::ClickHouse(_, ClientError::BadResponse(text))) if text.contains("Code: 57.") => {}
            Err(error) => return Err(error),
        }
        let query = "SELECT toUInt64(greatest(0, dateDiff('second', metadata_modification_time, now()))) \
                     FROM system.tables WHERE database = currentDatabase() AND name = 'migration_lock'";
        let age: Option<u64> =
            client.query(query).fetch_optional().await.map_err(|error| Error::ClickHouse(None, error))?;
        if age.is_some_and(|age_s| age_s >= patience.as_secs()) {
            tracing::warn!("taking over a migration lock that was left behind");
            execute(client, "DROP TABLE IF EXISTS migration_lock SYNC", None).await?;
        } else {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Err(Error::Locked(patience))
}

async fn execute(client: &Client, sql: &str, file: Option<&'static str>) -> Result<(), Error> {
    // Raw: a question mark in a comment is no placeholder.
    client.query_raw(sql).execute().await.map_err(|error| Error::ClickHouse(file, error))
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}
