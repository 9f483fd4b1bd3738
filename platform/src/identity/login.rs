//! Log-in by password.
//!
//! An account that does not exist costs what one costs that does: the same limits, the same questions, a hash of the same
//! cost, the same trace. Too many failures in a row lock an address out, whether it has an account or not; while it is
//! locked nothing is tried, so the right password is not found out either.

use model::humane::Secret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::account::{Account, Membership};
use super::session::Tokens;
use super::{NOT_KNOWN, Now, Origin, Revealed, row};
use crate::database::{Actor, begin};
use crate::limit::Lockout;
use crate::refusal::{Failure, Outcome, Refusal};
use crate::validate::Fields;
use crate::{Platform, names};

/// Logs in by password.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.org", "password": "mauve kettle orbit sandal"}))]
pub struct Login {
    /// Address.
    #[schema(max_length = 254)]
    pub email: String,
    /// Password.
    #[schema(value_type = String, format = Password, max_length = 1024)]
    pub password: Secret,
    /// Code or id of the organisation to act for; the last one when absent.
    #[serde(default)]
    #[schema(max_length = 64)]
    pub organisation: Option<String>,
}

/// What comes of a log-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum LoginAnswer {
    /// A session has begun.
    SignedIn(Tokens),
    /// A code is needed, too.
    SecondFactor(ChallengeAnswer),
}

/// A code is needed: of the authenticator app, or a recovery code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"challenge": "obm_…", "expires_in": 600, "methods": ["totp", "recovery_code"]}))]
pub struct ChallengeAnswer {
    /// To be sent back with the code.
    pub challenge: Revealed,
    /// Seconds that there are for it.
    pub expires_in: i64,
    /// Codes that will do.
    pub methods: Vec<String>,
}

/// Answers a challenge.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"challenge": "obm_…", "code": "123456"}))]
pub struct SecondFactor {
    /// From the log-in.
    #[schema(value_type = String, max_length = 2048)]
    pub challenge: Secret,
    /// Six digits of the app, or a recovery code.
    #[schema(value_type = String, max_length = 32)]
    pub code: Secret,
}

impl Platform {
    /// Logs in by password: a session, or a challenge when a second factor is in force.
    pub async fn login(&self, wish: &Login, origin: &Origin, now: Now) -> Outcome<LoginAnswer> {
        let mut fields = Fields::default();
        let email = fields.take("email", names::email(&wish.email)).unwrap_or_default();
        fields.finish()?;
        self.may_log_in(&email, origin, now).await?;
        let wanted = wish.organisation.as_deref();
        let (account, membership) = self.account(&email, wanted, origin).await?;
        let stored = account.as_ref().and_then(|account| account.password_hash.clone());
        let verified = self.verify_password(&wish.password, stored).await?;
        let unproved = self.0.mailer.is_configured();
        let reason = match &account {
            None => "account",
            Some(_) if !verified.matches => "password",
            Some(account) if account.shut => "disabled",
            Some(account) if unproved && !account.verified => "unverified",
            Some(_) => "",
        };
        let Some(account) = account.as_ref().filter(|_| reason.is_empty()) else {
            return Err(self.failed(&email, account.as_ref(), membership.as_ref(), reason, origin, now).await?);
        };
        if wanted.is_some() && membership.is_none() {
            return Err(Refusal::Forbidden("to be a member of that organisation".into()).into());
        }
        if account.second_factor {
            return self.challenged(account, membership.as_ref(), wanted, origin, now).await;
        }
        let keys = self.0.signing.signing(&self.0.database, now).await?;
        let rehashed = if verified.rehash { Some(self.hash_password(&wish.password).await?) } else { None };
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &account.actor(membership.as_ref(), origin)).await?;
        if let (Some(new), Some(old)) = (&rehashed, &account.password_hash) {
            // Unless it was changed meanwhile.
            let sql = "UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash = $3";
            row::run(&transaction, sql, &[&account.id, &new.expose(), &old.expose()]).await?;
        }
        let tokens = self.begin_session(&transaction, &keys, account, membership, false, (origin, now)).await?;
        let detail = json!({"method": "password", "second_factor": false});
        row::event(&transaction, "session.begun", "sessions", Some(tokens.session_id), detail).await?;
        transaction.commit().await?;
        self.forgive(account, now).await;
        Ok(LoginAnswer::SignedIn(tokens))
    }

    /// The password was right; a code is needed, too.
    async fn challenged(
        &self,
        account: &Account,
        membership: Option<&Membership>,
        wanted: Option<&str>,
        origin: &Origin,
        now: Now,
    ) -> Outcome<LoginAnswer> {
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &account.actor(membership, origin)).await?;
        let detail = json!({"method": "password"});
        row::event(&transaction, "session.challenged", "users", Some(account.id), detail).await?;
        transaction.commit().await?;
        Ok(LoginAnswer::SecondFactor(self.challenge(account, wanted, "password", now)?))
    }

    /// Refuses who has tried too often, from this address or for this account.
    async fn may_log_in(&self, email: &str, origin: &Origin, now: Now) -> Outcome<()> {
        let limits = &self.0.config.limits;
        self.take("login_address", &origin.place(), limits.login_by_address, now).await?;
        if let Some(retry_after_ms) = self.0.limiter.locked(&self.key("login", email), now.timestamp_millis()).await {
            return Err(Refusal::TooOften { retry_after_ms }.into());
        }
        self.take("login_account", email, limits.login_by_account, now).await
    }

    /// Who has that address, and for which organisation they come. Asks as much for nobody as for somebody.
    async fn account(
        &self,
        email: &str,
        wanted: Option<&str>,
        origin: &Origin,
    ) -> Outcome<(Option<Account>, Option<Membership>)> {
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &origin.nobody()).await?;
        let account = Account::by_email(&transaction, email).await?;
        let user = account.as_ref().map_or(Uuid::nil(), |account| account.id);
        let membership = Membership::choose(&transaction, user, wanted).await?;
        Ok((account, membership))
    }

    /// Notes a failure, in the user's organisation or else the platform's log; the refusal, which is the same for all.
    pub(super) async fn failed(
        &self,
        email: &str,
        account: Option<&Account>,
        membership: Option<&Membership>,
        reason: &str,
        origin: &Origin,
        now: Now,
    ) -> Outcome<Failure> {
        let key = self.key("login", email);
        let locked = self.0.limiter.strike(&key, self.lockout(), now.timestamp_millis()).await.is_some();
        let mut client = self.0.database.client().await?;
        // Not as the user: somebody who says so.
        let actor = Actor { organisation: membership.map(|membership| membership.organisation), ..origin.nobody() };
        let transaction = begin(&mut client, &actor).await?;
        let detail = json!({"reason": reason, "locked": locked});
        row::event(&transaction, "session.failed", "users", account.map(|account| account.id), detail).await?;
        transaction.commit().await?;
        Ok(Refusal::Unknown(NOT_KNOWN).into())
    }

    pub(super) fn lockout(&self) -> Lockout {
        let limits = &self.0.config.limits;
        Lockout { after: limits.lock_after, lock_for: limits.lock_for }
    }

    /// Forgets the failures of somebody who has proved who they are.
    pub(super) async fn forgive(&self, account: &Account, now: Now) {
        let now_ms = now.timestamp_millis();
        self.0.limiter.forgive(&self.key("login", &account.email), now_ms).await;
        self.0.limiter.forgive(&self.key("code", &account.id.to_string()), now_ms).await;
    }
}
