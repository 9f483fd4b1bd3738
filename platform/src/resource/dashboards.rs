//! Dashboards: a member's own, or shared with every member. Its owner changes it, and of a shared one the admins.

use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Editable, Filter, Instant, Kind, Needs, Resource, Sort, check, engine};
use crate::permission::Permission;
use crate::refusal::Outcome;
use crate::validate::Fields;

/// Dashboards, as a resource.
#[derive(Debug)]
pub struct Dashboards;

/// A dashboard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Dashboard {
    /// Id.
    pub id: Uuid,
    /// The user whose it is.
    pub owner_id: Uuid,
    /// Name.
    #[schema(example = "Morning")]
    pub name: String,
    /// Whether every member sees it.
    pub shared: bool,
    /// Settings of its user interface.
    pub settings: Map<String, Value>,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was made.
    pub created_time: Instant,
    /// When it was changed last.
    pub updated_time: Instant,
}

/// A dashboard to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Morning", "shared": true}))]
pub struct NewDashboard {
    /// Name; 1 to 120 characters.
    #[schema(min_length = 1, max_length = 120)]
    pub name: String,
    /// Whether every member sees it.
    #[serde(default)]
    pub shared: bool,
    /// Settings of its user interface; up to 16 KiB.
    #[serde(default)]
    pub settings: Map<String, Value>,
}

impl Resource for Dashboards {
    const WHAT: &'static str = "dashboard";
    const TABLE: &'static str = "dashboards";
    const COLUMNS: &'static [&'static str] =
        &["id", "owner_id", "name", "shared", "settings", "version", "created_time", "updated_time"];
    const SORTS: &'static [Sort] = &[Sort::NAME, Sort::NEWEST, Sort::OLDEST];
    const FILTERS: &'static [Filter] =
        &[Filter::new("shared", "t.shared = ?", Kind::Flag), Filter::new("owner_id", "t.owner_id = ?", Kind::Id)];
    const SEARCH: &'static [&'static str] = &["name"];
    const READ: Needs = Needs::Permission(Permission::DashboardsRead);
    type Id = Uuid;
    type View = Dashboard;
}

impl Editable for Dashboards {
    const WRITABLE: &'static [&'static str] = &["name", "shared", "settings"];
    const EXISTS: &'static str = "dashboard_exists";
    const WRITE: Needs = Needs::Permission(Permission::DashboardsWrite);
    type New = NewDashboard;

    fn check(new: &mut NewDashboard, fields: &mut Fields) {
        check::name(fields, "name", &mut new.name);
        check::object(fields, "settings", &new.settings, 16_384);
    }
}

/// A new dashboard of whoever asks.
pub async fn create(transaction: &Transaction<'_>, new: NewDashboard) -> Outcome<Dashboard> {
    let given = Map::from_iter([("owner_id".to_owned(), json!(engine::me(transaction).await?))]);
    engine::create::<Dashboards>(transaction, given, new).await
}
