//! Feature flags: what is switched on. An operator says so for everybody, an organisation for itself.

use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ALL, Editable, Filter, Instant, Kind, Needs, Resource, Sort, check, engine};
use crate::permission::Permission;
use crate::refusal::Outcome;
use crate::validate::Fields;

/// Flags of the platform, as a resource of operators.
#[derive(Debug)]
pub struct Flags;

/// A flag of the platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Flag {
    /// Short name.
    #[schema(example = "dark_mode")]
    pub code: String,
    /// Name.
    #[schema(example = "Dark mode")]
    pub name: String,
    /// What it switches.
    pub description: String,
    /// Whether it is on for organisations that say nothing else.
    pub enabled: bool,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was made.
    pub created_time: Instant,
    /// When it was changed last.
    pub updated_time: Instant,
}

/// A flag to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"code": "dark_mode", "name": "Dark mode", "enabled": false}))]
pub struct NewFlag {
    /// Short name: 1 to 64 of a-z, 0-9 and _, a letter first. Stays as it was made.
    #[schema(pattern = "^[a-z][a-z0-9_]{0,63}$")]
    pub code: String,
    /// Name; 1 to 120 characters.
    #[schema(min_length = 1, max_length = 120)]
    pub name: String,
    /// What it switches; up to 2000 characters.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub description: String,
    /// Whether it is on for organisations that say nothing else.
    #[serde(default)]
    pub enabled: bool,
}

/// A flag as it is for an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EffectiveFlag {
    /// Short name.
    #[schema(example = "dark_mode")]
    pub code: String,
    /// Name.
    pub name: String,
    /// What it switches.
    pub description: String,
    /// Whether it is on.
    pub enabled: bool,
    /// Whether that is because the organisation says so.
    pub overridden: bool,
}

impl Resource for Flags {
    const WHAT: &'static str = "flag";
    const TABLE: &'static str = "feature_flags";
    const COLUMNS: &'static [&'static str] =
        &["code", "name", "description", "enabled", "version", "created_time", "updated_time"];
    const KEY: &'static str = "code";
    const SORTS: &'static [Sort] = &[Sort::new("code", Kind::Text), Sort::NAME, Sort::NEWEST];
    const FILTERS: &'static [Filter] = &[Filter::new("enabled", "t.enabled = ?", Kind::Flag)];
    const SEARCH: &'static [&'static str] = &["code", "name", "description"];
    const READ: Needs = Needs::Operator;
    type Id = String;
    type View = Flag;
}

impl Editable for Flags {
    const WRITABLE: &'static [&'static str] = &["code", "name", "description", "enabled"];
    const FIXED: &'static [&'static str] = &["code"];
    const OF_ORGANISATION: bool = false;
    const EXISTS: &'static str = "flag_exists";
    const CONSTRAINTS: &'static [(&'static str, &'static str)] = &[("feature_flags_pkey", "code")];
    const WRITE: Needs = Needs::Operator;
    type New = NewFlag;

    fn check(new: &mut NewFlag, fields: &mut Fields) {
        check::code(fields, "code", &new.code);
        check::name(fields, "name", &mut new.name);
        check::prose(fields, "description", &mut new.description, 2_000);
    }
}

/// Who sees the flags of their organisation.
pub const READ: Needs = Needs::Permission(Permission::FlagsRead);
/// Who switches them.
pub const WRITE: Needs = Needs::Permission(Permission::FlagsWrite);

const EFFECTIVE: &str = "SELECT f.code, f.name, f.description, coalesce(o.enabled, f.enabled), o.enabled IS NOT NULL \
    FROM feature_flags AS f LEFT JOIN feature_overrides AS o ON o.flag = f.code AND o.organisation_id = current_organisation() \
    WHERE f.code = coalesce($1, f.code) ORDER BY f.code";

/// Every flag as it is for the organisation.
pub async fn effective(transaction: &Transaction<'_>) -> Outcome<Vec<EffectiveFlag>> {
    some(transaction, None).await
}

async fn some(transaction: &Transaction<'_>, code: Option<&str>) -> Outcome<Vec<EffectiveFlag>> {
    let statement = transaction.prepare_cached(EFFECTIVE).await?;
    let mut flags = Vec::new();
    for row in transaction.query(&statement, &[&code]).await? {
        flags.push(EffectiveFlag {
            code: row.try_get(0)?,
            name: row.try_get(1)?,
            description: row.try_get(2)?,
            enabled: row.try_get(3)?,
            overridden: row.try_get(4)?,
        });
    }
    Ok(flags)
}

/// Whether a flag is on for the organisation. One that there is not is off.
pub async fn is_on(transaction: &Transaction<'_>, code: &str) -> Outcome<bool> {
    Ok(some(transaction, Some(code)).await?.iter().any(|flag| flag.enabled))
}

/// Switches a flag for the organisation alone, or, with nothing, leaves it to the platform again.
pub async fn switch(transaction: &Transaction<'_>, code: &String, enabled: Option<bool>) -> Outcome<EffectiveFlag> {
    engine::get::<Flags>(transaction, ALL, code).await?;
    let set = "INSERT INTO feature_overrides (organisation_id, flag, enabled) VALUES (current_organisation(), $1, $2) \
        ON CONFLICT (organisation_id, flag) DO UPDATE SET enabled = excluded.enabled";
    match enabled {
        Some(enabled) => {
            let set = transaction.prepare_cached(set).await?;
            transaction.execute(&set, &[code, &enabled]).await?;
        }
        None => {
            let clear = transaction.prepare_cached("DELETE FROM feature_overrides WHERE flag = $1").await?;
            transaction.execute(&clear, &[code]).await?;
        }
    }
    let flags = some(transaction, Some(code)).await?;
    flags.into_iter().next().ok_or_else(|| engine::not_found::<Flags>(code))
}
