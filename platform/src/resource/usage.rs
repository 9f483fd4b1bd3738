//! What was used, by the day (UTC): requests, bids, queries.

use chrono::NaiveDate;
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Needs;
use super::quotas::{self, Metric};
use crate::permission::Permission;
use crate::refusal::Outcome;
use crate::validate::Problem;

/// Who sees it.
pub const READ: Needs = Needs::Permission(Permission::BillingRead);

const MOST_DAYS: i64 = 366;

/// How much was used of a metric on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// The day, UTC.
    pub day: NaiveDate,
    /// Of what.
    #[schema(example = "requests")]
    pub metric: String,
    /// So much.
    #[schema(example = 1200)]
    pub amount: i64,
}

/// What the organisation used from one day to another, both included, 366 days at most.
pub async fn list(transaction: &Transaction<'_>, from: NaiveDate, to: NaiveDate) -> Outcome<Vec<Usage>> {
    if !(0..MOST_DAYS).contains(&to.signed_duration_since(from).num_days()) {
        let problem = Problem::new("out_of_range", format!("must be from the first day to {MOST_DAYS} days after it"));
        return Err(vec![problem.of("to")].into());
    }
    let sql = "SELECT day, metric, amount FROM usage WHERE organisation_id = current_organisation() \
        AND day BETWEEN $1 AND $2 ORDER BY day, metric";
    let statement = transaction.prepare_cached(sql).await?;
    let mut days = Vec::new();
    for row in transaction.query(&statement, &[&from, &to]).await? {
        days.push(Usage { day: row.try_get(0)?, metric: row.try_get(1)?, amount: row.try_get(2)? });
    }
    Ok(days)
}

/// Counts what the actor's organisation uses now; refuses, and counts nothing, when its plan has no room for it. As the
/// system, for an organisation: tenants do not write what they used.
pub async fn count(transaction: &Transaction<'_>, metric: Metric, amount: i64) -> Outcome<i64> {
    let limit = quotas::maximum(transaction, metric).await?;
    let sql = "INSERT INTO usage AS u (organisation_id, metric, day, amount) \
        SELECT current_organisation(), $1, (now() AT TIME ZONE 'UTC')::date, $2::bigint WHERE $2 <= coalesce($3, $2) \
        ON CONFLICT (organisation_id, day, metric) DO UPDATE SET amount = u.amount + excluded.amount \
        WHERE u.amount + excluded.amount <= coalesce($3, u.amount + excluded.amount) RETURNING amount";
    let statement = transaction.prepare_cached(sql).await?;
    match transaction.query_opt(&statement, &[&metric.as_str(), &amount.max(0), &limit]).await? {
        Some(row) => Ok(row.try_get(0)?),
        None => Err(metric.refusal(limit.unwrap_or_default()).into()),
    }
}
