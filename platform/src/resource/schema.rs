//! Schemas of types that other crates own, for the API's document.

use model::Market;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::permission::{Permission, Role};

fn words(words: impl IntoIterator<Item = &'static str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

/// [`Role`].
pub fn role() -> Object {
    words(Role::ALL.map(Role::as_str))
}

/// [`model::Severity`].
pub fn severity() -> Object {
    words(["info", "warning", "critical"])
}

/// [`model::AnomalyKind`].
pub fn anomaly_kind() -> Object {
    words(["z_score", "robust_z_score", "price_cap", "price_floor", "flat_line", "stale_feed", "spread_break"])
}

/// [`Market`].
pub fn market() -> Object {
    words(Market::ALL.map(Market::as_str))
}

/// [`Permission`].
pub fn permission() -> Object {
    words(Permission::ALL.iter().map(|permission| permission.as_str()))
}
