//! Tenants, as an operator of the platform sees them: that they are there, how much they have, and whether they are suspended.
//! Not what they have.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Afterwards, Desk, Doing};
use crate::identity::Ended;
use crate::names;
use crate::refusal::Refusal;
use crate::resource::{self, ALL, Filter, Instant, Kind, Needs, Resource, Sort};
use crate::validate::Fields;

/// Tenants, as a resource of operators.
#[derive(Debug)]
pub struct Tenants;

/// How much tenants have, as a resource of operators.
#[derive(Debug)]
pub struct Statistics;

/// A tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    /// Id.
    pub id: Uuid,
    /// What bids on the stream call it.
    #[schema(example = "NORTHWIND")]
    pub code: String,
    /// Name.
    #[schema(example = "Northwind Trading")]
    pub name: String,
    /// ISO 3166.
    #[schema(example = "DE")]
    pub country: Option<String>,
    /// IANA name of its time zone.
    #[schema(example = "Europe/Berlin")]
    pub timezone: String,
    /// Since when it is suspended.
    pub suspended_time: Option<Instant>,
    /// Why.
    pub suspended_reason: Option<String>,
    /// Raised by each change.
    pub version: i64,
    /// When it was founded.
    pub created_time: Instant,
    /// When it was changed last.
    pub updated_time: Instant,
}

/// How much a tenant has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TenantStatistics {
    /// Id of the organisation.
    pub id: Uuid,
    /// Its code on the stream.
    #[schema(example = "NORTHWIND")]
    pub code: String,
    /// Its name.
    #[schema(example = "Northwind Trading")]
    pub name: String,
    /// Members.
    pub members: i64,
    /// Sites.
    pub sites: i64,
    /// Assets.
    pub assets: i64,
    /// What the assets can do together, in MW.
    #[schema(example = 380.0)]
    pub capacity_mw: f64,
    /// Alert rules.
    pub alert_rules: i64,
    /// Alerts that nobody has acknowledged.
    pub unacknowledged_alerts: i64,
    /// Bids that stand.
    pub live_bids: i64,
    /// When a member was there last.
    pub last_seen_time: Option<Instant>,
}

/// Why a tenant is suspended.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "Unpaid since March"}))]
pub struct Suspension {
    /// For people; 1 to 500 characters.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}

impl Resource for Tenants {
    const WHAT: &'static str = "tenant";
    const TABLE: &'static str = "organisations";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "code",
        "name",
        "country",
        "timezone",
        "suspended_time",
        "suspended_reason",
        "version",
        "created_time",
        "updated_time",
    ];
    const SORTS: &'static [Sort] = &[Sort::NAME, Sort::NEWEST, Sort::OLDEST];
    const FILTERS: &'static [Filter] = &[
        Filter::new("suspended", "(t.suspended_time IS NOT NULL) = ?", Kind::Flag),
        Filter::new("code", "t.code = ?", Kind::Text),
        Filter::new("country", "t.country = ?", Kind::Text),
    ];
    const SEARCH: &'static [&'static str] = &["name", "code"];
    const READ: Needs = Needs::Operator;
    type Id = Uuid;
    type View = Tenant;
}

impl Resource for Statistics {
    const WHAT: &'static str = "statistic";
    const TABLE: &'static str = "organisations";
    const FROM: &'static str = "(SELECT s.organisation_id AS id, o.code, o.name, s.members, s.sites, s.assets, s.capacity_mw, \
        s.alert_rules, s.unacknowledged_alerts, s.live_bids, s.last_seen_time \
        FROM tenant_statistics() AS s JOIN organisations AS o ON o.id = s.organisation_id)";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "code",
        "name",
        "members",
        "sites",
        "assets",
        "capacity_mw",
        "alert_rules",
        "unacknowledged_alerts",
        "live_bids",
        "last_seen_time",
    ];
    const SORTS: &'static [Sort] =
        &[Sort::NAME, Sort::new("-assets", Kind::Count), Sort::new("-live_bids", Kind::Count)];
    const SEARCH: &'static [&'static str] = &["name", "code"];
    const READ: Needs = Needs::Operator;
    type Id = Uuid;
    type View = TenantStatistics;
}

/// Suspends a tenant: nobody acts for it from now on. Not the operator's own.
pub fn suspend<'d>(desk: &'d Desk<'d>, id: Uuid, wish: Suspension) -> Doing<'d, Tenant> {
    Box::pin(async move {
        let mut fields = Fields::default();
        let reason = fields.take("reason", names::line(&wish.reason, 1, 500)).unwrap_or_default();
        fields.finish()?;
        resource::get::<Tenants>(desk.transaction, ALL, &id).await?;
        if desk.caller.organisation.as_ref().is_some_and(|(own, _)| *own == id) {
            let message = "you act for this organisation yourself: switch to another one first";
            return Err(Refusal::conflict("own_organisation", message).into());
        }
        let sql = "UPDATE organisations SET suspended_time = coalesce(suspended_time, now()), suspended_reason = $2 WHERE id = $1";
        let statement = desk.transaction.prepare_cached(sql).await?;
        desk.transaction.execute(&statement, &[&id, &reason]).await?;
        desk.afterwards(Afterwards::End(Ended::Organisation(id)));
        resource::get::<Tenants>(desk.transaction, ALL, &id).await
    })
}

/// Lets a tenant go on. Its members sign in anew.
pub fn resume<'d>(desk: &'d Desk<'d>, id: Uuid) -> Doing<'d, Tenant> {
    Box::pin(async move {
        let sql = "UPDATE organisations SET suspended_time = NULL, suspended_reason = NULL WHERE id = $1";
        let statement = desk.transaction.prepare_cached(sql).await?;
        desk.transaction.execute(&statement, &[&id]).await?;
        resource::get::<Tenants>(desk.transaction, ALL, &id).await
    })
}
