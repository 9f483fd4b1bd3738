//! Passwords: changed by who knows the old one, set anew by who holds a link. Either ends all other sessions.
//!
//! Who forgot a password is answered the same for every address, at once; whether there is an account is found out
//! afterwards. A link works once, dies with the next change of the password, and proves the address that it was sent to. It
//! is no second factor: whoever has one in force still needs it to log in.

use deadpool_postgres::Transaction;
use model::humane::Secret;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::account::Account;
use super::errand::{Asked, Errand};
use super::session::end_sessions;
use super::{Accepted, Caller, NO_LINK, Now, Origin, row};
use crate::database::{Actor, DatabaseRole, begin};
use crate::mail::Letter;
use crate::opaque::{Kind, Token};
use crate::password::{self, Verified};
use crate::refusal::{Failure, Outcome, Refusal};
use crate::validate::{Fields, Problem};
use crate::{Error, Platform, names};

/// Changes the caller's password.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"current_password": "mauve kettle orbit sandal", "new_password": "nine green umbrellas sing"}))]
pub struct ChangePassword {
    /// The one that holds.
    #[schema(value_type = String, format = Password, max_length = 1024)]
    pub current_password: Secret,
    /// The one that is to hold.
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 1024)]
    pub new_password: Secret,
}

/// Asks for a link by which a password is set anew.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.org"}))]
pub struct ForgotPassword {
    /// Address.
    #[schema(max_length = 254)]
    pub email: String,
}

/// Sets a password anew.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "obp_…", "password": "nine green umbrellas sing"}))]
pub struct ResetPassword {
    /// From the link.
    #[schema(value_type = String, max_length = 64)]
    pub token: Secret,
    /// The one that is to hold.
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 1024)]
    pub password: Secret,
}

const RESET: &str = "SELECT r.id, r.user_id FROM password_resets AS r WHERE r.token_hash = decode($1, 'hex') \
    AND r.used_time IS NULL AND r.expires_time > $2";

