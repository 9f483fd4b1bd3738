//! The second factor of an account: an authenticator app, and recovery codes for when it is lost.
//!
//! ```text
//! enrol (password) ─► secret, shown once ─► confirm (a code) ─► in force, recovery codes, shown once
//!                                              disable (password and code), new recovery codes (password and code)
//! ```

use deadpool_postgres::Transaction;
use model::humane::Secret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::account::Account;
use super::sealed::Sealed;
use super::{Caller, Now, Origin, Revealed, row};
use crate::database::{DatabaseRole, begin};
use crate::mail::Letter;
use crate::refusal::{Outcome, Refusal};
use crate::totp::{self, Recovery};
use crate::{Error, Platform};

/// What apps show beside the code.
const ISSUER: &str = "OptiBid";

/// Begins with an authenticator app.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "mauve kettle orbit sandal"}))]
pub struct EnrolMfa {
    /// The caller's password, if there is one.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password, max_length = 1024)]
    pub password: Option<Secret>,
}

/// What the app needs; shown once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "uri": "otpauth://totp/OptiBid:ada%40example.org?secret=…"}))]
pub struct MfaEnrolment {
    /// To be typed.
    pub secret: Revealed,
    /// To be scanned.
    pub uri: Revealed,
}

/// Shows that the app works.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"code": "123456"}))]
pub struct ConfirmMfa {
    /// Six digits of the app.
    #[schema(value_type = String, max_length = 32)]
    pub code: Secret,
}

/// Codes for when the app is lost, each good once; shown once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"codes": ["a1b2c-d3e4f", "g5h6j-k7m8n"]}))]
pub struct RecoveryCodes {
    /// The codes.
    pub codes: Vec<Revealed>,
}

/// Proves who it is by all that there is.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "mauve kettle orbit sandal", "code": "123456"}))]
pub struct PasswordAndCode {
    /// The caller's password, if there is one.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password, max_length = 1024)]
    pub password: Option<Secret>,
    /// Six digits of the app, or a recovery code.
    #[schema(value_type = String, max_length = 32)]
    pub code: Secret,
}

