//! The registry of trained models: an organisation's own, and those of the platform, which everybody reads.

use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ALL, Editable, Filter, Instant, Kind, Needs, Resource, Sort, check, engine};
use crate::names;
use crate::permission::Permission;
use crate::refusal::{Outcome, Refusal};
use crate::validate::Fields;

/// Models, as a resource.
#[derive(Debug)]
pub struct Models;

/// How far a model is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Just trained.
    #[default]
    None,
    /// On trial.
    Staging,
    /// The one that is asked; one of each name.
    Production,
    /// Was asked once.
    Archived,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Staging => "staging",
            Self::Production => "production",
            Self::Archived => "archived",
        }
    }
}

/// A trained model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Model {
    /// Id.
    pub id: Uuid,
    /// Whose it is; null: the platform's.
    pub organisation_id: Option<Uuid>,
    /// Name; several versions have it.
    #[schema(example = "pjm-day-ahead")]
    pub name: String,
    /// Version, unique for the name.
    #[schema(example = "3")]
    pub model_version: String,
    /// What kind of model it is.
    #[schema(example = "tft")]
    pub kind: String,
    /// How far it is trusted.
    pub stage: Stage,
    /// What it was trained with.
    pub parameters: Map<String, Value>,
    /// How well it does.
    #[schema(example = json!({"mae": 2.1}))]
    pub metrics: Map<String, Value>,
    /// Where its weights are.
    pub artifact_uri: Option<String>,
    /// When it was trained.
    pub trained_time: Option<Instant>,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was registered.
    pub created_time: Instant,
    /// When it was changed last.
    pub updated_time: Instant,
}

/// A model to be registered.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "pjm-day-ahead", "model_version": "3", "kind": "tft", "metrics": {"mae": 2.1}}))]
pub struct NewModel {
    /// Name; 1 to 120 characters. Stays as it was made.
    #[schema(min_length = 1, max_length = 120)]
    pub name: String,
    /// Version, unique for the name; 1 to 64 characters. Stays as it was made.
    #[schema(min_length = 1, max_length = 64)]
    pub model_version: String,
    /// What kind of model it is: 1 to 64 of a-z, 0-9 and _, a letter first. Stays as it was made.
    #[schema(pattern = "^[a-z][a-z0-9_]{0,63}$")]
    pub kind: String,
    /// What it was trained with; up to 64 KiB.
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// How well it does; up to 64 KiB.
    #[serde(default)]
    pub metrics: Map<String, Value>,
    /// Where its weights are; up to 2000 characters.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub artifact_uri: Option<String>,
    /// When it was trained.
    #[serde(default)]
    pub trained_time: Option<Instant>,
}

impl Resource for Models {
    const WHAT: &'static str = "model";
    const TABLE: &'static str = "models";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "organisation_id",
        "name",
        "model_version",
        "kind",
        "stage",
        "parameters",
        "metrics",
        "artifact_uri",
        "trained_time",
        "version",
        "created_time",
        "updated_time",
    ];
    const SORTS: &'static [Sort] = &[Sort::NAME, Sort::NEWEST, Sort::OLDEST];
    const FILTERS: &'static [Filter] = &[
        Filter::new("name", "t.name = ?", Kind::Text),
        Filter::new("kind", "t.kind = ?", Kind::Text),
        Filter::new("stage", "t.stage = ?", Kind::Word(&["none", "staging", "production", "archived"])),
        Filter::new("own", "(t.organisation_id IS NOT NULL) = ?", Kind::Flag),
    ];
    const SEARCH: &'static [&'static str] = &["name"];
    const READ: Needs = Needs::Permission(Permission::ModelsRead);
    type Id = Uuid;
    type View = Model;
}

impl Editable for Models {
    const WRITABLE: &'static [&'static str] =
        &["name", "model_version", "kind", "parameters", "metrics", "artifact_uri", "trained_time"];
    const FIXED: &'static [&'static str] = &["name", "model_version", "kind"];
    const EXISTS: &'static str = "model_exists";
    const WRITE: Needs = Needs::Permission(Permission::ModelsWrite);
    type New = NewModel;

    fn check(new: &mut NewModel, fields: &mut Fields) {
        check::name(fields, "name", &mut new.name);
        let version = names::line(&new.model_version, 1, 64);
        check::replace(fields, "model_version", &mut new.model_version, version);
        check::code(fields, "kind", &new.kind);
        check::object(fields, "parameters", &new.parameters, 65_536);
        check::object(fields, "metrics", &new.metrics, 65_536);
        check::line(fields, "artifact_uri", &mut new.artifact_uri, 2_000);
    }
}

/// Trusts a model more, or less. What was in production under its name is archived when another one is put there.
pub async fn stage(
    transaction: &Transaction<'_>,
    id: &Uuid,
    stage: Stage,
    expected_version: Option<i64>,
) -> Outcome<Model> {
    let model = engine::get::<Models>(transaction, ALL, id).await?;
    if model.organisation_id.is_none() {
        return Err(Refusal::Forbidden("to be whoever may change this model".to_owned()).into());
    }
    // Two at once wait for each other here, whichever they put into production.
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('stage/' || current_organisation() || '/' || $1, 0))";
    let lock = transaction.prepare_cached(lock).await?;
    transaction.execute(&lock, &[&model.name]).await?;
    let stands = engine::get::<Models>(transaction, ALL, id).await?.version;
    if let Some(given) = expected_version.filter(|given| *given != stands) {
        return Err(Refusal::Stale { given, stands }.into());
    }
    if stage == Stage::Production {
        let sql = "UPDATE models SET stage = 'archived' \
            WHERE organisation_id = current_organisation() AND name = $1 AND stage = 'production' AND id <> $2";
        let archive = transaction.prepare_cached(sql).await?;
        transaction.execute(&archive, &[&model.name, id]).await?;
    }
    let set = transaction.prepare_cached("UPDATE models SET stage = $2 WHERE id = $1").await?;
    transaction.execute(&set, &[id, &stage.as_str()]).await?;
    engine::get::<Models>(transaction, ALL, id).await
}
