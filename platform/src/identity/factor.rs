//! The second factor: what stands between a password and a session, and whether a code is right.
//!
//! A challenge is sealed, so nothing of it is kept: who has shown which password, until when. It dies when it was answered,
//! when the password changes, and after minutes. Codes are counted by user, since six digits are few.

use data_encoding::BASE64URL_NOPAD;
use deadpool_postgres::Transaction;
use model::humane::Secret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::account::{Account, Membership};
use super::login::{ChallengeAnswer, LoginAnswer, SecondFactor};
use super::{Ended, Now, Origin, Revealed, row};
use crate::database::begin;
use crate::opaque::Kind;
use crate::refusal::{Failure, Outcome, Refusal};
use crate::{Error, Platform, totp};

const REFUSED: &str = "the log-in took too long or is over: begin again";
const WRONG: &str = "the code is not right, or was used before";
/// Characters of a challenge at most.
const MOST: usize = 2_048;
/// Where a challenge is sealed for: it has no row.
const PLACE: (&str, &str) = ("challenge", "");

/// What a challenge says.
#[derive(Serialize, Deserialize)]
struct Challenge {
    id: Uuid,
    user: Uuid,
    wanted: Option<String>,
    password_ms: i64,
    until_s: i64,
    method: String,
}

impl Platform {
    /// The challenge of somebody whose first factor was right.
    pub(super) fn challenge(
        &self,
        account: &Account,
        wanted: Option<&str>,
        method: &str,
        now: Now,
    ) -> Result<ChallengeAnswer, Error> {
        let life_s = self.0.config.challenge_life.millis_i64() / 1_000;
        let challenge = Challenge {
            id: Uuid::new_v4(),
            user: account.id,
            wanted: wanted.map(str::to_owned),
            password_ms: account.password_ms,
            until_s: now.timestamp().saturating_add(life_s),
            method: method.to_owned(),
        };
        let plain = serde_json::to_vec(&challenge).unwrap_or_default();
        let sealed = self.0.challenge_sealer.seal(PLACE.0, PLACE.1, &plain)?;
        let text = format!("{}{}", Kind::Challenge.prefix(), BASE64URL_NOPAD.encode(&sealed));
        let methods = vec!["totp".to_owned(), "recovery_code".to_owned()];
        Ok(ChallengeAnswer { challenge: Revealed::new(text), expires_in: life_s, methods })
    }

    fn open_challenge(&self, text: &str, now: Now) -> Option<Challenge> {
        let rest = text.strip_prefix(Kind::Challenge.prefix()).filter(|rest| rest.len() <= MOST)?;
        let sealed = BASE64URL_NOPAD.decode(rest.as_bytes()).ok()?;
        let plain = self.0.challenge_sealer.open(PLACE.0, PLACE.1, &sealed).ok()?;
        let challenge: Challenge = serde_json::from_slice(&plain).ok()?;
        (challenge.until_s > now.timestamp()).then_some(challenge)
    }

