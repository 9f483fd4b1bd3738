//! One's own profile.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio_postgres::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::session::Place;
use super::{Caller, Now, row, tongue};
use crate::database::{DatabaseRole, begin};
use crate::names;
use crate::refusal::{Outcome, Refusal};
use crate::resource::Instant;
use crate::validate::{Fields, Problem};
use crate::{Error, Platform};

/// Bytes of preferences, and how deep they may be.
const PREFERENCES: usize = 16_000;
const DEPTH: usize = 16;

/// Who the caller is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "6f1c2f0e-0f4f-4c62-9d3f-0a6b8f6f2f11", "email": "ada@example.org", "email_verified": true,
    "full_name": "Ada Lovelace", "locale": "en", "timezone": "Europe/London", "preferences": {"theme": "dark"},
    "is_operator": false, "has_password": true, "second_factor": true, "recovery_codes_left": 10, "organisations": [],
    "identities": [], "version": 3, "created_time": "2026-01-31T12:00:00.000000Z"}))]
pub struct Me {
    /// Id.
    pub id: Uuid,
    /// Address.
    pub email: String,
    /// Whether it is proved.
    pub email_verified: bool,
    /// Name.
    pub full_name: Option<String>,
    /// Language.
    pub locale: String,
    /// IANA name of the time zone.
    pub timezone: String,
    /// What pages remember.
    #[schema(value_type = Object)]
    pub preferences: Map<String, Value>,
    /// Whether the user runs the platform itself.
    pub is_operator: bool,
    /// Whether one can log in by password.
    pub has_password: bool,
    /// Whether a second factor is in force.
    pub second_factor: bool,
    /// Recovery codes that were not used.
    pub recovery_codes_left: i64,
    /// Organisations, by name; without suspended ones.
    pub organisations: Vec<Place>,
    /// Other issuers by which one can log in.
    pub identities: Vec<LinkedIdentity>,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When the account was made.
    pub created_time: Instant,
}

/// A log-in at another issuer that belongs to the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "6f1c2f0e-0f4f-4c62-9d3f-0a6b8f6f2f11", "issuer": "https://idp.example", "email": "ada@example.org",
    "last_used_time": null}))]
pub struct LinkedIdentity {
    /// Id.
    pub id: Uuid,
    /// Issuer.
    pub issuer: String,
    /// Address there.
    pub email: Option<String>,
    /// When it was used last.
    pub last_used_time: Option<Instant>,
}

/// Changes of one's own profile; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"full_name": "Ada King", "timezone": "Europe/London", "preferences": {"theme": null}}))]
pub struct MePatch {
    /// Name.
    #[schema(min_length = 1, max_length = 120)]
    pub full_name: Option<String>,
    /// Language.
    pub locale: Option<String>,
    /// IANA name of the time zone.
    pub timezone: Option<String>,
    /// Merged into the preferences (RFC 7396): null takes one away.
    #[schema(value_type = Option<Object>)]
    pub preferences: Option<Map<String, Value>>,
}

impl Platform {
    /// The caller's profile.
    pub async fn me(&self, caller: &Caller) -> Outcome<Me> {
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &caller.actor(DatabaseRole::Identity)).await?;
        read(&transaction, caller.user).await
    }

    /// Changes the caller's profile; `version` is the one that was read, if the caller says so.
    pub async fn change_me(&self, caller: &Caller, wish: &MePatch, version: Option<i64>, now: Now) -> Outcome<Me> {
        caller.session()?;
        self.take("profile", &caller.user.to_string(), self.0.config.limits.login_by_address, now).await?;
        let mut fields = Fields::default();
        let text = |value: &Option<String>| value.clone();
        let full_name = text(&wish.full_name).and_then(|it| fields.take("full_name", names::display_name(&it)));
        let locale = text(&wish.locale).and_then(|it| fields.take("locale", tongue::locale(&it)));
        let timezone = text(&wish.timezone).and_then(|it| fields.take("timezone", tongue::timezone(&it)));
        fields.finish()?;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &caller.actor(DatabaseRole::Identity)).await?;
        let sql = "SELECT version, preferences FROM users WHERE id = $1 AND erased_time IS NULL FOR UPDATE";
        let found = row::find(&transaction, sql, &[&caller.user]).await?;
        let found = found.ok_or_else(|| Refusal::not_found("user", caller.user))?;
        let stands: i64 = found.try_get(0)?;
        if let Some(given) = version.filter(|given| *given != stands) {
            return Err(Refusal::Stale { given, stands }.into());
        }
        let mut preferences = found.try_get::<_, Json<Map<String, Value>>>(1)?.0;
        if let Some(wish) = &wish.preferences {
            let mut fields = Fields::default();
            fields.take("preferences", storable(wish));
            fields.finish()?;
            merge(&mut preferences, wish);
            let mut fields = Fields::default();
            fields.take("preferences", storable(&preferences));
            fields.finish()?;
        }
        let sql = "UPDATE users SET full_name = coalesce($2, full_name), locale = coalesce($3, locale), \
            timezone = coalesce($4, timezone), preferences = $5 WHERE id = $1";
        row::run(&transaction, sql, &[&caller.user, &full_name, &locale, &timezone, &Json(&preferences)]).await?;
        let me = read(&transaction, caller.user).await?;
        transaction.commit().await?;
        Ok(me)
    }
}

