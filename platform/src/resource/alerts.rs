//! Alerts: what an organisation makes of an anomaly on the stream. They are seen, and noted upon; nobody makes them here.

use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ALL, Editable, Filter, Instant, Kind, Needs, Resource, Sort, check, engine};
use crate::permission::Permission;
use crate::refusal::{Outcome, Refusal};
use crate::validate::Fields;

/// Alerts, as a resource.
#[derive(Debug)]
pub struct Alerts;

/// An alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// Id.
    pub id: Uuid,
    /// The rule, if it is the organisation's own and still there.
    pub rule_id: Option<Uuid>,
    /// Id of the anomaly on the stream.
    pub anomaly: String,
    /// Zone.
    #[schema(example = "PJM")]
    pub zone: String,
    /// Location.
    #[schema(example = "WESTERN HUB")]
    pub location: String,
    /// Market.
    #[schema(example = "REAL_TIME_5_MIN")]
    pub market: String,
    /// What was found.
    #[schema(example = "z_score")]
    pub kind: String,
    /// How much it matters.
    #[schema(schema_with = super::schema::severity)]
    pub severity: model::Severity,
    /// Start of the interval that raised it.
    pub start_time: Instant,
    /// What was seen: currency per MWh, or ms of silence of a stale feed.
    pub value: f64,
    /// What it was judged by, in the kind's unit.
    pub threshold: f64,
    /// When a correction took it back.
    pub withdrawn_time: Option<Instant>,
    /// Who acknowledged it, if still a member.
    pub acknowledged_by: Option<Uuid>,
    /// When it was acknowledged.
    pub acknowledged_time: Option<Instant>,
    /// What people made of it.
    pub note: Option<String>,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was raised.
    pub created_time: Instant,
    /// When it was changed last.
    pub updated_time: Instant,
}

/// What people make of an alert.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"note": "Outage of line 7, back by noon"}))]
pub struct AlertNote {
    /// Up to 2000 characters; null takes it away.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub note: Option<String>,
}

impl Resource for Alerts {
    const WHAT: &'static str = "alert";
    const TABLE: &'static str = "alerts";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "rule_id",
        "anomaly",
        "zone",
        "location",
        "market",
        "kind",
        "severity",
        "start_time",
        "value",
        "threshold",
        "withdrawn_time",
        "acknowledged_by",
        "acknowledged_time",
        "note",
        "version",
        "created_time",
        "updated_time",
    ];
    const SORTS: &'static [Sort] =
        &[Sort::new("-start_time", Kind::Time), Sort::new("start_time", Kind::Time), Sort::NEWEST];
    const FILTERS: &'static [Filter] = &[
        Filter::new("acknowledged", "(t.acknowledged_time IS NOT NULL) = ?", Kind::Flag),
        Filter::new("withdrawn", "(t.withdrawn_time IS NOT NULL) = ?", Kind::Flag),
        Filter::new("severity", "t.severity = ?", Kind::Word(&["info", "warning", "critical"])),
        Filter::new("kind", "t.kind = ?", Kind::Text),
        Filter::new("zone", "t.zone = ?", Kind::Text),
        Filter::new("rule_id", "t.rule_id = ?", Kind::Id),
        Filter::new("from", "t.start_time >= ?", Kind::Time),
        Filter::new("to", "t.start_time < ?", Kind::Time),
    ];
    const SEARCH: &'static [&'static str] = &["note", "location"];
    const READ: Needs = Needs::Permission(Permission::RulesRead);
    type Id = Uuid;
    type View = Alert;
}

impl Editable for Alerts {
    const WRITABLE: &'static [&'static str] = &["note"];
    const EXISTS: &'static str = "alert_exists";
    const WRITE: Needs = Needs::Permission(Permission::RulesWrite);
    type New = AlertNote;

    fn check(new: &mut AlertNote, fields: &mut Fields) {
        if let Some(note) = &mut new.note {
            check::prose(fields, "note", note, 2_000);
        }
    }
}

/// Says that somebody has seen it, with a note if there is one.
pub async fn acknowledge(
    transaction: &Transaction<'_>,
    id: &Uuid,
    mut note: AlertNote,
    expected_version: Option<i64>,
) -> Outcome<Alert> {
    let mut fields = Fields::default();
    Alerts::check(&mut note, &mut fields);
    fields.finish()?;
    let sql = "UPDATE alerts SET acknowledged_by = current_user_id(), acknowledged_time = now(), note = coalesce($2, note) \
        WHERE id = $1 AND acknowledged_time IS NULL AND version = coalesce($3, version)";
    let statement = transaction.prepare_cached(sql).await?;
    let done = transaction.execute(&statement, &[id, &note.note, &expected_version]).await?;
    let alert = engine::get::<Alerts>(transaction, ALL, id).await?;
    match expected_version {
        _ if done > 0 => Ok(alert),
        Some(given) if given != alert.version => Err(Refusal::Stale { given, stands: alert.version }.into()),
        _ => Err(Refusal::conflict("alert_acknowledged", "this alert was acknowledged before").into()),
    }
}