    /// Answers a challenge with a code of the app or a recovery code.
    pub async fn second_factor(&self, wish: &SecondFactor, origin: &Origin, now: Now) -> Outcome<LoginAnswer> {
        let over = || Failure::from(Refusal::Unknown(REFUSED));
        let challenge = self.open_challenge(wish.challenge.expose(), now).ok_or_else(over)?;
        if self.0.standing.has_ended(Ended::Challenge(challenge.id), now).await {
            return Err(over());
        }
        self.may_try_code(challenge.user, now).await?;
        let keys = self.0.signing.signing(&self.0.database, now).await?;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &origin.nobody()).await?;
        let account = Account::by_id(&transaction, challenge.user).await?.ok_or_else(over)?;
        let membership = Membership::choose(&transaction, account.id, challenge.wanted.as_deref()).await?;
        drop(transaction);
        if account.shut || account.password_ms != challenge.password_ms {
            return Err(over());
        }
        let transaction = begin(&mut client, &account.actor(membership.as_ref(), origin)).await?;
        if !self.use_code(&transaction, account.id, &wish.code, now).await? {
            drop(transaction);
            return Err(self.wrong_code(&mut client, &account, membership.as_ref(), origin, now).await?);
        }
        let place = (origin, now);
        let tokens = self.begin_session(&transaction, &keys, &account, membership, true, place).await?;
        let detail = json!({"method": challenge.method, "second_factor": true});
        row::event(&transaction, "session.begun", "sessions", Some(tokens.session_id), detail).await?;
        transaction.commit().await?;
        self.0.standing.end(Ended::Challenge(challenge.id), now).await;
        self.forgive(&account, now).await;
        Ok(LoginAnswer::SignedIn(tokens))
    }

    /// Refuses who has tried too many codes.
    pub(super) async fn may_try_code(&self, user: Uuid, now: Now) -> Outcome<()> {
        let name = user.to_string();
        if let Some(retry_after_ms) = self.0.limiter.locked(&self.key("code", &name), now.timestamp_millis()).await {
            return Err(Refusal::TooOften { retry_after_ms }.into());
        }
        self.take("code", &name, self.0.config.limits.mfa_by_account, now).await
    }

    /// Notes a wrong code; the refusal.
    pub(super) async fn wrong_code(
        &self,
        client: &mut deadpool_postgres::Object,
        account: &Account,
        membership: Option<&Membership>,
        origin: &Origin,
        now: Now,
    ) -> Outcome<Failure> {
        let key = self.key("code", &account.id.to_string());
        let locked = self.0.limiter.strike(&key, self.lockout(), now.timestamp_millis()).await.is_some();
        let actor = crate::database::Actor { user: None, member: None, ..account.actor(membership, origin) };
        let transaction = begin(client, &actor).await?;
        let detail = json!({"reason": "code", "locked": locked});
        row::event(&transaction, "session.failed", "users", Some(account.id), detail).await?;
        transaction.commit().await?;
        Ok(Refusal::Unknown(WRONG).into())
    }

    /// Whether a code is right; then it is used up, if the transaction is committed.
    pub(super) async fn use_code(
        &self,
        transaction: &Transaction<'_>,
        user: Uuid,
        code: &Secret,
        now: Now,
    ) -> Result<bool, Error> {
        if let Some(hash) = totp::recovery_hash(&self.0.recovery_pepper, &user.to_string(), code.expose()) {
            let sql = "UPDATE recovery_codes SET used_time = $3 WHERE user_id = $1 AND code_hash = decode($2, \
                'hex') AND used_time IS NULL";
            return Ok(row::run(transaction, sql, &[&user, &hash, &now]).await? == 1);
        }
        self.use_totp(transaction, user, code, true, now).await
    }

    /// The same, of the app's codes alone; `confirmed` or still to be confirmed.
    pub(super) async fn use_totp(
        &self,
        transaction: &Transaction<'_>,
        user: Uuid,
        code: &Secret,
        confirmed: bool,
        now: Now,
    ) -> Result<bool, Error> {
        let sql = "SELECT secret_encrypted, last_used_step FROM mfa_secrets WHERE user_id = $1 AND \
            (confirmed_time IS NOT NULL) = $2 FOR UPDATE";
        let Some(found) = row::find(transaction, sql, &[&user, &confirmed]).await? else { return Ok(false) };
        let sealed: Vec<u8> = found.try_get(0)?;
        let secret = totp::Secret::from_bytes(self.0.mfa_sealer.open("mfa_secrets", &user.to_string(), &sealed)?);
        let Some(step) = secret.verify(code.expose(), now.timestamp(), found.try_get(1)?) else { return Ok(false) };
        let sql = "UPDATE mfa_secrets SET last_used_step = $2 WHERE user_id = $1 AND (last_used_step IS NULL OR \
            last_used_step < $2)";
        Ok(row::run(transaction, sql, &[&user, &step]).await? == 1)
    }
}
