//! Log-in at another issuer (OpenID Connect), and accounts that belong together.
//!
//! ```text
//! start ─► browser to the provider, with a cookie that only this browser has ─► callback: state once, cookie, code ─► identity
//!   known (issuer, subject) ────────────────────────────────────► that account
//!   unknown, address proved there and here ─────────────────────► that account, and its owner is told
//!   unknown, address proved there, here nobody has it ──────────► a new account, without password or organisation
//!   else (not proved there, or here somebody has it unproved) ──► refused
//! ```
//! An address that is not proved on *both* sides joins nothing: whoever registers somebody else's address here, or types one
//! at a provider, gets no account by it. A second factor that is in force is asked for here, too.

mod form;
mod join;

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use uuid::Uuid;

pub use self::form::{OauthAnswer, OauthEnd, OauthProvider, OauthStarted, StartOauth};
use super::sealed::Sealed;
use super::{Caller, Now, Origin, Revealed, row};
use crate::database::begin;
use crate::oidc::{Callback, Flow, Identity, Provider};
use crate::refusal::{Failure, Outcome, Refusal};
use crate::{Error, Platform, opaque};

const TABLE: &str = "oauth_states";
const FAILED: &str = "the log-in at the identity provider did not succeed: begin again";

/// What is kept, sealed, while the browser is away.
#[derive(Serialize, Deserialize)]
struct Kept {
    flow: Value,
    /// Hash of what the browser's cookie holds.
    binding: String,
}

/// A log-in that came back.
struct Returned {
    identity: Identity,
    provider: String,
    /// Who links it, if that is what it is for.
    user: Option<Uuid>,
    return_path: String,
}

fn hash(text: &str) -> Vec<u8> {
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}

fn failed() -> Failure {
    Refusal::Unknown(FAILED).into()
}

impl Platform {
    /// Providers that one can log in at.
    pub fn oauth_providers(&self) -> Vec<OauthProvider> {
        let names = self.0.config.oauth.iter();
        names.map(|(name, oauth)| OauthProvider { name: name.clone(), issuer: oauth.issuer.clone() }).collect()
    }

    fn provider(&self, name: &str) -> Outcome<&Provider> {
        let unknown = || Refusal::NotFound { what: "identity provider", id: name.chars().take(32).collect() };
        Ok(self.0.providers.get(name).ok_or_else(unknown)?)
    }