impl Platform {
    /// Makes a secret for an app; nothing is asked for it before it is confirmed.
    pub async fn enrol_mfa(&self, caller: &Caller, wish: &EnrolMfa, now: Now) -> Outcome<MfaEnrolment> {
        let account = self.prove("password", caller, wish.password.as_ref(), now).await?;
        let secret = totp::Secret::new()?;
        let name = account.id.to_string();
        let sealed = Sealed::new(&self.0.mfa_sealer, "mfa_secrets", &name, secret.expose())?;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &caller.actor(DatabaseRole::Identity)).await?;
        let sql = "INSERT INTO mfa_secrets (user_id, secret_encrypted, nonce, key_id) VALUES ($1, $2, $3, $4) \
            ON CONFLICT (user_id) DO UPDATE SET secret_encrypted = excluded.secret_encrypted, nonce = excluded.nonce, \
            key_id = excluded.key_id, last_used_step = NULL WHERE mfa_secrets.confirmed_time IS NULL";
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&account.id, &sealed.bytes, &sealed.nonce, &sealed.key_id];
        if row::run(&transaction, sql, &values).await? == 0 {
            return Err(Refusal::conflict("mfa_in_force", "a second factor is in force: disable it first").into());
        }
        row::event(&transaction, "mfa.begun", "users", Some(account.id), json!({})).await?;
        transaction.commit().await?;
        let uri = secret.uri(ISSUER, &account.email);
        Ok(MfaEnrolment { secret: Revealed::new(secret.base32()), uri: Revealed::new(uri) })
    }

    /// Puts the second factor in force.
    pub async fn confirm_mfa(
        &self,
        caller: &Caller,
        wish: &ConfirmMfa,
        origin: &Origin,
        now: Now,
    ) -> Outcome<RecoveryCodes> {
        let session = caller.session()?;
        self.may_try_code(caller.user, now).await?;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &caller.actor(DatabaseRole::Identity)).await?;
        let account = Account::lock(&transaction, caller.user).await?.filter(|account| !account.shut);
        let account = account.ok_or_else(|| Refusal::not_found("user", caller.user))?;
        if account.second_factor {
            return Err(Refusal::conflict("mfa_in_force", "a second factor is in force").into());
        }
        if !self.use_totp(&transaction, account.id, &wish.code, false, now).await? {
            drop(transaction);
            return Err(self.wrong_code(&mut client, &account, None, origin, now).await?);
        }
        let sql = "UPDATE mfa_secrets SET confirmed_time = $2 WHERE user_id = $1";
        row::run(&transaction, sql, &[&account.id, &now]).await?;
        row::run(&transaction, "UPDATE sessions SET second_factor = true WHERE id = $1", &[&session]).await?;
        let codes = self.write_recovery(&transaction, &account).await?;
        row::event(&transaction, "mfa.confirmed", "users", Some(account.id), json!({})).await?;
        transaction.commit().await?;
        self.forgive(&account, now).await;
        Ok(codes)
    }

    /// Takes the second factor away.
    pub async fn disable_mfa(&self, caller: &Caller, wish: &PasswordAndCode, origin: &Origin, now: Now) -> Outcome<()> {
        let (mut client, account) = self.both(caller, wish, now).await?;
        let transaction = begin(&mut client, &caller.actor(DatabaseRole::Identity)).await?;
        if !self.use_code(&transaction, account.id, &wish.code, now).await? {
            drop(transaction);
            return Err(self.wrong_code(&mut client, &account, None, origin, now).await?);
        }
        row::run(&transaction, "DELETE FROM recovery_codes WHERE user_id = $1", &[&account.id]).await?;
        row::run(&transaction, "DELETE FROM mfa_secrets WHERE user_id = $1", &[&account.id]).await?;
        row::event(&transaction, "mfa.disabled", "users", Some(account.id), json!({})).await?;
        transaction.commit().await?;
        self.post(disabled(&account.email))?;
        Ok(())
    }

    /// Makes new recovery codes; the ones before are good no more.
    pub async fn new_recovery_codes(
        &self,
        caller: &Caller,
        wish: &PasswordAndCode,
        origin: &Origin,
        now: Now,
    ) -> Outcome<RecoveryCodes> {
        let (mut client, account) = self.both(caller, wish, now).await?;
        let transaction = begin(&mut client, &caller.actor(DatabaseRole::Identity)).await?;
        if !self.use_code(&transaction, account.id, &wish.code, now).await? {
            drop(transaction);
            return Err(self.wrong_code(&mut client, &account, None, origin, now).await?);
        }
        let codes = self.write_recovery(&transaction, &account).await?;
        row::event(&transaction, "mfa.recovery_renewed", "users", Some(account.id), json!({})).await?;
        transaction.commit().await?;
        Ok(codes)
    }

    /// The account of somebody who gave their password and may try a code.
    async fn both(
        &self,
        caller: &Caller,
        wish: &PasswordAndCode,
        now: Now,
    ) -> Outcome<(deadpool_postgres::Object, Account)> {
        let account = self.prove("password", caller, wish.password.as_ref(), now).await?;
        if !account.second_factor {
            return Err(Refusal::conflict("mfa_not_in_force", "no second factor is in force").into());
        }
        self.may_try_code(account.id, now).await?;
        Ok((self.0.database.client().await?, account))
    }

    async fn write_recovery(&self, transaction: &Transaction<'_>, account: &Account) -> Result<RecoveryCodes, Error> {
        let recovery = Recovery::new(&self.0.recovery_pepper, &account.id.to_string())?;
        row::run(transaction, "DELETE FROM recovery_codes WHERE user_id = $1", &[&account.id]).await?;
        let sql = "INSERT INTO recovery_codes (user_id, code_hash) SELECT $1, decode(hash, 'hex') FROM \
            unnest($2::text[]) AS hash";
        row::run(transaction, sql, &[&account.id, &recovery.hashes]).await?;
        Ok(RecoveryCodes { codes: recovery.codes.into_iter().map(Revealed::new).collect() })
    }
}

fn disabled(to: &str) -> Letter {
    Letter {
        to: to.to_owned(),
        subject: "Your OptiBid account has no second factor any more".to_owned(),
        text:
            "The second factor of your OptiBid account was disabled, with your password and a code. If it was not you, \
               set a new password at once.\n"
                .to_owned(),
    }
}
