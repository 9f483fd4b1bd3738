//! Consents of whoever asks: what they agreed to, in which wording, and until when. They are taken back, never deleted.

use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ALL, Editable, Filter, Instant, Kind, Needs, Resource, Sort, check, engine};
use crate::names;
use crate::refusal::Outcome;
use crate::validate::Fields;

/// Consents, as a resource.
#[derive(Debug)]
pub struct Consents;

/// What somebody agreed to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Consent {
    /// Id.
    pub id: Uuid,
    /// To what.
    #[schema(example = "product_news")]
    pub purpose: String,
    /// In which wording.
    #[schema(example = "2026-01")]
    pub text_version: String,
    /// Since when.
    pub granted_time: Instant,
    /// Until when; null: still.
    pub withdrawn_time: Option<Instant>,
}

/// A consent to be given.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"purpose": "product_news", "text_version": "2026-01"}))]
pub struct NewConsent {
    /// To what: 1 to 64 of a-z, 0-9 and _, a letter first.
    #[schema(pattern = "^[a-z][a-z0-9_]{0,63}$")]
    pub purpose: String,
    /// In which wording; 1 to 64 characters.
    #[schema(min_length = 1, max_length = 64)]
    pub text_version: String,
}

impl Resource for Consents {
    const WHAT: &'static str = "consent";
    const TABLE: &'static str = "consents";
    const COLUMNS: &'static [&'static str] = &["id", "purpose", "text_version", "granted_time", "withdrawn_time"];
    const SORTS: &'static [Sort] = &[Sort::new("-granted_time", Kind::Time), Sort::new("purpose", Kind::Text)];
    const FILTERS: &'static [Filter] = &[
        Filter::new("purpose", "t.purpose = ?", Kind::Text),
        Filter::new("active", "(t.withdrawn_time IS NULL) = ?", Kind::Flag),
    ];
    const READ: Needs = Needs::Login;
    type Id = Uuid;
    type View = Consent;
}

impl Editable for Consents {
    const WRITABLE: &'static [&'static str] = &["purpose", "text_version"];
    const OF_ORGANISATION: bool = false;
    const VERSIONED: bool = false;
    const EXISTS: &'static str = "consent_exists";
    const CONSTRAINTS: &'static [(&'static str, &'static str)] = &[("consents_open", "purpose")];
    const WRITE: Needs = Needs::Login;
    type New = NewConsent;

    fn check(new: &mut NewConsent, fields: &mut Fields) {
        check::code(fields, "purpose", &new.purpose);
        let version = names::line(&new.text_version, 1, 64);
        check::replace(fields, "text_version", &mut new.text_version, version);
    }
}

/// Gives one.
pub async fn grant(transaction: &Transaction<'_>, new: NewConsent) -> Outcome<Consent> {
    let given = Map::from_iter([("user_id".to_owned(), json!(engine::me(transaction).await?))]);
    engine::create::<Consents>(transaction, given, new).await
}

/// Takes one back.
pub async fn withdraw(transaction: &Transaction<'_>, id: &Uuid) -> Outcome<Consent> {
    let sql =
        "UPDATE consents SET withdrawn_time = greatest(now(), granted_time) WHERE id = $1 AND withdrawn_time IS NULL";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[id]).await?;
    engine::get::<Consents>(transaction, ALL, id).await
}
