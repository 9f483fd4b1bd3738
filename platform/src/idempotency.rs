//! Requests that come twice are done once: the answer to a key is kept, and given again.
//!
//! ```text
//! begin ─► New ─► work ─► finish(answer) ─► commit          one transaction: the answer is there exactly when the work is
//!       ├► InProgress      the same key is at work, here or there
//!       ├► Replay(answer)
//!       └► Mismatch        the key was used for something else
//! ```
//! Work that is more than rows (a message on its way) commits after `begin`, and calls `finish` or [`abandon`] in a
//! transaction of its own; until then, or until the key is over, others are told that it is in progress. Keys are a
//! caller's own: a principal is an API key, else a user, of one organisation.

use deadpool_postgres::Transaction;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::refusal::Outcome;
use crate::validate::{FieldError, Problem};

/// Bytes of an answer that can be kept.
pub const MOST_BYTES: usize = 1 << 20;
const MOST_HEADER_BYTES: usize = 16_384;

/// A request with a key.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The API key, else the user, that the transaction was begun as.
    pub principal: Uuid,
    /// The key, as the caller chose it.
    pub key: &'a str,
    /// Method.
    pub method: &'a str,
    /// Path, with its query.
    pub path: &'a str,
    /// SHA-256 of the body.
    pub body_hash: [u8; 32],
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers that belong to it: `etag`, `location`.
    pub headers: Map<String, Value>,
    /// Body.
    pub body: Vec<u8>,
}

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Do it.
    New,
    /// It was done: this was the answer.
    Replay(Answer),
    /// The key was used for another request.
    Mismatch,
    /// It is being done.
    InProgress,
}

/// What is wrong with a key, if anything is.
pub fn check_key(key: &str) -> Result<(), FieldError> {
    let good = (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    let problem = || Problem::allowed("invalid_key", "is no idempotency key", "1 to 255 printable ASCII characters");
    if good { Ok(()) } else { Err(problem().of("Idempotency-Key")) }
}

/// Takes a key, for so many seconds.
pub async fn begin(transaction: &Transaction<'_>, request: &Request<'_>, life_s: f64) -> Outcome<Begun> {
    check_key(request.key).map_err(|error| vec![error])?;
    // Whoever else holds it ends with the transaction; to wait for that would hold connections.
    let lock = "SELECT pg_try_advisory_xact_lock(hashtextextended('idempotency/' || current_organisation() || '/' || $1 || '/' || $2, 0))";
    let lock = transaction.prepare_cached(lock).await?;
    let principal = request.principal.to_string();
    if !transaction.query_one(&lock, &[&principal, &request.key]).await?.try_get(0)? {
        return Ok(Begun::InProgress);
    }
    let over = "DELETE FROM idempotency_keys WHERE principal_id = $1 AND key = $2 AND expires_time <= now()";
    let over = transaction.prepare_cached(over).await?;
    transaction.execute(&over, &[&request.principal, &request.key]).await?;
    let take = "INSERT INTO idempotency_keys (organisation_id, principal_id, key, method, path, body_hash, expires_time) \
        VALUES (current_organisation(), $1, $2, $3, $4, $5, now() + make_interval(secs => $6)) ON CONFLICT DO NOTHING";
    let take = transaction.prepare_cached(take).await?;
    let body_hash = request.body_hash.as_slice();
    let taken = transaction
        .execute(&take, &[&request.principal, &request.key, &request.method, &request.path, &body_hash, &life_s])
        .await?;
    if taken > 0 { Ok(Begun::New) } else { found(transaction, request).await }
}

async fn found(transaction: &Transaction<'_>, request: &Request<'_>) -> Outcome<Begun> {
    let sql = "SELECT method, path, body_hash, status, headers, response FROM idempotency_keys \
        WHERE principal_id = $1 AND key = $2";
    let statement = transaction.prepare_cached(sql).await?;
    let Some(row) = transaction.query_opt(&statement, &[&request.principal, &request.key]).await? else {
        return Ok(Begun::InProgress);
    };
    let (method, path, hash): (String, String, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if method != request.method || path != request.path || hash != request.body_hash {
        return Ok(Begun::Mismatch);
    }
    let Some(status) = row.try_get::<_, Option<i32>>(3)? else { return Ok(Begun::InProgress) };
    let headers: Option<Value> = row.try_get(4)?;
    let headers = match headers {
        Some(Value::Object(headers)) => headers,
        _ => Map::new(),
    };
    let body: Option<Vec<u8>> = row.try_get(5)?;
    Ok(Begun::Replay(Answer { status: u16::try_from(status).unwrap_or(500), headers, body: body.unwrap_or_default() }))
}

/// Keeps the answer; when it is gone, or too large to be kept, nothing: then the key is free again.
pub async fn finish(transaction: &Transaction<'_>, request: &Request<'_>, answer: &Answer) -> Outcome<bool> {
    let headers = Value::Object(answer.headers.clone());
    if answer.body.len() > MOST_BYTES || headers.to_string().len() > MOST_HEADER_BYTES / 2 {
        abandon(transaction, request).await?;
        return Ok(false);
    }
    let sql = "UPDATE idempotency_keys SET status = $3, headers = $4, response = $5 \
        WHERE principal_id = $1 AND key = $2 AND status IS NULL";
    let statement = transaction.prepare_cached(sql).await?;
    let status = i32::from(answer.status);
    let kept =
        transaction.execute(&statement, &[&request.principal, &request.key, &status, &headers, &answer.body]).await?;
    Ok(kept > 0)
}

/// Gives a key back whose work was not done.
pub async fn abandon(transaction: &Transaction<'_>, request: &Request<'_>) -> Outcome<()> {
    let sql = "DELETE FROM idempotency_keys WHERE principal_id = $1 AND key = $2 AND status IS NULL";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&request.principal, &request.key]).await?;
    Ok(())
}