impl Platform {
    /// Changes the caller's password; how many other sessions ended.
    pub async fn change_password(&self, caller: &Caller, wish: &ChangePassword, now: Now) -> Outcome<usize> {
        let session = caller.session()?;
        let account = self.prove("current_password", caller, Some(&wish.current_password), now).await?;
        let hash = self.new_password("new_password", &wish.new_password, &account.known()).await?;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &caller.actor(DatabaseRole::Identity)).await?;
        let ended = set_password(&transaction, account.id, &hash, Some(session), now).await?;
        row::event(&transaction, "password.changed", "users", Some(account.id), json!({"sessions": ended.len()}))
            .await?;
        transaction.commit().await?;
        self.ended(&ended, now).await;
        Ok(ended.len())
    }

    /// Asks for a link. The same for every address.
    pub async fn forgot_password(&self, wish: &ForgotPassword, origin: &Origin, now: Now) -> Outcome<Accepted> {
        let asked = self.asked(&wish.email, origin, now).await?;
        self.0.errands.add(Errand::Forgot(asked))?;
        Ok(Accepted::new())
    }

    /// An address that something is asked for, if not too much is asked from there.
    pub(super) async fn asked(&self, email: &str, origin: &Origin, now: Now) -> Outcome<Asked> {
        let mut fields = Fields::default();
        let email = fields.take("email", names::email(email)).unwrap_or_default();
        fields.finish()?;
        self.take("mail_address", &origin.place(), self.0.config.limits.login_by_address, now).await?;
        Ok(Asked { email, origin: origin.clone(), now })
    }

    /// Whether one more letter may go to that address.
    pub(super) async fn may_write(&self, email: &str, now: Now) -> bool {
        self.take("mail_account", email, self.0.config.limits.mail_by_account, now).await.is_ok()
    }

    pub(super) async fn forgot(&self, asked: Asked) -> Outcome<()> {
        let Asked { email, origin, now } = asked;
        if !self.may_write(&email, now).await {
            return Ok(());
        }
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &origin.nobody()).await?;
        let account = Account::by_email(&transaction, &email).await?.filter(|account| !account.shut);
        let Some(account) = account else { return Ok(()) };
        let token = Token::new(Kind::Reset)?;
        let life = self.0.config.reset_life;
        let sql = "INSERT INTO password_resets (user_id, token_hash, expires_time) VALUES ($1, decode($2, 'hex'), $3)";
        row::run(&transaction, sql, &[&account.id, &token.hash(), &(now + life.0)]).await?;
        row::event(&transaction, "password.asked", "users", Some(account.id), json!({})).await?;
        transaction.commit().await?;
        self.deliver(Letter::reset(&email, &self.link("/reset-password", token.expose()), life)).await
    }

    /// Sets a password anew, and ends all sessions.
    pub async fn reset_password(&self, wish: &ResetPassword, origin: &Origin, now: Now) -> Outcome<()> {
        let refused = || Failure::from(Refusal::Unknown(NO_LINK));
        self.take("link_address", &origin.place(), self.0.config.limits.login_by_address, now).await?;
        let token = Token::read(Kind::Reset, wish.token.expose()).ok_or_else(refused)?;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &origin.nobody()).await?;
        let found = row::find(&transaction, RESET, &[&token.hash(), &now]).await?.ok_or_else(refused)?;
        let user: Uuid = found.try_get(1)?;
        let account = Account::by_id(&transaction, user).await?.filter(|account| !account.shut).ok_or_else(refused)?;
        drop(transaction);
        drop(client);
        // A link is not used up by a password that is too weak.
        let hash = self.new_password("password", &wish.password, &account.known()).await?;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &Actor { user: Some(user), ..origin.nobody() }).await?;
        row::find(&transaction, &format!("{RESET} FOR UPDATE"), &[&token.hash(), &now]).await?.ok_or_else(refused)?;
        let ended = set_password(&transaction, user, &hash, None, now).await?;
        let sql = "UPDATE users SET email_verified_time = coalesce(email_verified_time, $2) WHERE id = $1";
        row::run(&transaction, sql, &[&user, &now]).await?;
        row::event(&transaction, "password.reset", "users", Some(user), json!({"sessions": ended.len()})).await?;
        transaction.commit().await?;
        self.ended(&ended, now).await;
        self.0.limiter.forgive(&self.key("login", &account.email), now.timestamp_millis()).await;
        Ok(())
    }

    /// The caller's account, if the password is theirs. Who has none (and comes by another issuer) must have logged in
    /// just now. Counted, since whoever stole an access token may try passwords here.
    pub(super) async fn prove(
        &self,
        field: &str,
        caller: &Caller,
        password: Option<&Secret>,
        now: Now,
    ) -> Outcome<Account> {
        let session = caller.session()?;
        let (name, now_ms) = (caller.user.to_string(), now.timestamp_millis());
        let key = self.key("prove", &name);
        if let Some(retry_after_ms) = self.0.limiter.locked(&key, now_ms).await {
            return Err(Refusal::TooOften { retry_after_ms }.into());
        }
        self.take("prove", &name, self.0.config.limits.login_by_account, now).await?;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &caller.actor(DatabaseRole::Identity)).await?;
        let account = Account::by_id(&transaction, caller.user).await?.filter(|account| !account.shut);
        let account = account.ok_or_else(|| Refusal::not_found("user", caller.user))?;
        let recent = now - self.0.config.challenge_life.0;
        let sql = "SELECT EXISTS (SELECT FROM sessions WHERE id = $1 AND created_time > $2)";
        let is_recent = row::exists(&transaction, sql, &[&session, &recent]).await?;
        drop(transaction);
        drop(client);
        let wrong = |code, message: &str| Failure::from(vec![Problem::new(code, message).of(field)]);
        let Some(stored) = account.password_hash.clone() else {
            let message = "log in again first: this account has no password";
            return if is_recent { Ok(account) } else { Err(wrong("log_in_again", message)) };
        };
        let password = password.ok_or_else(|| wrong("required", "is missing"))?;
        if self.verify_password(password, Some(stored)).await?.matches {
            self.0.limiter.forgive(&key, now_ms).await;
            return Ok(account);
        }
        self.0.limiter.strike(&key, self.lockout(), now_ms).await;
        Err(wrong("wrong_password", "is not your password"))
    }

    /// The hash of a new password, or what is too weak about it.
    pub(super) async fn new_password(&self, field: &str, password: &Secret, known: &[&str]) -> Outcome<Secret> {
        let problems = password::check(&self.0.config.password, password.expose(), known);
        if !problems.is_empty() {
            return Err(problems.into_iter().map(|problem| problem.of(field)).collect::<Vec<_>>().into());
        }
        Ok(self.hash_password(password).await?)
    }

    /// Hashes on a thread of its own.
    pub(super) async fn hash_password(&self, password: &Secret) -> Result<Secret, Error> {
        let (hasher, password) = (self.0.hasher.clone(), password.clone());
        let permit = hasher.permit().await?;
        let work = tokio::task::spawn_blocking(move || hasher.hash(&permit, password.expose()));
        work.await.map_err(|error| Error::Hash(error.to_string()))?.map(Secret::new)
    }

    /// Compares on a thread of its own; as long for nobody as for somebody.
    pub(super) async fn verify_password(&self, password: &Secret, stored: Option<Secret>) -> Result<Verified, Error> {
        let (hasher, password) = (self.0.hasher.clone(), password.clone());
        let permit = hasher.permit().await?;
        let stored =
            move || hasher.verify(&permit, password.expose(), stored.as_ref().map(|hash| hash.expose().as_str()));
        tokio::task::spawn_blocking(stored).await.map_err(|error| Error::Hash(error.to_string()))?
    }
}

/// Sets it, ends sessions and links that wait.
async fn set_password(
    transaction: &Transaction<'_>,
    user: Uuid,
    hash: &Secret,
    keep: Option<Uuid>,
    now: Now,
) -> Result<Vec<Uuid>, Error> {
    let sql = "UPDATE users SET password_hash = $2, password_changed_time = $3 WHERE id = $1";
    row::run(transaction, sql, &[&user, &hash.expose(), &now]).await?;
    let sql = "UPDATE password_resets SET used_time = $2 WHERE user_id = $1 AND used_time IS NULL";
    row::run(transaction, sql, &[&user, &now]).await?;
    end_sessions(transaction, user, None, keep, "password", now).await
}