    /// Begins a log-in there; for a caller, begins to link it to their account, which takes their password.
    pub async fn oauth_start(
        &self,
        provider: &str,
        wish: &StartOauth,
        caller: Option<&Caller>,
        origin: &Origin,
        now: Now,
    ) -> Outcome<OauthStarted> {
        let at = self.provider(provider)?;
        self.take("oauth_address", &origin.place(), self.0.config.limits.login_by_address, now).await?;
        if let Some(caller) = caller {
            self.prove("password", caller, wish.password.as_ref(), now).await?;
        }
        let storable = wish.return_to.trim() == wish.return_to && wish.return_to.chars().count() <= 500;
        let (url, flow) = at.begin(if storable { &wish.return_to } else { "/" }, now.timestamp()).await?;
        let asked = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let (state, nonce) = (asked("state").unwrap_or_default(), asked("nonce").unwrap_or_default());
        let binding = opaque::random_text::<32>()?;
        let return_path = flow.return_to.clone();
        let mut kept = serde_json::to_value(&flow).unwrap_or_default();
        // It has a column of its own, and may be long.
        kept["return_to"] = "/".into();
        let kept = Kept { flow: kept, binding: BASE64URL_NOPAD.encode(&hash(&binding)) };
        let plain = serde_json::to_vec(&kept).unwrap_or_default();
        let sealed = Sealed::new(&self.0.oauth_sealer, TABLE, &state, &plain)?;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &origin.nobody()).await?;
        let sql = "INSERT INTO oauth_states (state_hash, issuer, user_id, verifier_encrypted, nonce, key_id, \
            id_token_nonce, \
            return_path, expires_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let issuer = &self.0.config.oauth[provider].issuer;
        let expires = now + self.0.config.challenge_life.0;
        let user = caller.map(|caller| caller.user);
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 9] = [
            &hash(&state),
            issuer,
            &user,
            &sealed.bytes,
            &sealed.nonce,
            &sealed.key_id,
            &nonce,
            &return_path,
            &expires,
        ];
        row::run(&transaction, sql, &values).await?;
        transaction.commit().await?;
        Ok(OauthStarted { url: url.into(), binding: Revealed::new(binding) })
    }

    /// The browser is back, with the cookie `binding`: a session, a challenge, or a linked identity.
    pub async fn oauth_callback(
        &self,
        provider: &str,
        callback: &Callback,
        binding: &str,
        origin: &Origin,
        now: Now,
    ) -> Outcome<OauthEnd> {
        let at = self.provider(provider)?;
        self.take("oauth_address", &origin.place(), self.0.config.limits.login_by_address, now).await?;
        let returned = match self.returned(at, provider, callback, binding, origin, now).await {
            // Why is for the log: who asks may be anybody.
            Err(Failure::Failed(error @ Error::Provider { .. })) => {
                tracing::info!(%error, "a log-in at an identity provider was refused");
                self.note_failure(provider, origin).await?;
                return Err(failed());
            }
            Err(Failure::Refused(refusal)) => {
                self.note_failure(provider, origin).await?;
                return Err(refusal.into());
            }
            returned => returned?,
        };
        let return_path = returned.return_path.clone();
        let answer = match returned.user {
            Some(user) => self.link_identity(user, &returned, origin, now).await?,
            None => self.enter(&returned, origin, now).await?,
        };
        Ok(OauthEnd { answer, return_path })
    }

    async fn returned(
        &self,
        at: &Provider,
        provider: &str,
        callback: &Callback,
        binding: &str,
        origin: &Origin,
        now: Now,
    ) -> Outcome<Returned> {
        let state = callback.state.as_str();
        if state.is_empty() || state.len() > 256 || binding.len() > 256 {
            return Err(failed());
        }
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &origin.nobody()).await?;
        // Taken back once, whatever comes of it.
        let sql = "DELETE FROM oauth_states WHERE state_hash = $1 RETURNING user_id, verifier_encrypted, \
            return_path, expires_time";
        let found = row::find(&transaction, sql, &[&hash(state)]).await?.ok_or_else(failed)?;
        transaction.commit().await?;
        drop(client);
        let sealed: Vec<u8> = found.try_get(1)?;
        let plain = self.0.oauth_sealer.open(TABLE, state, &sealed)?;
        let kept: Kept = serde_json::from_slice(&plain).map_err(|_| failed())?;
        let shown = BASE64URL_NOPAD.encode(&hash(binding));
        let same: bool = shown.as_bytes().ct_eq(kept.binding.as_bytes()).into();
        if !same || found.try_get::<_, Now>(3)? <= now {
            return Err(failed());
        }
        let flow: Flow = serde_json::from_value(kept.flow).map_err(|_| failed())?;
        let identity = at.finish(&flow, callback, now.timestamp()).await?;
        let (user, return_path) = (found.try_get(0)?, found.try_get(2)?);
        Ok(Returned { identity, provider: provider.to_owned(), user, return_path })
    }

    /// A trace in the platform's log.
    async fn note_failure(&self, provider: &str, origin: &Origin) -> Outcome<()> {
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &origin.nobody()).await?;
        let detail = json!({"reason": "provider", "provider": provider});
        row::event(&transaction, "session.failed", "users", None, detail).await?;
        Ok(transaction.commit().await?)
    }

    /// Forgets log-ins that never came back.
    pub(crate) async fn sweep(&self, now: Now) -> Outcome<()> {
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &Origin::default().nobody()).await?;
        row::run(&transaction, "DELETE FROM oauth_states WHERE expires_time <= $1", &[&now]).await?;
        Ok(transaction.commit().await?)
    }
}
