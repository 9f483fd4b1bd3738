//! A refresh token is used: the next one, or the end of the session. What is what: [`super`].

use chrono::TimeDelta;
use deadpool_postgres::Transaction;
use serde_json::json;
use uuid::Uuid;

use super::{Refresh, SwitchOrganisation, Tokens, end_sessions, tokens};
use crate::database::begin;
use crate::identity::account::{Account, Membership};
use crate::identity::{Caller, Ended, Now, Origin, row};
use crate::opaque::{Kind, Token};
use crate::refusal::{Failure, Outcome, Refusal};
use crate::{Error, Platform};

/// How soon the same token may come twice from one device.
const RACE: TimeDelta = TimeDelta::seconds(5);

/// A refresh token that somebody presents, and its session.
struct Presented {
    session: Uuid,
    user: Uuid,
    organisation: Option<Uuid>,
    session_expires: Now,
    expires: Now,
    used: Option<Now>,
    revoked: bool,
    address: Option<String>,
}

impl Presented {
    async fn find(transaction: &Transaction<'_>, token: &Token, locked: bool) -> Result<Option<Self>, Error> {
        let sql = "SELECT s.id, s.user_id, s.organisation_id, s.expires_time, t.expires_time, t.used_time, \
            s.revoked_time IS NOT NULL, s.address FROM refresh_tokens AS t JOIN sessions AS s ON s.id = t.session_id \
            WHERE t.token_hash = decode($1, 'hex')";
        let sql = format!("{sql}{}", if locked { " FOR UPDATE" } else { "" });
        let Some(found) = row::find(transaction, &sql, &[&token.hash()]).await? else { return Ok(None) };
        Ok(Some(Self {
            session: found.try_get(0)?,
            user: found.try_get(1)?,
            organisation: found.try_get(2)?,
            session_expires: found.try_get(3)?,
            expires: found.try_get(4)?,
            used: found.try_get(5)?,
            revoked: found.try_get(6)?,
            address: found.try_get(7)?,
        }))
    }
}

fn refused() -> Failure {
    Refusal::Unknown("the refresh token is not valid: log in again").into()
}

impl Platform {
    /// The next tokens of a session, for a refresh token that was not used before.
    pub async fn refresh(&self, wish: &Refresh, origin: &Origin, now: Now) -> Outcome<Tokens> {
        let token = Token::read(Kind::Refresh, wish.refresh_token.expose()).ok_or_else(refused)?;
        let keys = self.0.signing.signing(&self.0.database, now).await?;
        let (account, membership) = self.presented(&token, origin, now).await?;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &account.actor(membership.as_ref(), origin)).await?;
        // Of two at once one waits here, and sees that the token was used.
        let found = Presented::find(&transaction, &token, true).await?.ok_or_else(refused)?;
        if found.revoked || account.shut || found.expires <= now || found.session_expires <= now {
            return Err(refused());
        }
        let address = origin.address.map(|address| address.to_string());
        if let Some(used) = found.used {
            if now - used < RACE && found.address == address {
                return Err(Refusal::conflict("refreshed_already", "this refresh token was used a moment ago").into());
            }
            end_sessions(&transaction, account.id, Some(found.session), None, "reuse", now).await?;
            row::event(&transaction, "session.reused", "sessions", Some(found.session), json!({})).await?;
            transaction.commit().await?;
            self.end(Ended::Session(found.session), now).await;
            return Err(refused());
        }
        let next = self.refresh_token(&transaction, found.session, found.session_expires, now).await?;
        let sql = "UPDATE refresh_tokens SET used_time = $3, replaced_by = decode($2, 'hex') WHERE token_hash = \
            decode($1, 'hex')";
        row::run(&transaction, sql, &[&token.hash(), &next.0.hash(), &now]).await?;
        let sql = "UPDATE sessions SET last_seen_time = $2, address = $3 WHERE id = $1";
        row::run(&transaction, sql, &[&found.session, &now, &address]).await?;
        let tokens = tokens(&keys, &account, found.session, membership, Some(next), now)?;
        transaction.commit().await?;
        Ok(tokens)
    }

    /// Whose token it is and for which organisation, before anything is locked.
    async fn presented(&self, token: &Token, origin: &Origin, now: Now) -> Outcome<(Account, Option<Membership>)> {
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &origin.nobody()).await?;
        let found = Presented::find(&transaction, token, false).await?.ok_or_else(refused)?;
        let rate = self.0.config.limits.refresh_by_session;
        self.take("refresh", &found.session.to_string(), rate, now).await?;
        let account = Account::by_id(&transaction, found.user).await?.ok_or_else(refused)?;
        let membership = match found.organisation {
            Some(id) => Membership::choose(&transaction, found.user, Some(&id.to_string())).await?,
            None => None,
        };
        Ok((account, membership))
    }

    /// Goes on in another organisation of the caller: a new access token; the refresh token stays as it is.
    pub async fn switch_organisation(
        &self,
        caller: &Caller,
        wish: &SwitchOrganisation,
        origin: &Origin,
        now: Now,
    ) -> Outcome<Tokens> {
        let session = caller.session()?;
        let keys = self.0.signing.signing(&self.0.database, now).await?;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &origin.nobody()).await?;
        let ended = || Failure::from(Refusal::Unknown("the session has ended: log in again"));
        let account =
            Account::by_id(&transaction, caller.user).await?.filter(|account| !account.shut).ok_or_else(ended)?;
        let membership = Membership::choose(&transaction, caller.user, Some(&wish.organisation)).await?;
        let membership = membership.ok_or_else(|| Refusal::NotFound {
            what: "organisation of yours",
            id: wish.organisation.chars().take(64).collect(),
        })?;
        drop(transaction);
        let transaction = begin(&mut client, &account.actor(Some(&membership), origin)).await?;
        let sql = "UPDATE sessions SET organisation_id = $2, last_seen_time = $3 WHERE id = $1 AND user_id = $4 \
            AND revoked_time IS NULL";
        let changed = row::run(&transaction, sql, &[&session, &membership.organisation, &now, &caller.user]).await?;
        if changed == 0 {
            return Err(ended());
        }
        row::event(&transaction, "session.switched", "sessions", Some(session), json!({})).await?;
        transaction.commit().await?;
        Ok(tokens(&keys, &account, session, Some(membership), None, now)?)
    }
}
