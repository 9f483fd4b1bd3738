//! Sessions: a sign-in on one device, an access token for minutes, and a refresh token that is good once.
//!
//! ```text
//! refresh token ── used once ─► the next one … until the session is idle too long, or has lasted long enough
//!       └─ comes again: somebody has a copy ─► the session ends, for both of them
//! ```
//! Two requests of one device may carry the same token at once (two tabs, a lost answer). So whoever comes second, from the
//! same address and within seconds, is told that it has been used, and the session goes on: they get no token, and a thief who
//! comes from elsewhere or later is still found out.

mod end;
mod refresh;

use deadpool_postgres::Transaction;
use model::humane::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::account::{Account, Membership};
use super::{Now, Origin, Revealed, row};
use crate::opaque::{Kind, Token};
use crate::permission::Role;
use crate::token::{KeySet, Subject};
use crate::{Error, Platform};

/// An organisation as one of its members sees it at the door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// Id.
    pub id: Uuid,
    /// What it is called on the stream.
    #[schema(example = "north-sea-wind")]
    pub code: String,
    /// Name.
    #[schema(example = "North Sea Wind")]
    pub name: String,
    /// What the user is in it.
    #[schema(schema_with = crate::resource::schema::role)]
    pub role: Role,
}

/// What a session goes on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"access_token": "eyJ…", "token_type": "Bearer", "expires_in": 600, "refresh_token": "obr_…",
    "refresh_expires_in": 604800, "session_id": "6f1c2f0e-0f4f-4c62-9d3f-0a6b8f6f2f11", "organisation": {"id":
    "0b8f6f2f-0f4f-4c62-9d3f-0a6b6f1c2f0e", "code": "north-sea-wind", "name": "North Sea Wind", "role": "trader"}}))]
pub struct Tokens {
    /// For `Authorization: Bearer`.
    pub access_token: Revealed,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds that the access token is good for.
    pub expires_in: i64,
    /// Asks for the next tokens, once. Not there when the one before stays good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Revealed>,
    /// Seconds that the refresh token is good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_expires_in: Option<i64>,
    /// The session.
    pub session_id: Uuid,
    /// The organisation that is acted for, if the user has one.
    pub organisation: Option<Place>,
}

/// Asks for the next tokens.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"refresh_token": "obr_…"}))]
pub struct Refresh {
    /// The refresh token.
    #[schema(value_type = String, max_length = 64)]
    pub refresh_token: Secret,
}

/// Goes on in another organisation.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"organisation": "north-sea-wind"}))]
pub struct SwitchOrganisation {
    /// Its code or id.
    #[schema(max_length = 64)]
    pub organisation: String,
}

impl From<Membership> for Place {
    fn from(membership: Membership) -> Self {
        let Membership { organisation: id, code, name, role } = membership;
        Self { id, code, name, role }
    }
}

pub(super) use self::end::end_sessions;

impl Platform {
    /// A new session of a user who has proved who they are; in a transaction that was begun as that user.
    pub(super) async fn begin_session(
        &self,
        transaction: &Transaction<'_>,
        keys: &KeySet,
        account: &Account,
        membership: Option<Membership>,
        second_factor: bool,
        (origin, now): (&Origin, Now),
    ) -> Result<Tokens, Error> {
        let id = Uuid::new_v4();
        let expires = now + self.0.config.refresh_token_life.0;
        let sql = "INSERT INTO sessions (id, user_id, organisation_id, device, address, second_factor, \
            last_seen_time, expires_time, \
            created_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7)";
        let organisation = membership.as_ref().map(|membership| membership.organisation);
        let address = origin.address.map(|address| address.to_string());
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
            [&id, &account.id, &organisation, &origin.device(), &address, &second_factor, &now, &expires];
        row::run(transaction, sql, &values).await?;
        row::run(transaction, "UPDATE users SET last_login_time = $2 WHERE id = $1", &[&account.id, &now]).await?;
        let refresh = self.refresh_token(transaction, id, expires, now).await?;
        tokens(keys, account, id, membership, Some(refresh), now)
    }

    /// A new refresh token, and for how many seconds it is good.
    async fn refresh_token(
        &self,
        transaction: &Transaction<'_>,
        session: Uuid,
        session_expires: Now,
        now: Now,
    ) -> Result<(Token, i64), Error> {
        let token = Token::new(Kind::Refresh)?;
        let expires = session_expires.min(now + self.0.config.session_idle.0);
        let sql =
            "INSERT INTO refresh_tokens (token_hash, session_id, expires_time) VALUES (decode($1, 'hex'), $2, $3)";
        row::run(transaction, sql, &[&token.hash(), &session, &expires]).await?;
        Ok((token, (expires - now).num_seconds()))
    }
}

fn tokens(
    keys: &KeySet,
    account: &Account,
    session: Uuid,
    membership: Option<Membership>,
    refresh: Option<(Token, i64)>,
    now: Now,
) -> Result<Tokens, Error> {
    let subject = Subject {
        user: account.id,
        membership: membership.as_ref().map(|membership| (membership.organisation, membership.role)),
        session,
        scope: None,
        is_operator: account.is_operator,
    };
    let (token, claims) = keys.sign(&subject, now.timestamp())?;
    Ok(Tokens {
        access_token: Revealed::new(token),
        token_type: "Bearer".to_owned(),
        expires_in: claims.exp - claims.iat,
        refresh_expires_in: refresh.as_ref().map(|(_, seconds)| *seconds),
        refresh_token: refresh.map(|(token, _)| Revealed::new(token.expose())),
        session_id: session,
        organisation: membership.map(Place::from),
    })
}
