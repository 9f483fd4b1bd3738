//! Plans that can be subscribed to, with what they include.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Kind, Needs, Resource, Sort};

/// Plans, as a resource.
#[derive(Debug)]
pub struct Plans;

/// A plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Short name.
    #[schema(example = "pro")]
    pub code: String,
    /// Name.
    #[schema(example = "Pro")]
    pub name: String,
    /// For whom it is.
    pub description: String,
    /// In the currency; null: by agreement.
    #[schema(example = 490.0)]
    pub price_per_month: Option<f64>,
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub currency: String,
    /// Place in lists.
    pub position: i64,
    /// Whether it is the plan of whoever subscribed to none.
    pub is_default: bool,
    /// How much of each metric it includes; null: without limit.
    #[schema(example = json!({"sites": 10, "assets": 50}))]
    pub quotas: BTreeMap<String, Option<i64>>,
}

impl Resource for Plans {
    const WHAT: &'static str = "plan";
    const TABLE: &'static str = "plans";
    const FROM: &'static str = "(SELECT code, name, description, price_per_month, currency, position::bigint AS position, is_default, \
        coalesce((SELECT jsonb_object_agg(q.metric, q.maximum) FROM quotas AS q WHERE q.plan = code), '{}') AS quotas FROM plans)";
    const COLUMNS: &'static [&'static str] =
        &["code", "name", "description", "price_per_month", "currency", "position", "is_default", "quotas"];
    const KEY: &'static str = "code";
    const SORTS: &'static [Sort] = &[Sort::new("position", Kind::Count), Sort::NAME];
    const READ: Needs = Needs::Login;
    type Id = String;
    type View = Plan;
}
