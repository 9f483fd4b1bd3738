//! Access tokens: JWTs signed with Ed25519, good for minutes, verified without asking anybody.
//!
//! ```text
//! made ──── signs ────► retired ── verifies what it signed ──► dead       each key; the next one signs meanwhile
//!           signing_key_life          access_token_life
//! ```
//!
//! The key set is a value: whoever keeps keys (sealed, in Postgres) builds a new one when one is added or retired,
//! and swaps it in. `typ` is `at+jwt` (RFC 9068), so that no other token signed by us passes for one of these.

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::jws::{self, Header, Jwk, JwkSet, PublicKey};
use crate::permission::{Permissions, Role};
use crate::{Config, Error};

/// Bytes of a token at most. Ours have about 600.
pub const MAX_BYTES: usize = 4_096;
/// How far the clocks of two instances may differ.
const LEEWAY_S: i64 = 5;
const TYPE: &str = "at+jwt";
const ALGORITHM: &str = "EdDSA";

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who signed.
    pub iss: String,
    /// For whom.
    pub aud: String,
    /// The user.
    pub sub: Uuid,
    /// The organisation that the user works in now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<Uuid>,
    /// What the user is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The session, which can be ended before the token does.
    pub sid: Uuid,
    /// Less than the role allows, if the token is for less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Permissions>,
    /// Whether the user runs the platform itself. Gives no permission inside any organisation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_operator: bool,
    /// Issued, in seconds since 1970.
    pub iat: i64,
    /// Not good before.
    pub nbf: i64,
    /// Not good from here on.
    pub exp: i64,
    /// The token itself.
    pub jti: Uuid,
}

/// Who a new token is for; the rest of the claims is the key set's business.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The user.
    pub user: Uuid,
    /// Organisation and role there.
    pub membership: Option<(Uuid, Role)>,
    /// The session.
    pub session: Uuid,
    /// Less than the role allows.
    pub scope: Option<Permissions>,
    /// Whether the user runs the platform.
    pub is_operator: bool,
}

/// A private key as it is kept: seal [`StoredKey::seed`].
#[derive(Clone)]
pub struct StoredKey {
    /// Name, made of the public key.
    pub kid: String,
    /// 32 bytes that the key is made of.
    pub seed: Vec<u8>,
    /// When it began to sign, in seconds.
    pub made_s: i64,
    /// When it stopped.
    pub retired_s: Option<i64>,
}

struct Key {
    stored: StoredKey,
    pair: Ed25519KeyPair,
    public: PublicKey,
    jwk: Jwk,
}

/// All keys that sign or still verify.
pub struct KeySet {
    issuer: String,
    audience: String,
    token_life_s: i64,
    key_life_s: i64,
    keys: Vec<Key>,
}

/// Why a token was refused. `Display` is what may be said aloud, the same for all; [`Refusal::reason`] is for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "`reason` says it")]
pub enum Refusal {
    TooLarge,
    Malformed,
    Algorithm,
    Type,
    UnknownKey,
    Signature,
    Claims,
    Issuer,
    Audience,
    NotYet,
    Expired,
}

impl std::fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredKey({}, ***)", self.kid)
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kids: Vec<&str> = self.keys.iter().map(|key| key.stored.kid.as_str()).collect();
        f.debug_struct("KeySet").field("issuer", &self.issuer).field("keys", &kids).finish_non_exhaustive()
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the access token is not valid")
    }
}

impl Refusal {
    /// For logs and metrics, never for an answer.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooLarge => "larger than any of ours",
            Self::Malformed => "no signed token",
            Self::Algorithm => "signed by an algorithm that we do not use",
            Self::Type => "another kind of token",
            Self::UnknownKey => "signed by a key that we do not know, or no longer",
            Self::Signature => "the signature is wrong",
            Self::Claims => "claims are missing or of another kind",
            Self::Issuer => "of another issuer",
            Self::Audience => "for another audience",
            Self::NotYet => "not yet valid",
            Self::Expired => "expired",
        }
    }
}

impl Claims {
    /// What the caller may do in the organisation of the token.
    pub fn permissions(&self) -> Permissions {
        let Some(role) = self.role.filter(|_| self.org.is_some()) else { return Permissions::NONE };
        self.scope.map_or(role.permissions(), |scope| scope.and(role.permissions()))
    }
}

impl StoredKey {
    /// A new key that signs from now on.
    pub fn new(now_s: i64) -> Result<Self, Error> {
        let mut seed = vec![0; 32];
        SystemRandom::new().fill(&mut seed)?;
        let key = Key::new(Self { kid: String::new(), seed, made_s: now_s, retired_s: None })?;
        let kid = key.jwk.kid.clone().unwrap_or_default();
        Ok(Self { kid, ..key.stored })
    }
}

