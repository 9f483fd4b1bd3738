//! What of an id_token must be right (OpenID Connect Core 3.1.3.7).

use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::Identity;
use crate::jws::{self, JwkSet, PublicKey};

/// Bytes at most: providers put more into theirs than we do.
const MAX_BYTES: usize = 16_384;
/// How far a provider's clock may differ from ours.
const LEEWAY_S: i64 = 60;
const MAX_SUBJECT: usize = 255;

/// What the token must say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now_s: i64,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nonce: Option<String>,
    email: Option<String>,
    #[serde(default)]
    email_verified: Verified,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Some providers write `"true"`.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Verified {
    #[default]
    Unsaid,
    Said(bool),
    Written(String),
}

/// Which key a token names.
pub(super) fn kid(token: &str) -> Option<String> {
    if token.len() > MAX_BYTES { None } else { jws::parse(token)?.header.kid }
}

/// Who the token is about, or what is wrong with it.
pub(super) fn verify(token: &str, keys: &JwkSet, expected: &Expected<'_>) -> Result<Identity, &'static str> {
    if token.len() > MAX_BYTES {
        return Err("the id_token is too large");
    }
    let parts = jws::parse(token).ok_or("the id_token is no signed token")?;
    if jws::Algorithm::named(&parts.header.alg).is_none() {
        return Err("the id_token is signed by no algorithm that we take");
    }
    let kid = &parts.header.kid;
    let named = keys.keys.iter().filter(|key| kid.is_none() || key.kid == *kid);
    // A key that says what it is for is for nothing else.
    let fitting = named.filter(|key| key.alg.as_ref().is_none_or(|alg| *alg == parts.header.alg));
    let payload = fitting
        .filter_map(PublicKey::from_jwk)
        .find_map(|key| parts.verified(&key))
        .ok_or("the id_token is signed by none of its keys")?;
    let claims: Claims = serde_json::from_slice(payload).map_err(|_| "the id_token lacks claims")?;
    check(&claims, expected)?;
    let email_verified = match claims.email_verified {
        Verified::Unsaid => false,
        Verified::Said(said) => said,
        Verified::Written(text) => text == "true",
    };
    Ok(Identity {
        issuer: claims.iss,
        subject: claims.sub,
        email_verified: email_verified && claims.email.is_some(),
        email: claims.email,
        name: claims.name,
    })
}

fn check(claims: &Claims, expected: &Expected<'_>) -> Result<(), &'static str> {
    if claims.iss != expected.issuer {
        return Err("the id_token is of another issuer");
    }
    let (ours, others) = match &claims.aud {
        Audience::One(one) => (one == expected.client_id, false),
        Audience::Many(many) => (many.iter().any(|aud| aud == expected.client_id), many.len() > 1),
    };
    if !ours {
        return Err("the id_token is for another client");
    }
    let party = claims.azp.as_deref();
    if party.is_some_and(|azp| azp != expected.client_id) || others && party.is_none() {
        return Err("the id_token was asked for by another client");
    }
    if claims.exp.saturating_add(LEEWAY_S) <= expected.now_s {
        return Err("the id_token has expired");
    }
    if claims.iat > expected.now_s.saturating_add(LEEWAY_S) {
        return Err("the id_token is from the future");
    }
    let nonce = claims.nonce.as_deref().unwrap_or_default();
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err("the id_token is of another log-in");
    }
    if claims.sub.is_empty() || claims.sub.len() > MAX_SUBJECT {
        return Err("the id_token names nobody");
    }
    Ok(())
}