async fn read(transaction: &deadpool_postgres::Transaction<'_>, user: Uuid) -> Outcome<Me> {
    let sql = "SELECT u.email, u.email_verified_time IS NOT NULL, u.full_name, u.locale, u.timezone, \
        u.preferences, u.is_operator, \
        u.password_hash IS NOT NULL, EXISTS (SELECT FROM mfa_secrets WHERE user_id = u.id AND confirmed_time IS NOT NULL), \
        (SELECT count(*) FROM recovery_codes WHERE user_id = u.id AND used_time IS NULL), u.version, u.created_time \
        FROM users AS u WHERE u.id = $1 AND u.erased_time IS NULL";
    let found = row::find(transaction, sql, &[&user]).await?.ok_or_else(|| Refusal::not_found("user", user))?;
    let sql = "SELECT o.id, o.code, o.name, m.role FROM memberships AS m JOIN organisations AS o ON o.id = \
        m.organisation_id \
        WHERE m.user_id = $1 AND o.suspended_time IS NULL ORDER BY o.name, o.id";
    let mut organisations = Vec::new();
    for place in row::all(transaction, sql, &[&user]).await? {
        if let Ok(role) = place.try_get::<_, &str>(3).map_err(Error::from)?.parse() {
            organisations.push(Place { id: place.try_get(0)?, code: place.try_get(1)?, name: place.try_get(2)?, role });
        }
    }
    let sql = "SELECT id, issuer, email, last_used_time FROM oauth_identities WHERE user_id = $1 ORDER BY \
        issuer, created_time";
    let mut identities = Vec::new();
    for line in row::all(transaction, sql, &[&user]).await? {
        let last_used_time = line.try_get::<_, Option<Now>>(3)?.map(Instant);
        identities.push(LinkedIdentity {
            id: line.try_get(0)?,
            issuer: line.try_get(1)?,
            email: line.try_get(2)?,
            last_used_time,
        });
    }
    Ok(Me {
        id: user,
        email: found.try_get(0)?,
        email_verified: found.try_get(1)?,
        full_name: found.try_get(2)?,
        locale: found.try_get(3)?,
        timezone: found.try_get(4)?,
        preferences: found.try_get::<_, Json<Map<String, Value>>>(5)?.0,
        is_operator: found.try_get(6)?,
        has_password: found.try_get(7)?,
        second_factor: found.try_get(8)?,
        recovery_codes_left: found.try_get(9)?,
        organisations,
        identities,
        version: found.try_get(10)?,
        created_time: Instant(found.try_get(11)?),
    })
}

/// Whether the database can keep it.
fn storable(preferences: &Map<String, Value>) -> Result<(), Problem> {
    fn good(value: &Value, depth: usize) -> bool {
        let nul = |text: &str| text.contains('\0');
        depth > 0
            && match value {
                Value::String(text) => !nul(text),
                Value::Array(items) => items.iter().all(|item| good(item, depth - 1)),
                Value::Object(fields) => fields.iter().all(|(name, item)| !nul(name) && good(item, depth - 1)),
                _ => true,
            }
    }
    if !preferences.iter().all(|(name, value)| !name.contains('\0') && good(value, DEPTH)) {
        let message = format!("must not have NUL characters, nor be deeper than {DEPTH}");
        return Err(Problem::new("not_storable", message));
    }
    // The database writes a space after each comma and colon.
    let bytes =
        serde_json::to_string(preferences).map_or(usize::MAX, |text| text.len() + text.matches([',', ':']).count());
    if bytes > PREFERENCES {
        return Err(Problem::new("too_long", format!("must have at most {PREFERENCES} bytes")));
    }
    Ok(())
}

/// RFC 7396.
fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match (value, target.get_mut(name)) {
            (Value::Null, _) => drop(target.remove(name)),
            (Value::Object(patch), Some(Value::Object(target))) => merge(target, patch),
            (Value::Object(patch), _) => {
                let mut fresh = Map::new();
                merge(&mut fresh, patch);
                target.insert(name.clone(), Value::Object(fresh));
            }
            (value, _) => drop(target.insert(name.clone(), value.clone())),
        }
    }
}
