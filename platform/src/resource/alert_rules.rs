//! Alert rules of an organisation, and how the stream hears of them.
//!
//! ```text
//! create, patch, delete ─► row (version + 1, published_version as it was) ─► publisher: unpublished ─► rules topic ─► published
//! ```
//! The row is the truth, its version the revision of [`model::Rule`]: a message that is lost is sent again, and one that
//! comes twice or late changes nothing. A deleted rule stays, unseen, until the stream was told.

use deadpool_postgres::Transaction;
use model::{AnomalyKind, Market, Rule, Severity};
use serde::{Deserialize, Serialize};
use tokio_postgres::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::quotas::Metric;
use super::{ALL, Editable, Filter, Instant, Kind, Needs, Resource, Sort, check, engine};
use crate::permission::Permission;
use crate::refusal::Outcome;
use crate::validate::{Fields, Problem};

/// Alert rules, as a resource.
#[derive(Debug)]
pub struct AlertRules;

/// An alert rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertRule {
    /// Id.
    pub id: Uuid,
    /// What its alerts on the stream call it: `<code of the organisation>/<id>`.
    #[schema(example = "NORTHWIND/6f1c2f0e-0f4f-4c62-9d3f-0a6b8f6f2f11")]
    pub rule: String,
    /// Name, unique in the organisation.
    pub name: String,
    /// What people should know.
    pub description: String,
    /// What it looks for.
    #[schema(schema_with = super::schema::anomaly_kind)]
    pub kind: AnomalyKind,
    /// Zone that it is for; null: all.
    #[schema(example = "PJM")]
    pub zone: Option<String>,
    /// Location inside the zone; null: all.
    pub location: Option<String>,
    /// Market that it is for; null: all.
    #[schema(value_type = Option<String>, example = "REAL_TIME_5_MIN")]
    pub market: Option<Market>,
    /// Threshold in 10⁻³ of the kind's unit.
    #[schema(example = 3000)]
    pub threshold_milli: i64,
    /// Trailing bars that make the baseline.
    #[schema(example = 30)]
    pub window_bars: u32,
    /// Severity of its alerts.
    #[schema(schema_with = super::schema::severity)]
    pub severity: Severity,
    /// Whether it looks.
    pub enabled: bool,
    /// Whether the stream knows this version.
    pub published: bool,
    /// Raised by each change; the ETag, and the revision on the stream.
    pub version: i64,
    /// When it was made.
    pub created_time: Instant,
    /// When it was changed last.
    pub updated_time: Instant,
}

/// An alert rule to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "PJM spikes", "kind": "z_score", "zone": "PJM", "threshold_milli": 3000, "window_bars": 30, "severity": "warning"}))]
pub struct NewAlertRule {
    /// Name, unique in the organisation; 1 to 120 characters.
    #[schema(min_length = 1, max_length = 120)]
    pub name: String,
    /// What people should know; up to 2000 characters.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: String,
    /// What to look for.
    #[schema(schema_with = super::schema::anomaly_kind)]
    pub kind: AnomalyKind,
    /// Zone that it is for; all when absent.
    #[serde(default)]
    pub zone: Option<String>,
    /// Location inside the zone; needs the zone.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    pub location: Option<String>,
    /// Market that it is for; all when absent.
    #[serde(default)]
    #[schema(schema_with = super::schema::market)]
    pub market: Option<Market>,
    /// Threshold in 10⁻³: of z; of currency per MWh (spread); bars × 1000 (flat line); seconds × 1000 (stale feed).
    #[schema(minimum = 0, maximum = 1_000_000_000_000_u64)]
    pub threshold_milli: i64,
    /// Trailing bars that make the baseline (z rules).
    #[serde(default = "thirty")]
    #[schema(minimum = 2, maximum = 10_000)]
    pub window_bars: u32,
    /// Severity of its alerts.
    #[schema(schema_with = super::schema::severity)]
    pub severity: Severity,
    /// Whether it looks.
    #[serde(default = "super::yes")]
    pub enabled: bool,
}

fn thirty() -> u32 {
    30
}

