//! Whose account an identity is: the rules are in [`super`].

use deadpool_postgres::Transaction;
use serde_json::json;
use uuid::Uuid;

use super::{OauthAnswer, Returned};
use crate::database::{Actor, DatabaseRole, begin};
use crate::identity::account::{Account, Membership};
use crate::identity::me::LinkedIdentity;
use crate::identity::{Caller, Now, Origin, row};
use crate::mail::Letter;
use crate::oidc::Identity;
use crate::refusal::{Outcome, Refusal};
use crate::resource::Instant;
use crate::{Error, Platform, names};

const BY_IDENTITY: &str = "SELECT user_id FROM oauth_identities WHERE issuer = $1 AND subject = $2";

impl Platform {
    /// Logs in whoever the identity belongs to, or is to belong to.
    pub(super) async fn enter(&self, returned: &Returned, origin: &Origin, now: Now) -> Outcome<OauthAnswer> {
        let identity = &returned.identity;
        let keys = self.0.signing.signing(&self.0.database, now).await?;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &origin.nobody()).await?;
        let (account, is_linked) = whose(&transaction, identity).await?;
        let is_new = account.is_none();
        let account = account.unwrap_or_else(|| newcomer(identity));
        if account.shut {
            return Err(super::failed());
        }
        let membership = Membership::choose(&transaction, account.id, None).await?;
        drop(transaction);
        let transaction = begin(&mut client, &account.actor(membership.as_ref(), origin)).await?;
        if is_new {
            let sql = "INSERT INTO users (id, email, email_verified_time, full_name) VALUES ($1, $2, $3, $4)";
            once(row::run(&transaction, sql, &[&account.id, &account.email, &now, &account.full_name]).await)?;
        }
        if is_linked {
            let sql = "UPDATE oauth_identities SET last_used_time = $3 WHERE issuer = $1 AND subject = $2";
            row::run(&transaction, sql, &[&identity.issuer, &identity.subject, &now]).await?;
        } else {
            link(&transaction, account.id, identity, now).await?;
        }
        let method = format!("oidc:{}", returned.provider);
        let tokens = if account.second_factor {
            None
        } else {
            let place = (origin, now);
            Some(self.begin_session(&transaction, &keys, &account, membership, false, place).await?)
        };
        let action = if tokens.is_some() { "session.begun" } else { "session.challenged" };
        let detail = json!({"method": method, "second_factor": false, "new": is_new, "linked": !is_linked});
        row::event(&transaction, action, "users", Some(account.id), detail).await?;
        transaction.commit().await?;
        if !is_new && !is_linked {
            self.post(linked(&account.email, &identity.issuer))?;
        }
        Ok(match tokens {
            Some(tokens) => OauthAnswer::SignedIn(tokens),
            None => OauthAnswer::SecondFactor(self.challenge(&account, None, &method, now)?),
        })
    }

    /// Links the identity to the account of who began.
    pub(super) async fn link_identity(
        &self,
        user: Uuid,
        returned: &Returned,
        origin: &Origin,
        now: Now,
    ) -> Outcome<OauthAnswer> {
        let identity = &returned.identity;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &Actor { user: Some(user), ..origin.nobody() }).await?;
        let account = Account::lock(&transaction, user).await?.filter(|account| !account.shut);
        let account = account.ok_or_else(super::failed)?;
        let owner = row::find(&transaction, BY_IDENTITY, &[&identity.issuer, &identity.subject]).await?;
        let owner: Option<Uuid> = owner.map(|row| row.try_get(0)).transpose()?;
        if owner.is_some_and(|owner| owner != user) {
            return Err(Refusal::conflict("identity_taken", "this log-in belongs to another account").into());
        }
        if owner.is_none() {
            link(&transaction, user, identity, now).await?;
            let detail = json!({"provider": returned.provider});
            row::event(&transaction, "identity.linked", "users", Some(user), detail).await?;
        }
        let sql = "SELECT id, email, last_used_time FROM oauth_identities WHERE issuer = $1 AND subject = $2";
        let found = row::find(&transaction, sql, &[&identity.issuer, &identity.subject]).await?;
        let found = found.ok_or_else(super::failed)?;
        let last_used_time = found.try_get::<_, Option<Now>>(2)?.map(Instant);
        let (id, email) = (found.try_get(0)?, found.try_get(1)?);
        transaction.commit().await?;
        if owner.is_none() {
            self.post(linked(&account.email, &identity.issuer))?;
        }
        Ok(OauthAnswer::Linked(LinkedIdentity { id, issuer: identity.issuer.clone(), email, last_used_time }))
    }

    /// Takes an identity away from the caller's account, unless it is the last way in.
    pub async fn unlink_identity(&self, caller: &Caller, id: Uuid) -> Outcome<()> {
        caller.session()?;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &caller.actor(DatabaseRole::Identity)).await?;
        let missing = || Refusal::not_found("identity", id);
        let account = Account::lock(&transaction, caller.user).await?.ok_or_else(missing)?;
        let sql = "DELETE FROM oauth_identities WHERE id = $1 AND user_id = $2";
        if row::run(&transaction, sql, &[&id, &caller.user]).await? == 0 {
            return Err(missing().into());
        }
        let sql = "SELECT EXISTS (SELECT FROM oauth_identities WHERE user_id = $1)";
        if account.password_hash.is_none() && !row::exists(&transaction, sql, &[&caller.user]).await? {
            let message = "this is the only way into the account: set a password first";
            return Err(Refusal::conflict("last_way_in", message).into());
        }
        row::event(&transaction, "identity.unlinked", "users", Some(caller.user), json!({})).await?;
        Ok(transaction.commit().await?)
    }
}

