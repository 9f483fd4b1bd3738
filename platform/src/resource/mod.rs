//! Tables that people list, read, make, change and delete: one mechanism, and one small file for each of them.
//!
//! ```text
//! JSON ─► body::read (types, unknown and missing fields) ─► New ─► check (everything else) ─► INSERT … jsonb_populate_record
//!   patch: row's writable fields ⊕ merge patch ─┘                     View ◄─ to_jsonb(row) ◄─┘
//! list: filters, sort, cursor ─► query ─► SELECT … WHERE (sort, id) > cursor ─► Page<View>
//! ```
//!
//! SQL is made of names that stand in this source alone; whatever a caller says goes in as a parameter. Whose rows there
//! are is decided by row-level security, in a transaction that was begun as an [`crate::database::Actor`]; what an actor
//! may do at all ([`Needs`]) is asked by whoever begins it. What the database refuses becomes a [`crate::refusal::Refusal`].

mod body;
mod check;
mod engine;
mod filter;
mod instant;
mod list;
mod merge;
mod problem;
mod query;
pub mod schema;
#[cfg(test)]
mod shapes;

pub mod alert_rules;
pub mod alerts;
pub mod api_keys;
pub mod assets;
pub mod channels;
pub mod consents;
pub mod dashboards;
pub mod flags;
pub mod invitations;
pub mod members;
pub mod models;
pub mod notifications;
pub mod organisation;
pub mod plans;
pub mod quotas;
pub mod retention;
pub mod sessions;
pub mod sites;
pub mod subscription;
pub mod usage;
pub mod widgets;

use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

pub use self::body::read;
pub use self::engine::{ALL, Scope, create, delete, get, patch};
pub use self::filter::{Filter, Key, Kind, Sort};
pub use self::instant::Instant;
pub use self::list::list;
pub use self::query::{DEFAULT_LIMIT, MAX_LIMIT, Page};
use crate::permission::Permission;
use crate::validate::Fields;

/// What a caller must have, for the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A permission in the organisation.
    Permission(Permission),
    /// To be an operator of the platform.
    Operator,
    /// To be somebody: it is the caller's own.
    Login,
}

/// A table that is read.
pub trait Resource: Send + Sync + 'static {
    /// What one of it is called: `site`.
    const WHAT: &'static str;
    /// Its table.
    const TABLE: &'static str;
    /// What is read: the table, or a query in parentheses that has all of [`Self::COLUMNS`].
    const FROM: &'static str = Self::TABLE;
    /// Columns that are shown, the fields of [`Self::View`].
    const COLUMNS: &'static [&'static str];
    /// The column that names a row.
    const KEY: &'static str = "id";
    /// Rows that exist for callers, of the table `t`.
    const VISIBLE: &'static str = "true";
    /// Orders of a list; the first is the one of a caller who does not say.
    const SORTS: &'static [Sort];
    /// What a list may be narrowed by, besides `q`.
    const FILTERS: &'static [Filter] = &[];
    /// Columns of text that `q` looks into.
    const SEARCH: &'static [&'static str] = &[];
    /// Who may read it.
    const READ: Needs;
    /// What names a row.
    type Id: Key;
    /// A row as it is shown.
    type View: DeserializeOwned + Serialize + ToSchema + Send;
}

/// A table that is written, too.
pub trait Editable: Resource {
    /// Columns that callers write, the fields of [`Self::New`] that it serialises.
    const WRITABLE: &'static [&'static str];
    /// Those of them that stay as they were made.
    const FIXED: &'static [&'static str] = &[];
    /// Whether its rows have an `organisation_id`, which is the actor's.
    const OF_ORGANISATION: bool = true;
    /// Whether its rows have a `version`.
    const VERSIONED: bool = true;
    /// What is set instead of deleting a row.
    const REMOVAL: Option<&'static str> = None;
    /// What a plan may limit the number of.
    const QUOTA: Option<quotas::Metric> = None;
    /// Code of a conflict with another row: `site_exists`.
    const EXISTS: &'static str;
    /// Code of a deletion that others are in the way of: `site_in_use`.
    const IN_USE: &'static str = "in_use";
    /// Fields of unique indexes and checks whose names do not tell them.
    const CONSTRAINTS: &'static [(&'static str, &'static str)] = &[];
    /// Who may write it.
    const WRITE: Needs;
    /// A row as it is made; with the same fields it is changed. Fields that are no column of [`Self::WRITABLE`] are for
    /// whoever makes it, and never stored by the engine.
    type New: DeserializeOwned + Serialize + ToSchema + Send;
    /// What the types do not say; also brings text to its normal form.
    fn check(new: &mut Self::New, fields: &mut Fields);
}

/// For fields that are on when nobody says.
fn yes() -> bool {
    true
}