impl Resource for AlertRules {
    const WHAT: &'static str = "alert rule";
    const TABLE: &'static str = "alert_rules";
    const FROM: &'static str = "(SELECT *, published_version = version AS published FROM alert_rules)";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "rule",
        "name",
        "description",
        "kind",
        "zone",
        "location",
        "market",
        "threshold_milli",
        "window_bars",
        "severity",
        "enabled",
        "published",
        "version",
        "created_time",
        "updated_time",
    ];
    const VISIBLE: &'static str = "t.removed_time IS NULL";
    const SORTS: &'static [Sort] = &[Sort::NAME, Sort::new("-name", Kind::Text), Sort::NEWEST, Sort::OLDEST];
    const FILTERS: &'static [Filter] = &[
        Filter::new("zone", "t.zone = ?", Kind::Text),
        Filter::new("kind", "t.kind = ?", Kind::Text),
        Filter::new("severity", "t.severity = ?", Kind::Word(&["info", "warning", "critical"])),
        Filter::new("enabled", "t.enabled = ?", Kind::Flag),
    ];
    const SEARCH: &'static [&'static str] = &["name", "description"];
    const READ: Needs = Needs::Permission(Permission::RulesRead);
    type Id = Uuid;
    type View = AlertRule;
}

impl Editable for AlertRules {
    const WRITABLE: &'static [&'static str] = &[
        "name",
        "description",
        "kind",
        "zone",
        "location",
        "market",
        "threshold_milli",
        "window_bars",
        "severity",
        "enabled",
    ];
    const REMOVAL: Option<&'static str> = Some("removed_time = now()");
    const QUOTA: Option<Metric> = Some(Metric::AlertRules);
    const EXISTS: &'static str = "alert_rule_exists";
    const CONSTRAINTS: &'static [(&'static str, &'static str)] = &[("alert_rules_by_name", "name")];
    const WRITE: Needs = Needs::Permission(Permission::RulesWrite);
    type New = NewAlertRule;

    fn check(new: &mut NewAlertRule, fields: &mut Fields) {
        check::name(fields, "name", &mut new.name);
        check::prose(fields, "description", &mut new.description, 2_000);
        check::line(fields, "zone", &mut new.zone, 64);
        check::line(fields, "location", &mut new.location, 200);
        if new.location.is_some() && new.zone.is_none() {
            fields.add([Problem::new("required", "is missing: a rule for a location must name its zone").of("zone")]);
        }
        fields.number("threshold_milli", new.threshold_milli, 0..=1_000_000_000_000);
        fields.number("window_bars", new.window_bars, 2..=10_000);
    }
}

/// The rule as the stream hears it.
pub fn to_rule(row: &AlertRule) -> Rule {
    Rule {
        rule: row.rule.clone(),
        kind: row.kind,
        zone: row.zone.clone(),
        location: row.location.clone(),
        market: row.market,
        threshold_milli: row.threshold_milli,
        window_bars: row.window_bars,
        severity: row.severity,
        enabled: row.enabled,
        revision: row.version,
        deleted: false,
    }
}

/// What withdraws a rule that was deleted as this row.
pub fn to_removed(row: &AlertRule) -> Rule {
    Rule { deleted: true, revision: row.version + 1, ..to_rule(row) }
}

/// Removes a rule; what is returned withdraws it from the stream.
pub async fn remove(transaction: &Transaction<'_>, id: &Uuid, expected_version: Option<i64>) -> Outcome<Rule> {
    let row = engine::get::<AlertRules>(transaction, ALL, id).await?;
    engine::delete::<AlertRules>(transaction, ALL, id, expected_version.or(Some(row.version))).await?;
    Ok(to_removed(&row))
}

/// What the stream has not been told yet, the oldest first, for [`published`]: as the system, which locks these rows so
/// that two publishers do not send the same.
pub async fn unpublished(transaction: &Transaction<'_>, limit: i64) -> Outcome<Vec<(Uuid, Rule)>> {
    let sql = "SELECT id, removed_time IS NOT NULL, to_jsonb(t) || '{\"published\": false}' FROM alert_rules AS t \
        WHERE published_version < version ORDER BY updated_time LIMIT $1 FOR UPDATE SKIP LOCKED";
    let statement = transaction.prepare_cached(sql).await?;
    let mut rules = Vec::new();
    for row in transaction.query(&statement, &[&limit]).await? {
        let (id, removed, Json(rule)) = (row.try_get(0)?, row.try_get(1)?, row.try_get::<_, Json<AlertRule>>(2)?);
        rules.push((id, Rule { deleted: removed, ..to_rule(&rule) }));
    }
    Ok(rules)
}

/// Notes that the stream was told; forgets rules that are deleted and told.
pub async fn published(transaction: &Transaction<'_>, id: Uuid, revision: i64) -> Outcome<()> {
    let noted = "UPDATE alert_rules SET published_version = $2 WHERE id = $1 AND published_version < $2";
    let noted = transaction.prepare_cached(noted).await?;
    transaction.execute(&noted, &[&id, &revision]).await?;
    let gone = "DELETE FROM alert_rules WHERE id = $1 AND removed_time IS NOT NULL AND published_version = version";
    let gone = transaction.prepare_cached(gone).await?;
    transaction.execute(&gone, &[&id]).await?;
    Ok(())
}
