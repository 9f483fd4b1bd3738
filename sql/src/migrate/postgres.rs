//! Postgres: each file in a transaction of its own, all under a session's advisory lock.

use tokio_postgres::{Client, NoTls};

use super::{Applied, Error, Migration, POSTGRES, pending};

/// Key of the advisory lock: "optibid" in ASCII.
const LOCK: i64 = 0x006f_7074_6962_6964;

const RECORDS: &str = "CREATE TABLE IF NOT EXISTS migrations (\
    version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_time timestamptz NOT NULL DEFAULT now())";

/// Brings the database at `url` up to date; returns the names of the files applied now.
pub async fn postgres(url: &str) -> Result<Vec<&'static str>, Error> {
    postgres_with(url, POSTGRES).await
}

pub(super) async fn postgres_with(url: &str, built_in: &'static [Migration]) -> Result<Vec<&'static str>, Error> {
    let failed = |error| Error::Postgres(None, error);
    let (mut client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(failed)?;
    let socket = tokio::spawn(connection);
    let result = run(&mut client, built_in).await;
    // Ends the session, and with it the lock, whatever the result.
    drop(client);
    if let Ok(Err(error)) = socket.await {
        tracing::debug!(%error, "postgres connection ended");
    }
    result
}

async fn run(client: &mut Client, built_in: &'static [Migration]) -> Result<Vec<&'static str>, Error> {
    let failed = |error| Error::Postgres(None, error);
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.map_err(failed)?;
    client.batch_execute(RECORDS).await.map_err(failed)?;
    let rows =
        client.query("SELECT version, name, checksum FROM migrations ORDER BY version", &[]).await.map_err(failed)?;
    let applied: Vec<Applied> = rows
        .iter()
        .map(|row| Applied {
            version: u32::try_from(row.get::<_, i32>(0)).unwrap_or(0),
            name: row.get(1),
            checksum: row.get(2),
        })
        .collect();
    let mut done = Vec::new();
    for file in pending(built_in, &applied)? {
        let failed = |error| Error::Postgres(Some(file.name), error);
        let transaction = client.transaction().await.map_err(failed)?;
        transaction.batch_execute(file.sql).await.map_err(failed)?;
        let version = i32::try_from(file.version).unwrap_or(i32::MAX);
        let insert = "INSERT INTO migrations (version, name, checksum) VALUES ($1, $2, $3)";
        transaction.execute(insert, &[&version, &file.name, &file.checksum()]).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        tracing::info!(file = file.name, "postgres migrated");
        done.push(file.name);
    }
    Ok(done)
}
