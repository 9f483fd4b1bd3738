//! API keys at the door: found by the name in them, compared by their hash, believed for two seconds.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::TimeDelta;
use parking_lot::Mutex;
use uuid::Uuid;

use super::standing::BELIEVED_MS;
use super::{Caller, CallerKind, Ended, Now, Origin, row};
use crate::Error;
use crate::database::{Actor, Database, Kind, begin};
use crate::opaque::{self, Token};
use crate::permission::{Permission, Permissions, Role};

/// Keys that are remembered.
const MOST: usize = 10_000;
/// How often a key is noted as used.
const NOTED: TimeDelta = TimeDelta::minutes(1);

/// A key as it was found.
#[derive(Clone, Debug)]
struct Found {
    id: Uuid,
    hash: String,
    user: Uuid,
    organisation: (Uuid, Arc<str>),
    role: Role,
    scope: Permissions,
    expires: Option<Now>,
    read_ms: i64,
}

/// Keys that were used within the last seconds.
#[derive(Debug, Default)]
pub(crate) struct ApiKeys {
    found: Mutex<HashMap<String, Found>>,
}

const FIND: &str = "SELECT k.id, encode(k.key_hash, 'hex'), k.user_id, o.id, o.code, m.role, k.scopes, k.expires_time, \
    k.last_used_time FROM api_keys AS k JOIN users AS u ON u.id = k.user_id JOIN organisations AS o ON o.id = k.organisation_id \
    JOIN memberships AS m ON m.organisation_id = k.organisation_id AND m.user_id = k.user_id \
    WHERE k.prefix = $1 AND k.revoked_time IS NULL AND u.disabled_time IS NULL AND u.erased_time IS NULL \
    AND o.suspended_time IS NULL";

impl ApiKeys {
    /// Who holds the key, if it is good.
    pub(crate) async fn caller(
        &self,
        database: &Database,
        text: &str,
        origin: &Origin,
        now: Now,
    ) -> Result<Option<Caller>, Error> {
        let Some(token) = Token::read(opaque::Kind::ApiKey, text) else { return Ok(None) };
        let Some(prefix) = token.name() else { return Ok(None) };
        let now_ms = now.timestamp_millis();
        let fresh = |found: &Found| now_ms.abs_diff(found.read_ms) < BELIEVED_MS.unsigned_abs();
        let known = self.found.lock().get(prefix).filter(|found| fresh(found)).cloned();
        let found = match known {
            Some(found) => Some(found),
            None => self.read(database, &token, prefix, origin, now).await?,
        };
        Ok(found.filter(|found| token.matches(&found.hash) && found.expires.is_none_or(|at| at > now)).map(|found| {
            Caller {
                user: found.user,
                organisation: Some(found.organisation),
                role: Some(found.role),
                permissions: found.scope.and(found.role.permissions()),
                kind: CallerKind::ApiKey(found.id),
                is_operator: false,
                address: origin.address,
                request: origin.request.clone(),
            }
        }))
    }

    async fn read(
        &self,
        database: &Database,
        token: &Token,
        prefix: &str,
        origin: &Origin,
        now: Now,
    ) -> Result<Option<Found>, Error> {
        let mut client = database.client().await?;
        let transaction = begin(&mut client, &origin.nobody()).await?;
        let Some(line) = row::find(&transaction, FIND, &[&prefix]).await? else {
            self.found.lock().remove(prefix);
            return Ok(None);
        };
        let (role, scopes): (String, Vec<String>) = (line.try_get(5)?, line.try_get(6)?);
        let Ok(role) = role.parse() else { return Ok(None) };
        let found = Found {
            id: line.try_get(0)?,
            hash: line.try_get(1)?,
            user: line.try_get(2)?,
            organisation: (line.try_get(3)?, line.try_get::<_, &str>(4)?.into()),
            role,
            scope: scopes.iter().filter_map(|name| name.parse::<Permission>().ok()).collect(),
            expires: line.try_get(7)?,
            read_ms: now.timestamp_millis(),
        };
        let used: Option<Now> = line.try_get(8)?;
        drop(transaction);
        if token.matches(&found.hash) {
            if used.is_none_or(|used| used + NOTED <= now) {
                let actor = Actor {
                    kind: Kind::ApiKey(found.id),
                    organisation: Some(found.organisation.0),
                    user: Some(found.user),
                    ..origin.nobody()
                };
                let transaction = begin(&mut client, &actor).await?;
                let sql = "UPDATE api_keys SET last_used_time = $2 WHERE id = $1 AND (last_used_time IS NULL OR \
                    last_used_time <= $3)";
                row::run(&transaction, sql, &[&found.id, &now, &(now - NOTED)]).await?;
                transaction.commit().await?;
            }
            let mut all = self.found.lock();
            if all.len() >= MOST {
                all.retain(|_, found| now.timestamp_millis().abs_diff(found.read_ms) < BELIEVED_MS.unsigned_abs());
                if all.len() >= MOST {
                    all.clear();
                }
            }
            all.insert(prefix.to_owned(), found.clone());
        }
        Ok(Some(found))
    }

    /// Forgets what may have ended: at once here, and within two seconds elsewhere.
    pub(crate) fn forget(&self, what: Ended) {
        self.found.lock().retain(|_, found| match what {
            Ended::ApiKey(id) => found.id != id,
            Ended::User(user) => found.user != user,
            Ended::Organisation(id) => found.organisation.0 != id,
            Ended::Membership { organisation, user } => found.organisation.0 != organisation || found.user != user,
            Ended::Session(_) | Ended::Challenge(_) => true,
        });
    }
}
