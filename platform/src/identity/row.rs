//! Questions to the database in few words: each statement is prepared once a connection.

use deadpool_postgres::Transaction;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::Error;
use crate::refusal::Outcome;

type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// All rows.
pub(super) async fn all(transaction: &Transaction<'_>, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Error> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.query(&statement, values).await?)
}

/// The row, if there is one.
pub(super) async fn find(transaction: &Transaction<'_>, sql: &str, values: Values<'_>) -> Result<Option<Row>, Error> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.query_opt(&statement, values).await?)
}

/// Whether there is such a row: of a `SELECT EXISTS (…)`.
pub(super) async fn exists(transaction: &Transaction<'_>, sql: &str, values: Values<'_>) -> Result<bool, Error> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.query_one(&statement, values).await?.try_get(0)?)
}

/// How many rows were changed.
pub(super) async fn run(transaction: &Transaction<'_>, sql: &str, values: Values<'_>) -> Result<u64, Error> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.execute(&statement, values).await?)
}

/// Leaves a trace in the audit log: last in a transaction, since the head of a chain is locked from here on. `detail` holds
/// no secret and no personal data.
pub(super) async fn event(
    transaction: &Transaction<'_>,
    action: &str,
    subject: &str,
    id: Option<uuid::Uuid>,
    detail: Value,
) -> Outcome<()> {
    let id = id.map(|id| id.to_string());
    crate::audit::event(transaction, action, subject, id.as_deref(), &detail).await
}

/// Whether it failed because another row has what must be unique.
pub(super) fn is_taken(error: &Error) -> bool {
    use tokio_postgres::error::SqlState;
    matches!(error, Error::Postgres(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
}