impl Key {
    fn new(stored: StoredKey) -> Result<Self, Error> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&stored.seed)
            .map_err(|_| Error::Config(format!("signing key {} has no 32 bytes", stored.kid)))?;
        let bytes = pair.public_key().as_ref().to_vec();
        let jwk = PublicKey::ed25519_jwk(&bytes);
        if !stored.kid.is_empty() && jwk.kid.as_deref() != Some(&stored.kid) {
            return Err(Error::Config(format!("signing key {} is not the key of that name", stored.kid)));
        }
        Ok(Self { public: PublicKey::Ed25519(bytes), pair, jwk, stored })
    }
}

impl KeySet {
    /// Keys in any order.
    pub fn new(config: &Config, keys: Vec<StoredKey>) -> Result<Self, Error> {
        Ok(Self {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            token_life_s: config.access_token_life.millis_i64() / 1_000,
            key_life_s: config.signing_key_life.millis_i64() / 1_000,
            keys: keys.into_iter().map(Key::new).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a new key should be made and the current one retired.
    pub fn is_due(&self, now_s: i64) -> bool {
        self.current().is_none_or(|key| now_s >= key.stored.made_s.saturating_add(self.key_life_s))
    }

    /// Keys whose last token has died: their rows may go.
    pub fn dead(&self, now_s: i64) -> Vec<&str> {
        self.keys.iter().filter(|key| !self.lives(key, now_s)).map(|key| key.stored.kid.as_str()).collect()
    }

    /// A token, and the claims in it.
    pub fn sign(&self, subject: &Subject, now_s: i64) -> Result<(String, Claims), Error> {
        let key = self.current().ok_or(Error::NoSigningKey)?;
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: subject.user,
            org: subject.membership.map(|(org, _)| org),
            role: subject.membership.map(|(_, role)| role),
            sid: subject.session,
            scope: subject.scope,
            is_operator: subject.is_operator,
            iat: now_s,
            nbf: now_s,
            exp: now_s.saturating_add(self.token_life_s),
            jti: Uuid::new_v4(),
        };
        let header = Header::new(ALGORITHM, &key.stored.kid, TYPE);
        let token = jws::signed(&header, &claims, |message| key.pair.sign(message).as_ref().to_vec());
        Ok((token, claims))
    }

    /// What a token says, if we signed it, for us, and it is good now. Whether its session still lives is another
    /// question: see [`crate::limit`].
    pub fn verify(&self, token: &str, now_s: i64) -> Result<Claims, Refusal> {
        if token.len() > MAX_BYTES {
            return Err(Refusal::TooLarge);
        }
        let parts = jws::parse(token).ok_or(Refusal::Malformed)?;
        if parts.header.alg != ALGORITHM {
            return Err(Refusal::Algorithm);
        }
        if parts.header.typ.as_deref() != Some(TYPE) {
            return Err(Refusal::Type);
        }
        let kid = parts.header.kid.as_deref().ok_or(Refusal::UnknownKey)?;
        let known = self.keys.iter().find(|key| key.stored.kid == kid && self.lives(key, now_s));
        let payload = parts.verified(&known.ok_or(Refusal::UnknownKey)?.public).ok_or(Refusal::Signature)?;
        let claims: Claims = serde_json::from_slice(payload).map_err(|_| Refusal::Claims)?;
        if claims.iss != self.issuer {
            return Err(Refusal::Issuer);
        }
        if claims.aud != self.audience {
            return Err(Refusal::Audience);
        }
        if claims.nbf.max(claims.iat) > now_s.saturating_add(LEEWAY_S) {
            return Err(Refusal::NotYet);
        }
        if claims.exp <= now_s {
            return Err(Refusal::Expired);
        }
        Ok(claims)
    }

    /// Public keys, for `/.well-known/jwks.json`.
    pub fn jwks(&self, now_s: i64) -> JwkSet {
        JwkSet { keys: self.keys.iter().filter(|key| self.lives(key, now_s)).map(|key| key.jwk.clone()).collect() }
    }

    fn current(&self) -> Option<&Key> {
        self.keys.iter().filter(|key| key.stored.retired_s.is_none()).max_by_key(|key| key.stored.made_s)
    }

    /// A retired key verifies until the last token that it may have signed has died.
    fn lives(&self, key: &Key, now_s: i64) -> bool {
        let slack_s = self.token_life_s.saturating_add(2 * LEEWAY_S);
        key.stored.retired_s.is_none_or(|retired_s| now_s < retired_s.saturating_add(slack_s))
    }
}

#[cfg(test)]
mod tests;
