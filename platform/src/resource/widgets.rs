//! Widgets of a dashboard, on a grid of 24 columns. Whoever changes the dashboard changes them; their scope is
//! `&[("dashboard_id", dashboard)]`.

use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::dashboards::Dashboards;
use super::{ALL, Editable, Filter, Instant, Kind, Needs, Page, Resource, Sort, check, engine};
use crate::permission::Permission;
use crate::refusal::{Outcome, Refusal};
use crate::validate::{Fields, Problem};

/// Widgets, as a resource.
#[derive(Debug)]
pub struct Widgets;

/// Widgets of a dashboard at most.
pub const MOST: i64 = 100;

/// What stands on a dashboard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Widget {
    /// Id.
    pub id: Uuid,
    /// The dashboard.
    pub dashboard_id: Uuid,
    /// What it shows.
    #[schema(example = "price_chart")]
    pub kind: String,
    /// Title.
    #[schema(example = "PJM now")]
    pub title: String,
    /// Columns from the left, 0 to 23.
    pub grid_x: i32,
    /// Rows from the top.
    pub grid_y: i32,
    /// Columns.
    pub grid_width: i32,
    /// Rows.
    pub grid_height: i32,
    /// What it shows in particular.
    pub settings: Map<String, Value>,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was made.
    pub created_time: Instant,
    /// When it was changed last.
    pub updated_time: Instant,
}

/// A widget to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "price_chart", "title": "PJM now", "grid_x": 0, "grid_y": 0, "grid_width": 12, "grid_height": 6, "settings": {"zone": "PJM"}}))]
pub struct NewWidget {
    /// What it shows: 1 to 64 of a-z, 0-9 and _, a letter first.
    #[schema(pattern = "^[a-z][a-z0-9_]{0,63}$")]
    pub kind: String,
    /// Title; 1 to 120 characters.
    #[schema(min_length = 1, max_length = 120)]
    pub title: String,
    /// Columns from the left.
    #[schema(minimum = 0, maximum = 23)]
    pub grid_x: i32,
    /// Rows from the top.
    #[schema(minimum = 0, maximum = 999)]
    pub grid_y: i32,
    /// Columns; with `grid_x` 24 at most.
    #[schema(minimum = 1, maximum = 24)]
    pub grid_width: i32,
    /// Rows.
    #[schema(minimum = 1, maximum = 100)]
    pub grid_height: i32,
    /// What it shows in particular; up to 16 KiB.
    #[serde(default)]
    pub settings: Map<String, Value>,
}

impl Resource for Widgets {
    const WHAT: &'static str = "widget";
    const TABLE: &'static str = "widgets";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "dashboard_id",
        "kind",
        "title",
        "grid_x",
        "grid_y",
        "grid_width",
        "grid_height",
        "settings",
        "version",
        "created_time",
        "updated_time",
    ];
    const SORTS: &'static [Sort] = &[Sort::OLDEST, Sort::NEWEST, Sort::new("title", Kind::Text)];
    const FILTERS: &'static [Filter] = &[Filter::new("kind", "t.kind = ?", Kind::Text)];
    const SEARCH: &'static [&'static str] = &["title"];
    const READ: Needs = Needs::Permission(Permission::DashboardsRead);
    type Id = Uuid;
    type View = Widget;
}

impl Editable for Widgets {
    const WRITABLE: &'static [&'static str] =
        &["kind", "title", "grid_x", "grid_y", "grid_width", "grid_height", "settings"];
    const EXISTS: &'static str = "widget_exists";
    const CONSTRAINTS: &'static [(&'static str, &'static str)] = &[("widgets_check", "grid_width")];
    const WRITE: Needs = Needs::Permission(Permission::DashboardsWrite);
    type New = NewWidget;

    fn check(new: &mut NewWidget, fields: &mut Fields) {
        check::code(fields, "kind", &new.kind);
        check::name(fields, "title", &mut new.title);
        let x = fields.number("grid_x", new.grid_x, 0..=23);
        fields.number("grid_y", new.grid_y, 0..=999);
        let width = fields.number("grid_width", new.grid_width, 1..=24);
        fields.number("grid_height", new.grid_height, 1..=100);
        if x.zip(width).is_some_and(|(x, width)| x + width > 24) {
            fields.add([Problem::new("beyond_grid", "reaches beyond the 24 columns").of("grid_width")]);
        }
        check::object(fields, "settings", &new.settings, 16_384);
    }
}

/// Widgets of a dashboard.
pub async fn list(
    transaction: &Transaction<'_>,
    dashboard: Uuid,
    parameters: &[(String, String)],
) -> Outcome<Page<Widget>> {
    engine::get::<Dashboards>(transaction, ALL, &dashboard).await?;
    super::list::list::<Widgets>(transaction, &[("dashboard_id", dashboard)], parameters).await
}

/// A new widget on a dashboard.
pub async fn create(transaction: &Transaction<'_>, dashboard: Uuid, new: NewWidget) -> Outcome<Widget> {
    engine::get::<Dashboards>(transaction, ALL, &dashboard).await?;
    let count = transaction.prepare_cached("SELECT count(*) FROM widgets WHERE dashboard_id = $1").await?;
    if transaction.query_one(&count, &[&dashboard]).await?.try_get::<_, i64>(0)? >= MOST {
        return Err(Refusal::Quota { what: "widgets a dashboard", limit: MOST }.into());
    }
    let given = Map::from_iter([("dashboard_id".to_owned(), json!(dashboard))]);
    engine::create::<Widgets>(transaction, given, new).await
}
