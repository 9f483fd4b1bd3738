//! The audit log: what an organisation reads of it, and whether anybody tampered with it.
//!
//! Triggers write it (sql/schemas/postgres/0005_audit.sql). [`verify`] computes every hash again, from the rows alone and
//! by the format in the comment on `audit_log.hash`, in this program: a database that was made to lie about its own
//! function does not pass. What it cannot see is a log that was cut off together with its head, or written anew from some
//! entry on: for that keep the [`Chain::hash`] of a report elsewhere.

mod chain;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::chain::{Broken, Chain, Report, verify};
use crate::permission::Permission;
use crate::refusal::Outcome;
use crate::resource::{Filter, Instant, Kind, Needs, Resource, Sort};

/// The audit log of an organisation, as a resource; an operator, who acts for none, reads the platform's.
#[derive(Debug)]
pub struct AuditLog;

/// An entry: who did what, when, from where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Id.
    pub id: Uuid,
    /// Its place in the chain of the organisation, from 1.
    #[schema(example = 42)]
    pub sequence: i64,
    /// When.
    pub recorded_time: Instant,
    /// What acted: `user`, `api_key` or `system`.
    #[schema(example = "user")]
    pub actor: String,
    /// Who.
    pub user_id: Option<Uuid>,
    /// With which API key.
    pub api_key_id: Option<Uuid>,
    /// As what.
    #[schema(example = "trader")]
    pub role: String,
    /// `insert`, `update`, `delete`, or the name of an event.
    #[schema(example = "update")]
    pub action: String,
    /// Of which table.
    #[schema(example = "assets")]
    pub subject: String,
    /// Of which row.
    pub subject_id: Option<String>,
    /// What was; of an update only what changed.
    pub before: Option<Map<String, Value>>,
    /// What is; of an update only what changed, of an event its detail.
    pub after: Option<Map<String, Value>>,
    /// From where.
    #[schema(example = "192.0.2.7")]
    pub address: Option<String>,
    /// Id of the request.
    pub request: Option<String>,
    /// SHA-256 of the entry and the one before it, in hexadecimal.
    pub hash: String,
}

impl Resource for AuditLog {
    const WHAT: &'static str = "audit entry";
    const TABLE: &'static str = "audit_log";
    const FROM: &'static str = "(SELECT id, sequence, recorded_time, actor, user_id, api_key_id, role, action, subject, \
        subject_id, before, after, address, request, encode(hash, 'hex') AS hash FROM audit_log \
        WHERE organisation_id = current_organisation() OR (organisation_id IS NULL AND current_organisation() IS NULL))";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "sequence",
        "recorded_time",
        "actor",
        "user_id",
        "api_key_id",
        "role",
        "action",
        "subject",
        "subject_id",
        "before",
        "after",
        "address",
        "request",
        "hash",
    ];
    const SORTS: &'static [Sort] = &[Sort::new("-sequence", Kind::Count), Sort::new("sequence", Kind::Count)];
    const FILTERS: &'static [Filter] = &[
        Filter::new("subject", "t.subject = ?", Kind::Text),
        Filter::new("subject_id", "t.subject_id = ?", Kind::Text),
        Filter::new("user_id", "t.user_id = ?", Kind::Id),
        Filter::new("action", "t.action = ?", Kind::Text),
        Filter::new("from", "t.recorded_time >= ?", Kind::Time),
        Filter::new("to", "t.recorded_time < ?", Kind::Time),
    ];
    const READ: Needs = Needs::Permission(Permission::AuditRead);
    type Id = Uuid;
    type View = AuditEntry;
}

/// Records what is no change of a row: a log-in, an export, an erasure. `detail` holds no secret and no personal data.
/// It locks the head of the chain until the transaction ends: call it last.
pub async fn event(
    transaction: &deadpool_postgres::Transaction<'_>,
    action: &str,
    subject: &str,
    subject_id: Option<&str>,
    detail: &Value,
) -> Outcome<()> {
    let statement = transaction.prepare_cached("SELECT audit_event($1, $2, $3, $4)").await?;
    transaction.execute(&statement, &[&action, &subject, &subject_id, detail]).await?;
    Ok(())
}
