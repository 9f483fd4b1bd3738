//! API keys: programs that act for an organisation in the name of a member. The key itself is shown once.
//!
//! An admin sees the keys of all members ([`super::ALL`]), everybody else their own: scope `&[("user_id", user)]`.

use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::quotas::Metric;
use super::{Editable, Filter, Instant, Kind, Needs, Resource, Scope, Sort, check, engine};
use crate::opaque::{self, Token};
use crate::permission::{Permission, Permissions};
use crate::refusal::{Outcome, Refusal};
use crate::validate::{Fields, Problem};

/// API keys, as a resource.
#[derive(Debug)]
pub struct ApiKeys;

/// An API key, without what makes it one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    /// Id.
    pub id: Uuid,
    /// In whose name it acts.
    pub user_id: Uuid,
    /// Name.
    #[schema(example = "Forecast job")]
    pub name: String,
    /// How it begins.
    #[schema(example = "obk_abcd2345")]
    pub prefix: String,
    /// What it may do, as long as its member may.
    #[schema(example = json!(["assets.read", "bids.write"]))]
    pub scopes: Vec<String>,
    /// Whether it is good.
    pub active: bool,
    /// Until when; null: for good.
    pub expires_time: Option<Instant>,
    /// When it was used last, to a minute or so.
    pub last_used_time: Option<Instant>,
    /// When it was taken back.
    pub revoked_time: Option<Instant>,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was made.
    pub created_time: Instant,
    /// When it was changed last.
    pub updated_time: Instant,
}

/// An API key to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Forecast job", "scopes": ["assets.read", "bids.write"], "expires_time": "2030-01-01T00:00:00Z"}))]
pub struct NewApiKey {
    /// Name; 1 to 120 characters.
    #[schema(min_length = 1, max_length = 120)]
    pub name: String,
    /// What it may do: permissions, all of which its maker has.
    #[schema(min_items = 1, max_items = 64)]
    pub scopes: Vec<String>,
    /// Until when; for good when absent.
    #[serde(default)]
    pub expires_time: Option<Instant>,
}

impl Resource for ApiKeys {
    const WHAT: &'static str = "API key";
    const TABLE: &'static str = "api_keys";
    const FROM: &'static str = "(SELECT id, organisation_id, user_id, name, prefix, scopes, revoked_time IS NULL AND \
        (expires_time IS NULL OR expires_time > now()) AS active, expires_time, last_used_time, revoked_time, version, \
        created_time, updated_time FROM api_keys)";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "user_id",
        "name",
        "prefix",
        "scopes",
        "active",
        "expires_time",
        "last_used_time",
        "revoked_time",
        "version",
        "created_time",
        "updated_time",
    ];
    const SORTS: &'static [Sort] = &[Sort::NEWEST, Sort::OLDEST, Sort::NAME];
    const FILTERS: &'static [Filter] =
        &[Filter::new("active", "t.active = ?", Kind::Flag), Filter::new("user_id", "t.user_id = ?", Kind::Id)];
    const SEARCH: &'static [&'static str] = &["name", "prefix"];
    const READ: Needs = Needs::Permission(Permission::ApiKeysRead);
    type Id = Uuid;
    type View = ApiKey;
}

impl Editable for ApiKeys {
    const WRITABLE: &'static [&'static str] = &["name", "scopes", "expires_time"];
    const QUOTA: Option<Metric> = Some(Metric::ApiKeys);
    const EXISTS: &'static str = "api_key_exists";
    const WRITE: Needs = Needs::Permission(Permission::ApiKeysWrite);
    type New = NewApiKey;

    fn check(new: &mut NewApiKey, fields: &mut Fields) {
        check::name(fields, "name", &mut new.name);
        // Whether its maker may all that, see `scopes`: here what it would be for anybody.
        if new.scopes.len() > Permission::ALL.len() {
            fields.add([Problem::new("too_long", "names permissions more than once").of("scopes")]);
        }
        let names = new.scopes.iter().map(String::as_str);
        if let Some(scope) = fields.take("scopes", Permissions::scope(names, Permission::ALL.iter().copied().collect()))
        {
            new.scopes = scope.iter().map(|permission| permission.as_str().to_owned()).collect();
        }
    }
}

/// Whether its maker may all that, and it is not over before it begins.
async fn possible(transaction: &Transaction<'_>, maker: Permissions, wish: &Value) -> Outcome<()> {
    let mut fields = Fields::default();
    if let Some(Value::Array(scopes)) = wish.get("scopes") {
        let names = scopes.iter().filter_map(Value::as_str);
        fields.take("scopes", Permissions::scope(names, maker));
    }
    if let Some(at) = wish.get("expires_time").and_then(Value::as_str).and_then(Instant::parse) {
        let statement = transaction.prepare_cached("SELECT $1 > now()").await?;
        if !transaction.query_one(&statement, &[&at.0]).await?.try_get(0)? {
            fields.add([Problem::new("in_the_past", "must be in the future").of("expires_time")]);
        }
    }
    Ok(fields.finish()?)
}

/// A new key of whoever asks, who has the permissions `maker`. The key is in this answer alone.
pub async fn create(transaction: &Transaction<'_>, maker: Permissions, new: NewApiKey) -> Outcome<(ApiKey, Token)> {
    possible(transaction, maker, &json!({"scopes": &new.scopes, "expires_time": new.expires_time})).await?;
    let token = Token::new(opaque::Kind::ApiKey)?;
    let given = Map::from_iter([
        ("user_id".to_owned(), json!(engine::me(transaction).await?)),
        ("prefix".to_owned(), json!(token.name())),
        ("key_hash".to_owned(), json!(format!("\\x{}", token.hash()))),
    ]);
    Ok((engine::create::<ApiKeys>(transaction, given, new).await?, token))
}

/// Changes name, scopes or end of a key.
pub async fn patch(
    transaction: &Transaction<'_>,
    scope: Scope<'_>,
    maker: Permissions,
    id: &Uuid,
    patch: &Value,
    expected_version: Option<i64>,
) -> Outcome<ApiKey> {
    possible(transaction, maker, patch).await?;
    let key = engine::patch::<ApiKeys>(transaction, scope, id, patch, expected_version).await?;
    match key.revoked_time {
        Some(_) => Err(Refusal::conflict("api_key_revoked", "this key was revoked").into()),
        None => Ok(key),
    }
}

/// Takes a key back, for good.
pub async fn revoke(transaction: &Transaction<'_>, scope: Scope<'_>, id: &Uuid) -> Outcome<ApiKey> {
    engine::get::<ApiKeys>(transaction, scope, id).await?;
    let sql = "UPDATE api_keys SET revoked_time = now() WHERE id = $1 AND revoked_time IS NULL";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[id]).await?;
    engine::get::<ApiKeys>(transaction, scope, id).await
}
