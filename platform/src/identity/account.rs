//! An account as the flows need it: what is known of a user, and for which organisation they come.

use chrono::DateTime;
use deadpool_postgres::Transaction;
use model::humane::Secret;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Now, Origin, row};
use crate::Error;
use crate::database::Actor;
use crate::permission::Role;

/// A user.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) id: Uuid,
    /// Nothing when the person was erased.
    pub(super) email: String,
    pub(super) verified: bool,
    pub(super) full_name: Option<String>,
    pub(super) password_hash: Option<Secret>,
    /// When the password was changed last, in milliseconds: what was begun with another one is over.
    pub(super) password_ms: i64,
    /// Disabled or erased.
    pub(super) shut: bool,
    pub(super) is_operator: bool,
    /// Whether a second factor is in force.
    pub(super) second_factor: bool,
}

/// A user's place in an organisation that is not suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) organisation: Uuid,
    pub(super) code: String,
    pub(super) name: String,
    pub(super) role: Role,
}

const COLUMNS: &str = "SELECT u.id, u.email, u.email_verified_time IS NOT NULL, u.full_name, u.password_hash, \
    u.password_changed_time, u.disabled_time IS NOT NULL OR u.erased_time IS NOT NULL, u.is_operator, \
    EXISTS (SELECT FROM mfa_secrets AS f WHERE f.user_id = u.id AND f.confirmed_time IS NOT NULL) FROM users AS u";

impl Account {
    fn read(row: &Row) -> Result<Self, Error> {
        let changed: Option<Now> = row.try_get(5)?;
        Ok(Self {
            id: row.try_get(0)?,
            email: row.try_get::<_, Option<String>>(1)?.unwrap_or_default(),
            verified: row.try_get(2)?,
            full_name: row.try_get(3)?,
            password_hash: row.try_get::<_, Option<String>>(4)?.map(Secret::new),
            password_ms: changed.as_ref().map_or(0, DateTime::timestamp_millis),
            shut: row.try_get(6)?,
            is_operator: row.try_get(7)?,
            second_factor: row.try_get(8)?,
        })
    }

    /// By an address in its normal form.
    pub(super) async fn by_email(transaction: &Transaction<'_>, email: &str) -> Result<Option<Self>, Error> {
        let found = row::find(transaction, &format!("{COLUMNS} WHERE u.email = $1"), &[&email]).await?;
        found.as_ref().map(Self::read).transpose()
    }

    /// By id.
    pub(super) async fn by_id(transaction: &Transaction<'_>, id: Uuid) -> Result<Option<Self>, Error> {
        let found = row::find(transaction, &format!("{COLUMNS} WHERE u.id = $1"), &[&id]).await?;
        found.as_ref().map(Self::read).transpose()
    }

    /// By id; locked, so that of two changes one waits.
    pub(super) async fn lock(transaction: &Transaction<'_>, id: Uuid) -> Result<Option<Self>, Error> {
        let found = row::find(transaction, &format!("{COLUMNS} WHERE u.id = $1 FOR UPDATE"), &[&id]).await?;
        found.as_ref().map(Self::read).transpose()
    }

    /// This user, acting for an organisation of theirs, from there.
    pub(super) fn actor(&self, membership: Option<&Membership>, origin: &Origin) -> Actor {
        Actor {
            user: Some(self.id),
            organisation: membership.map(|membership| membership.organisation),
            member: membership.map(|membership| membership.role),
            ..origin.nobody()
        }
    }

    /// What others know of the person, and a password must not hold.
    pub(super) fn known(&self) -> Vec<&str> {
        [self.email.as_str()].into_iter().chain(self.full_name.as_deref()).collect()
    }
}

impl Membership {
    /// The one of the organisation with this code or id; without a wish the one that was used last, or the oldest.
    pub(super) async fn choose(
        transaction: &Transaction<'_>,
        user: Uuid,
        wanted: Option<&str>,
    ) -> Result<Option<Self>, Error> {
        let sql = "SELECT o.id, o.code, o.name, m.role FROM memberships AS m JOIN organisations AS o ON o.id = \
            m.organisation_id \
            WHERE m.user_id = $1 AND o.suspended_time IS NULL AND ($2::text IS NULL OR $2 IN (o.code, o.id::text)) \
            ORDER BY (SELECT max(s.last_seen_time) FROM sessions AS s WHERE s.user_id = $1 AND s.organisation_id = o.id) \
            DESC NULLS LAST, m.created_time, o.id LIMIT 1";
        let Some(found) = row::find(transaction, sql, &[&user, &wanted]).await? else { return Ok(None) };
        let role: String = found.try_get(3)?;
        let Ok(role) = role.parse() else { return Ok(None) };
        Ok(Some(Self { organisation: found.try_get(0)?, code: found.try_get(1)?, name: found.try_get(2)?, role }))
    }
}
