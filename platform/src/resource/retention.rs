//! How long data stay after they ended, and the job that removes what is due. Each class of data is removed in a
//! transaction of its own, which also records how much that was.

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{ALL, Editable, Instant, Kind, Needs, Resource, Sort, check, engine};
use crate::database::{self, Actor, Database};
use crate::refusal::Outcome;
use crate::validate::{Fields, Problem};

/// Policies, as a resource of operators.
#[derive(Debug)]
pub struct RetentionPolicies;

/// How long a class of data stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetentionPolicy {
    /// Its name.
    #[schema(example = "sessions")]
    pub data_class: String,
    /// Days after they ended; null: for good.
    #[schema(example = 90)]
    pub days: Option<i32>,
    /// What belongs to it.
    pub description: String,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was made.
    pub created_time: Instant,
    /// When it was changed last.
    pub updated_time: Instant,
}

/// A change of a policy.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"days": 30, "description": "Sessions and their refresh tokens"}))]
pub struct NewRetentionPolicy {
    /// Days after they ended; null: for good.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 36_500)]
    pub days: Option<i32>,
    /// What belongs to it; 1 to 500 characters.
    #[schema(min_length = 1, max_length = 500)]
    pub description: String,
}

/// What the job removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetentionRun {
    /// Id.
    pub id: uuid::Uuid,
    /// Of which class.
    #[schema(example = "sessions")]
    pub data_class: String,
    /// What ended before this.
    pub before_time: Instant,
    /// So many rows, without those that went with them.
    #[schema(example = 17)]
    pub removed: i64,
    /// When it began.
    pub started_time: Instant,
    /// When it ended.
    pub ended_time: Instant,
}

/// Runs of the job, as a resource of operators.
#[derive(Debug)]
pub struct RetentionRuns;

impl Resource for RetentionPolicies {
    const WHAT: &'static str = "retention policy";
    const TABLE: &'static str = "retention_policies";
    const COLUMNS: &'static [&'static str] =
        &["data_class", "days", "description", "version", "created_time", "updated_time"];
    const KEY: &'static str = "data_class";
    const SORTS: &'static [Sort] = &[Sort::new("data_class", Kind::Text)];
    const READ: Needs = Needs::Login;
    type Id = String;
    type View = RetentionPolicy;
}

impl Editable for RetentionPolicies {
    const WRITABLE: &'static [&'static str] = &["days", "description"];
    const OF_ORGANISATION: bool = false;
    const EXISTS: &'static str = "retention_policy_exists";
    const WRITE: Needs = Needs::Operator;
    type New = NewRetentionPolicy;

    fn check(new: &mut NewRetentionPolicy, fields: &mut Fields) {
        if let Some(days) = new.days {
            fields.number("days", days, 0..=36_500);
        }
        let description = crate::names::line(&new.description, 1, 500);
        check::replace(fields, "description", &mut new.description, description);
    }
}

impl Resource for RetentionRuns {
    const WHAT: &'static str = "retention run";
    const TABLE: &'static str = "retention_runs";
    const COLUMNS: &'static [&'static str] =
        &["id", "data_class", "before_time", "removed", "started_time", "ended_time"];
    const SORTS: &'static [Sort] = &[Sort::new("-ended_time", Kind::Time)];
    const FILTERS: &'static [super::Filter] = &[super::Filter::new("data_class", "t.data_class = ?", Kind::Text)];
    const READ: Needs = Needs::Operator;
    type Id = uuid::Uuid;
    type View = RetentionRun;
}

/// What ended before `$1`, by class. The audit log is in none: it cannot be shortened.
const DUE: &[(&str, &[&str])] = &[
    ("sessions", &["DELETE FROM sessions WHERE least(expires_time, revoked_time) < $1"]),
    (
        "tokens",
        &[
            "DELETE FROM password_resets WHERE expires_time < $1",
            "DELETE FROM email_verifications WHERE expires_time < $1",
            "DELETE FROM oauth_states WHERE expires_time < $1",
        ],
    ),
    ("invitations", &["DELETE FROM invitations WHERE coalesce(accepted_time, revoked_time, expires_time) < $1"]),
    ("idempotency_keys", &["DELETE FROM idempotency_keys WHERE expires_time < $1"]),
    ("notifications", &["DELETE FROM notifications WHERE created_time < $1"]),
    ("alerts", &["DELETE FROM alerts WHERE created_time < $1"]),
    ("usage", &["DELETE FROM usage WHERE day < ($1 AT TIME ZONE 'UTC')::date"]),
    ("signing_keys", &["DELETE FROM signing_keys WHERE not_after_time < $1"]),
    ("consents", &["DELETE FROM consents WHERE withdrawn_time < $1"]),
];

/// Changes a policy. Of the audit log only the description.
pub async fn patch(
    transaction: &Transaction<'_>,
    class: &String,
    patch: &Value,
    expected_version: Option<i64>,
) -> Outcome<RetentionPolicy> {
    let days = patch.get("days").is_some_and(|days| !days.is_null());
    if days && !DUE.iter().any(|(known, _)| known == class) {
        engine::get::<RetentionPolicies>(transaction, ALL, class).await?;
        return Err(vec![Problem::new("fixed", "stays null: these data cannot be removed").of("days")].into());
    }
    engine::patch::<RetentionPolicies>(transaction, ALL, class, patch, expected_version).await
}

/// Removes what is due of every class, and says so in `retention_runs`.
pub async fn run(database: &Database) -> Outcome<Vec<RetentionRun>> {
    let mut runs = Vec::new();
    let mut client = database.client().await?;
    for (class, statements) in DUE {
        let transaction = database::begin(&mut client, &Actor::system()).await?;
        let Some(run) = remove(&transaction, class, statements).await? else { continue };
        transaction.commit().await?;
        tracing::info!(class, removed = run.removed, before = %run.before_time, "data removed by retention");
        runs.push(run);
    }
    Ok(runs)
}

async fn remove(transaction: &Transaction<'_>, class: &str, statements: &[&str]) -> Outcome<Option<RetentionRun>> {
    let due = "SELECT now() - make_interval(days => days), clock_timestamp() FROM retention_policies \
        WHERE data_class = $1 AND days IS NOT NULL";
    let Some(row) = transaction.query_opt(due, &[&class]).await? else { return Ok(None) };
    let (before, started): (DateTime<Utc>, DateTime<Utc>) = (row.try_get(0)?, row.try_get(1)?);
    let mut removed = 0_i64;
    for statement in statements {
        let rows = transaction.execute(*statement, &[&before]).await?;
        removed = removed.saturating_add(i64::try_from(rows).unwrap_or(i64::MAX));
    }
    let record = "INSERT INTO retention_runs (data_class, before_time, removed, started_time, ended_time) \
        VALUES ($1, $2, $3, $4, clock_timestamp()) RETURNING id";
    let id = transaction.query_one(record, &[&class, &before, &removed, &started]).await?.try_get(0)?;
    Ok(Some(engine::get::<RetentionRuns>(transaction, ALL, &id).await?))
}
