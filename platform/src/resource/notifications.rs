//! Notifications: what a member is told. The platform makes them; a member reads them, and says so.

use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ALL, Filter, Instant, Kind, Needs, Resource, Sort, engine};
use crate::permission::Permission;
use crate::refusal::Outcome;

/// Notifications, as a resource.
#[derive(Debug)]
pub struct Notifications;

/// What a member is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Notification {
    /// Id.
    pub id: Uuid,
    /// For whom; null: for every member.
    pub user_id: Option<Uuid>,
    /// The alert that it is about.
    pub alert_id: Option<Uuid>,
    /// What it is about.
    #[schema(example = "alert.raised")]
    pub kind: String,
    /// How much it matters.
    #[schema(schema_with = super::schema::severity)]
    pub severity: model::Severity,
    /// In one line.
    pub title: String,
    /// In full.
    pub body: String,
    /// For programs.
    pub detail: Map<String, Value>,
    /// When it was read; one for every member, by the first of them.
    pub read_time: Option<Instant>,
    /// When it was made.
    pub created_time: Instant,
}

impl Resource for Notifications {
    const WHAT: &'static str = "notification";
    const TABLE: &'static str = "notifications";
    const COLUMNS: &'static [&'static str] =
        &["id", "user_id", "alert_id", "kind", "severity", "title", "body", "detail", "read_time", "created_time"];
    const SORTS: &'static [Sort] = &[Sort::NEWEST, Sort::OLDEST];
    const FILTERS: &'static [Filter] = &[
        Filter::new("read", "(t.read_time IS NOT NULL) = ?", Kind::Flag),
        Filter::new("kind", "t.kind = ?", Kind::Text),
        Filter::new("severity", "t.severity = ?", Kind::Word(&["info", "warning", "critical"])),
        Filter::new("alert_id", "t.alert_id = ?", Kind::Id),
    ];
    const SEARCH: &'static [&'static str] = &["title", "body"];
    const READ: Needs = Needs::Permission(Permission::NotificationsRead);
    type Id = Uuid;
    type View = Notification;
}

/// Who may say that they were read.
pub const WRITE: Needs = Needs::Permission(Permission::NotificationsWrite);

/// Says that one was read, or that it was not.
pub async fn mark(transaction: &Transaction<'_>, id: &Uuid, read: bool) -> Outcome<Notification> {
    let sql = "UPDATE notifications SET read_time = CASE WHEN $2 THEN coalesce(read_time, now()) END WHERE id = $1";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[id, &read]).await?;
    engine::get::<Notifications>(transaction, ALL, id).await
}

/// Says that all were read; how many were not before.
pub async fn mark_all(transaction: &Transaction<'_>) -> Outcome<u64> {
    let statement =
        transaction.prepare_cached("UPDATE notifications SET read_time = now() WHERE read_time IS NULL").await?;
    Ok(transaction.execute(&statement, &[]).await?)
}
