//! Sessions of whoever asks: where they are signed in, and how to end that.
//!
//! An ended session gives no more access tokens; the last one it gave lives for minutes, unless its id is also noted in
//! [`crate::limit`]: hence the ids that are returned.

use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ALL, Filter, Instant, Kind, Needs, Resource, Sort, engine};
use crate::refusal::Outcome;

/// Sessions, as a resource.
#[derive(Debug)]
pub struct Sessions;

/// A sign-in on one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Id; `sid` of its access tokens.
    pub id: Uuid,
    /// The organisation that it acts for.
    pub organisation_id: Option<Uuid>,
    /// What the device says that it is.
    #[schema(example = "Firefox on Linux")]
    pub device: Option<String>,
    /// From where it was last used.
    #[schema(example = "192.0.2.7")]
    pub address: Option<String>,
    /// Whether it was begun with a second factor.
    pub second_factor: bool,
    /// Whether it goes on.
    pub active: bool,
    /// When it was used last.
    pub last_seen_time: Instant,
    /// When it ends by itself.
    pub expires_time: Instant,
    /// When it was ended.
    pub revoked_time: Option<Instant>,
    /// Why it was ended.
    #[schema(example = "user")]
    pub revoked_reason: Option<String>,
    /// When it began.
    pub created_time: Instant,
}

impl Resource for Sessions {
    const WHAT: &'static str = "session";
    const TABLE: &'static str = "sessions";
    const FROM: &'static str = "(SELECT *, revoked_time IS NULL AND expires_time > now() AS active FROM sessions)";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "organisation_id",
        "device",
        "address",
        "second_factor",
        "active",
        "last_seen_time",
        "expires_time",
        "revoked_time",
        "revoked_reason",
        "created_time",
    ];
    const SORTS: &'static [Sort] = &[Sort::new("-last_seen_time", Kind::Time), Sort::NEWEST, Sort::OLDEST];
    const FILTERS: &'static [Filter] = &[Filter::new("active", "t.active = ?", Kind::Flag)];
    const READ: Needs = Needs::Login;
    type Id = Uuid;
    type View = Session;
}

/// Ends one of them.
pub async fn revoke(transaction: &Transaction<'_>, id: &Uuid) -> Outcome<Session> {
    let sql = "UPDATE sessions SET revoked_time = now(), revoked_reason = 'user' \
        WHERE id = $1 AND user_id = current_user_id() AND revoked_time IS NULL";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[id]).await?;
    engine::get::<Sessions>(transaction, ALL, id).await
}

/// Ends all of them but one; the ids of those that went on until now.
pub async fn revoke_others(transaction: &Transaction<'_>, keep: Uuid) -> Outcome<Vec<Uuid>> {
    let sql = "UPDATE sessions SET revoked_time = now(), revoked_reason = 'user' \
        WHERE id <> $1 AND user_id = current_user_id() AND revoked_time IS NULL RETURNING id";
    let statement = transaction.prepare_cached(sql).await?;
    let rows = transaction.query(&statement, &[&keep]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}
