//! E-mail addresses: proved by a link that was sent to them, and changed by proving the new one.
//!
//! Whether an address has an account is told to its owner alone, in a letter: asking for a link, or wanting an address that
//! somebody else has, is answered like anything else.

use chrono::DateTime;
use deadpool_postgres::Transaction;
use model::humane::Secret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::account::Account;
use super::errand::{Asked, Errand};
use super::{Accepted, Caller, NO_LINK, Now, Origin, row};
use crate::database::{Actor, begin};
use crate::mail::Letter;
use crate::opaque::{Kind, Token};
use crate::refusal::{Failure, Outcome, Refusal};
use crate::{Error, Platform};

/// Proves an address.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "obv_…"}))]
pub struct VerifyEmail {
    /// From the link.
    #[schema(value_type = String, max_length = 64)]
    pub token: Secret,
}

/// Asks for the link once more.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.org"}))]
pub struct ResendVerification {
    /// Address.
    #[schema(max_length = 254)]
    pub email: String,
}

/// Changes the caller's address, once the new one is proved.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.net", "password": "mauve kettle orbit sandal"}))]
pub struct ChangeEmail {
    /// The new address.
    #[schema(max_length = 254)]
    pub email: String,
    /// The caller's password, if there is one.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password, max_length = 1024)]
    pub password: Option<Secret>,
}

/// An address that is proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"email": "ada@example.org"}))]
pub struct VerifiedEmail {
    /// Address.
    pub email: String,
}

const LINK: &str = "/verify-email";

impl Platform {
    /// Proves an address by the link that was sent to it.
    pub async fn verify_email(&self, wish: &VerifyEmail, origin: &Origin, now: Now) -> Outcome<VerifiedEmail> {
        let refused = || Failure::from(Refusal::Unknown(NO_LINK));
        self.take("link_address", &origin.place(), self.0.config.limits.login_by_address, now).await?;
        let token = Token::read(Kind::Verification, wish.token.expose()).ok_or_else(refused)?;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &origin.nobody()).await?;
        let sql = "SELECT user_id FROM email_verifications WHERE token_hash = decode($1, 'hex')";
        let found = row::find(&transaction, sql, &[&token.hash()]).await?.ok_or_else(refused)?;
        let user: Uuid = found.try_get(0)?;
        drop(transaction);
        let transaction = begin(&mut client, &Actor { user: Some(user), ..origin.nobody() }).await?;
        let account = Account::lock(&transaction, user).await?.filter(|account| !account.shut).ok_or_else(refused)?;
        let sql = "UPDATE email_verifications SET used_time = $2 WHERE token_hash = decode($1, 'hex') \
            AND used_time IS NULL AND expires_time > $2 RETURNING email";
        let found = row::find(&transaction, sql, &[&token.hash(), &now]).await?.ok_or_else(refused)?;
        let email: String = found.try_get(0)?;
        let sql = "UPDATE users SET email = $2, email_verified_time = $3 WHERE id = $1";
        match row::run(&transaction, sql, &[&user, &email, &now]).await {
            // Somebody else has proved it meanwhile.
            Err(error) if row::is_taken(&error) => return Err(refused()),
            done => done?,
        };
        // Links to an address that is no longer theirs prove nothing.
        let sql = "UPDATE email_verifications SET used_time = $2 WHERE user_id = $1 AND used_time IS NULL";
        row::run(&transaction, sql, &[&user, &now]).await?;
        let changed = account.email != email;
        if changed {
            let sql = "UPDATE password_resets SET used_time = $2 WHERE user_id = $1 AND used_time IS NULL";
            row::run(&transaction, sql, &[&user, &now]).await?;
        }
        row::event(&transaction, "email.verified", "users", Some(user), json!({"changed": changed})).await?;
        transaction.commit().await?;
        if changed {
            self.post(address_changed(&account.email))?;
        }
        Ok(VerifiedEmail { email })
    }

    /// Asks for the link once more. The same for every address.
    pub async fn resend_verification(&self, wish: &ResendVerification, origin: &Origin, now: Now) -> Outcome<Accepted> {
        let asked = self.asked(&wish.email, origin, now).await?;
        self.0.errands.add(Errand::Verify(asked))?;
        Ok(Accepted::new())
    }

    /// Wants another address: a letter goes there, and the address is the caller's when its link was followed. The same for
    /// an address that somebody else has.
    pub async fn change_email(
        &self,
        caller: &Caller,
        wish: &ChangeEmail,
        origin: &Origin,
        now: Now,
    ) -> Outcome<Accepted> {
        let account = self.prove("password", caller, wish.password.as_ref(), now).await?;
        let asked = self.asked(&wish.email, origin, now).await?;
        self.0.errands.add(Errand::NewAddress(account.id, asked))?;
        Ok(Accepted::new())
    }

    pub(super) async fn send_verification(&self, asked: Asked) -> Outcome<()> {
        let Asked { email, origin, now } = asked;
        if !self.may_write(&email, now).await {
            return Ok(());
        }
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &origin.nobody()).await?;
        let account = Account::by_email(&transaction, &email).await?;
        let Some(account) = account.filter(|account| !account.shut && !account.verified) else { return Ok(()) };
        let letter = self.verification(&transaction, account.id, &email, now).await?;
        row::event(&transaction, "email.asked", "users", Some(account.id), json!({})).await?;
        transaction.commit().await?;
        self.deliver(letter).await
    }

    pub(super) async fn send_new_address(&self, user: Uuid, asked: Asked) -> Outcome<()> {
        let Asked { email, origin, now } = asked;
        if !self.may_write(&email, now).await {
            return Ok(());
        }
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &Actor { user: Some(user), ..origin.nobody() }).await?;
        let letter = match Account::by_email(&transaction, &email).await? {
            Some(owner) if owner.id != user => Letter::already_registered(&email, &self.page("/forgot-password")),
            _ => self.verification(&transaction, user, &email, now).await?,
        };
        row::event(&transaction, "email.asked", "users", Some(user), json!({"changed": true})).await?;
        transaction.commit().await?;
        self.deliver(letter).await
    }

    /// A link for an address, and the letter with it.
    pub(super) async fn verification(
        &self,
        transaction: &Transaction<'_>,
        user: Uuid,
        email: &str,
        now: Now,
    ) -> Result<Letter, Error> {
        let token = Token::new(Kind::Verification)?;
        let life = self.0.config.verification_life;
        let expires: DateTime<_> = now + life.0;
        let sql = "INSERT INTO email_verifications (user_id, email, token_hash, expires_time) VALUES ($1, $2, \
            decode($3, 'hex'), $4)";
        row::run(transaction, sql, &[&user, &email, &token.hash(), &expires]).await?;
        Ok(Letter::verification(email, &self.link(LINK, token.expose()), life))
    }

    /// A page of ours.
    pub(super) fn page(&self, path: &str) -> String {
        format!("{}{path}", self.0.config.public_url.trim_end_matches('/'))
    }
}

/// To the address that is no longer the account's.
fn address_changed(to: &str) -> Letter {
    Letter {
        to: to.to_owned(),
        subject: "Your OptiBid account has another address".to_owned(),
        text:
            "The e-mail address of your OptiBid account was changed, and this one no longer belongs to it. If it was \
               not you, write to whoever runs your OptiBid at once.\n"
                .to_owned(),
    }
}