/// The account of an identity, and whether they are linked; nothing when one is to be made.
async fn whose(transaction: &Transaction<'_>, identity: &Identity) -> Outcome<(Option<Account>, bool)> {
    if let Some(found) = row::find(transaction, BY_IDENTITY, &[&identity.issuer, &identity.subject]).await? {
        return Ok((Account::by_id(transaction, found.try_get(0)?).await?, true));
    }
    let Some(email) = proved(identity) else {
        return Err(Refusal::Forbidden("an e-mail address that the identity provider has verified".into()).into());
    };
    let account = Account::by_email(transaction, &email).await?;
    if account.as_ref().is_some_and(|account| !account.verified) {
        let message = "this address has an account, which has not been verified: set its password anew, then log in";
        return Err(Refusal::conflict("email_unverified", message).into());
    }
    Ok((account, false))
}

/// The address, if the provider vouches for it.
fn proved(identity: &Identity) -> Option<String> {
    names::email(identity.email.as_deref().filter(|_| identity.email_verified)?).ok()
}

fn newcomer(identity: &Identity) -> Account {
    Account {
        id: Uuid::new_v4(),
        email: proved(identity).unwrap_or_default(),
        verified: true,
        full_name: identity.name.as_deref().and_then(|name| names::display_name(name).ok()),
        password_hash: None,
        password_ms: 0,
        shut: false,
        is_operator: false,
        second_factor: false,
    }
}

async fn link(transaction: &Transaction<'_>, user: Uuid, identity: &Identity, now: Now) -> Outcome<()> {
    let email = identity.email.as_deref().and_then(|email| names::email(email).ok());
    let sql =
        "INSERT INTO oauth_identities (user_id, issuer, subject, email, last_used_time) VALUES ($1, $2, $3, $4, $5)";
    once(row::run(transaction, sql, &[&user, &identity.issuer, &identity.subject, &email, &now]).await)
}

/// Of two who come with one identity at once the second begins again.
fn once(done: Result<u64, Error>) -> Outcome<()> {
    match done {
        Err(error) if row::is_taken(&error) => Err(super::failed()),
        done => Ok(done.map(drop)?),
    }
}

fn linked(to: &str, issuer: &str) -> Letter {
    Letter {
        to: to.to_owned(),
        subject: "Your OptiBid account has another way in".to_owned(),
        text: format!(
            "From now on one can log in to your OptiBid account at {issuer}. If it was not you, take it away in your \
             profile and set a new password.\n"
        ),
    }
}
