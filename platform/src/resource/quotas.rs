//! What the plan of an organisation includes, and how much of it is taken.
//!
//! What is there at once (sites, assets, …) is counted when one more is made, under a lock of the transaction, so that two
//! requests cannot both take the last one. What is counted by the day is [`super::usage`]'s. A metric that a plan does not
//! name is without limit.

use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::refusal::{Outcome, Refusal};

/// What a plan limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Members, with open invitations.
    Members,
    /// Sites.
    Sites,
    /// Assets.
    Assets,
    /// Alert rules.
    AlertRules,
    /// API keys that are good.
    ApiKeys,
    /// Requests a day.
    Requests,
    /// Bids a day: submitted, amended, withdrawn.
    Bids,
    /// SQL queries a day.
    SqlQueries,
}

/// How much of a metric there is, and how much is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quota {
    /// Of what.
    pub metric: Metric,
    /// So much the plan includes; null: without limit.
    #[schema(example = 50)]
    pub maximum: Option<i64>,
    /// So much is taken: now, or since midnight UTC.
    #[schema(example = 12)]
    pub used: i64,
    /// Whether it is counted by the day.
    pub daily: bool,
}

/// The plan of the transaction's organisation.
pub(super) const PLAN: &str = "coalesce((SELECT plan FROM subscriptions WHERE organisation_id = current_organisation() \
    AND end_time IS NULL), (SELECT code FROM plans WHERE is_default))";

impl Metric {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Members,
        Self::Sites,
        Self::Assets,
        Self::AlertRules,
        Self::ApiKeys,
        Self::Requests,
        Self::Bids,
        Self::SqlQueries,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::Sites => "sites",
            Self::Assets => "assets",
            Self::AlertRules => "alert_rules",
            Self::ApiKeys => "api_keys",
            Self::Requests => "requests",
            Self::Bids => "bids",
            Self::SqlQueries => "sql_queries",
        }
    }

    /// For people.
    fn in_words(self) -> &'static str {
        match self {
            Self::AlertRules => "alert rules",
            Self::ApiKeys => "API keys",
            Self::Requests => "requests a day",
            Self::Bids => "bids a day",
            Self::SqlQueries => "SQL queries a day",
            other => other.as_str(),
        }
    }

    /// Whether it is counted by the day.
    pub fn is_daily(self) -> bool {
        matches!(self, Self::Requests | Self::Bids | Self::SqlQueries)
    }

    /// Counts what is there.
    fn count(self) -> &'static str {
        match self {
            Self::Members => {
                "(SELECT count(*) FROM memberships WHERE organisation_id = current_organisation()) + \
                 (SELECT count(*) FROM invitations WHERE organisation_id = current_organisation() \
                 AND accepted_time IS NULL AND revoked_time IS NULL AND expires_time > now())"
            }
            Self::Sites => "(SELECT count(*) FROM sites WHERE organisation_id = current_organisation())",
            Self::Assets => "(SELECT count(*) FROM assets WHERE organisation_id = current_organisation())",
            Self::AlertRules => {
                "(SELECT count(*) FROM alert_rules WHERE organisation_id = current_organisation() AND removed_time IS NULL)"
            }
            Self::ApiKeys => {
                "(SELECT count(*) FROM api_keys WHERE organisation_id = current_organisation() AND revoked_time IS NULL \
                 AND (expires_time IS NULL OR expires_time > now()))"
            }
            Self::Requests | Self::Bids | Self::SqlQueries => {
                "coalesce((SELECT amount FROM usage WHERE organisation_id = current_organisation() AND metric = $1 \
                 AND day = (now() AT TIME ZONE 'UTC')::date), 0)"
            }
        }
    }

    /// What is answered to whoever wants more.
    pub(super) fn refusal(self, limit: i64) -> Refusal {
        Refusal::Quota { what: self.in_words(), limit }
    }
}

/// So much the plan includes; nothing: without limit.
pub async fn maximum(transaction: &Transaction<'_>, metric: Metric) -> Outcome<Option<i64>> {
    let sql = format!("SELECT maximum FROM quotas WHERE metric = $1 AND plan = {PLAN}");
    let statement = transaction.prepare_cached(&sql).await?;
    let row = transaction.query_opt(&statement, &[&metric.as_str()]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
}

/// So much is taken.
pub async fn used(transaction: &Transaction<'_>, metric: Metric) -> Outcome<i64> {
    let sql = format!("SELECT ({})::bigint WHERE $1 <> ''", metric.count());
    let statement = transaction.prepare_cached(&sql).await?;
    Ok(transaction.query_one(&statement, &[&metric.as_str()]).await?.try_get(0)?)
}

/// Refuses when the plan has no room for one more. Holds the others off until the transaction ends.
pub async fn require(transaction: &Transaction<'_>, metric: Metric) -> Outcome<()> {
    let Some(limit) = maximum(transaction, metric).await? else { return Ok(()) };
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('quota/' || current_organisation() || '/' || $1, 0))";
    let lock = transaction.prepare_cached(lock).await?;
    transaction.execute(&lock, &[&metric.as_str()]).await?;
    match used(transaction, metric).await? {
        used if used >= limit => Err(metric.refusal(limit).into()),
        _ => Ok(()),
    }
}

/// Every metric.
pub async fn list(transaction: &Transaction<'_>) -> Outcome<Vec<Quota>> {
    let mut quotas = Vec::new();
    for metric in Metric::ALL {
        let (maximum, used) = (maximum(transaction, metric).await?, used(transaction, metric).await?);
        quotas.push(Quota { metric, maximum, used, daily: metric.is_daily() });
    }
    Ok(quotas)
}
