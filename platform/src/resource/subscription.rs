//! Which plan an organisation has. A change ends one subscription and begins another, so that there is a history.

use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::plans::Plans;
use super::quotas::{self, Metric, PLAN};
use super::{ALL, Instant, Needs, engine};
use crate::permission::Permission;
use crate::refusal::{Failure, Outcome, Refusal};
use crate::validate::Problem;

/// Who sees it.
pub const READ: Needs = Needs::Permission(Permission::BillingRead);
/// Who changes it.
pub const WRITE: Needs = Needs::Permission(Permission::BillingWrite);

/// The subscription of an organisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Subscription {
    /// Id; null for an organisation that never subscribed, which has the default plan.
    pub id: Option<Uuid>,
    /// Code of the plan.
    #[schema(example = "pro")]
    pub plan: String,
    /// Since when.
    pub start_time: Option<Instant>,
    /// Raised by each change; the ETag. 0 for an organisation that never subscribed.
    pub version: i64,
}

/// Another plan.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"plan": "pro"}))]
pub struct NewSubscription {
    /// Code of the plan.
    #[schema(min_length = 1, max_length = 64)]
    pub plan: String,
}

/// The organisation's own.
pub async fn current(transaction: &Transaction<'_>) -> Outcome<Subscription> {
    let sql = format!(
        "SELECT s.id, {PLAN}, s.start_time, coalesce(s.version, 0) FROM (SELECT 1) AS one LEFT JOIN subscriptions AS s \
         ON s.organisation_id = current_organisation() AND s.end_time IS NULL"
    );
    let statement = transaction.prepare_cached(&sql).await?;
    let row = transaction.query_one(&statement, &[]).await?;
    let start: Option<chrono::DateTime<chrono::Utc>> = row.try_get(2)?;
    let plan: Option<String> = row.try_get(1)?;
    Ok(Subscription {
        id: row.try_get(0)?,
        plan: plan.unwrap_or_default(),
        start_time: start.map(Instant),
        version: row.try_get(3)?,
    })
}

/// Subscribes to another plan, if it has a price and room for what there is.
pub async fn change(
    transaction: &Transaction<'_>,
    new: NewSubscription,
    expected_version: Option<i64>,
) -> Outcome<Subscription> {
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('subscription/' || current_organisation(), 0))";
    let lock = transaction.prepare_cached(lock).await?;
    transaction.execute(&lock, &[]).await?;
    let before = current(transaction).await?;
    if let Some(given) = expected_version.filter(|given| *given != before.version) {
        return Err(Refusal::Stale { given, stands: before.version }.into());
    }
    if new.plan == before.plan && before.id.is_some() {
        return Ok(before);
    }
    let plan = engine::get::<Plans>(transaction, ALL, &new.plan).await.map_err(|failure| match failure {
        Failure::Refused(_) => vec![Problem::new("unknown_reference", "does not exist").of("plan")].into(),
        other => other,
    })?;
    if plan.price_per_month.is_none() {
        return Err(Refusal::Forbidden("an agreement: write to the operator of the platform".to_owned()).into());
    }
    for metric in Metric::ALL.into_iter().filter(|metric| !metric.is_daily()) {
        let limit = plan.quotas.get(metric.as_str()).copied().flatten();
        if let Some(limit) = limit
            && quotas::used(transaction, metric).await? > limit
        {
            return Err(metric.refusal(limit).into());
        }
    }
    // An end is after its start, also when one was begun in this very transaction.
    let end = "UPDATE subscriptions SET end_time = greatest(now(), start_time + interval '1 microsecond') \
        WHERE organisation_id = current_organisation() AND end_time IS NULL";
    let end = transaction.prepare_cached(end).await?;
    transaction.execute(&end, &[]).await?;
    let begin = "INSERT INTO subscriptions (organisation_id, plan) VALUES (current_organisation(), $1)";
    let begin = transaction.prepare_cached(begin).await?;
    transaction.execute(&begin, &[&plan.code]).await?;
    current(transaction).await
}
