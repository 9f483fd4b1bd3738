//! Tokens that are good, and every kind of one that is not.

use data_encoding::BASE64URL_NOPAD;
use model::humane::Span;
use ring::hmac;
use serde_json::{Value, json};

use super::*;
use crate::permission::Permission;

const NOW: i64 = 1_800_000_000;

fn config() -> Config {
    Config {
        access_token_life: Span::from_millis(600_000),
        signing_key_life: Span::from_millis(86_400_000),
        ..Config::default()
    }
}

fn key(n: u8, made_s: i64, retired_s: Option<i64>) -> StoredKey {
    let stored = StoredKey { kid: String::new(), seed: vec![n; 32], made_s, retired_s };
    let kid = Key::new(stored.clone()).unwrap().jwk.kid.unwrap();
    StoredKey { kid, ..stored }
}

fn set(keys: Vec<StoredKey>) -> KeySet {
    KeySet::new(&config(), keys).unwrap()
}

fn subject() -> Subject {
    Subject {
        user: Uuid::from_u128(1),
        membership: Some((Uuid::from_u128(2), Role::Trader)),
        session: Uuid::from_u128(3),
        scope: None,
        is_operator: false,
    }
}

/// A token with another header and other claims, signed by the right key.
fn forged(key: &StoredKey, header: Value, change: impl FnOnce(&mut Value)) -> String {
    let (_, claims) = set(vec![key.clone()]).sign(&subject(), NOW).unwrap();
    let mut claims = serde_json::to_value(claims).unwrap();
    change(&mut claims);
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let input = format!("{}.{}", part(&header), part(&claims));
    let pair = Ed25519KeyPair::from_seed_unchecked(&key.seed).unwrap();
    format!("{input}.{}", BASE64URL_NOPAD.encode(pair.sign(input.as_bytes()).as_ref()))
}

fn header(key: &StoredKey) -> Value {
    json!({"alg": "EdDSA", "kid": key.kid, "typ": "at+jwt"})
}

#[test]
fn what_was_signed_is_what_is_read() {
    let keys = set(vec![key(1, NOW, None)]);
    let (token, claims) = keys.sign(&subject(), NOW).unwrap();
    assert_eq!(keys.verify(&token, NOW).unwrap(), claims);
    assert_eq!(keys.verify(&token, NOW + 599).unwrap(), claims);
    assert_eq!(keys.verify(&token, NOW + 600), Err(Refusal::Expired));
    assert_eq!(keys.verify(&token, NOW - 5).unwrap(), claims, "another instance's clock");
    assert_eq!(keys.verify(&token, NOW - 6), Err(Refusal::NotYet));
    assert!(token.len() < 700, "{} bytes", token.len());
}

#[test]
fn a_role_allows_and_a_scope_narrows() {
    let keys = set(vec![key(1, NOW, None)]);
    let permissions = |subject: Subject| keys.sign(&subject, NOW).unwrap().1.permissions();
    assert_eq!(permissions(subject()), Role::Trader.permissions());
    let scope: Permissions = [Permission::BidsRead, Permission::SqlQuery].into_iter().collect();
    assert_eq!(permissions(Subject { scope: Some(scope), ..subject() }).to_string(), "bids.read");
    let operator = Subject { membership: None, is_operator: true, ..subject() };
    assert_eq!(permissions(operator), Permissions::NONE);
}

#[test]
fn every_forgery_has_its_reason_and_all_sound_alike() {
    let (ours, other) = (key(1, NOW, None), key(2, NOW, None));
    let keys = set(vec![ours.clone()]);
    let good = keys.sign(&subject(), NOW).unwrap().0;
    let parts: Vec<&str> = good.split('.').collect();
    let with = |name: &str, value: Value| {
        let mut header = header(&ours);
        header[name] = value;
        forged(&ours, header, |_| {})
    };
    let claim = |name: &str, value: Value| forged(&ours, header(&ours), |claims| claims[name] = value);
    let none = BASE64URL_NOPAD.encode(br#"{"alg":"none","typ":"at+jwt"}"#);
    // The public key as the secret of an HMAC: the classic confusion.
    let public = keys.keys[0].pair.public_key().as_ref();
    let hs = BASE64URL_NOPAD.encode(json!({"alg":"HS256","kid":ours.kid,"typ":"at+jwt"}).to_string().as_bytes());
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, public), format!("{hs}.{}", parts[1]).as_bytes());
    let attacks = [
        (format!("{none}.{}.", parts[1]), Refusal::Algorithm),
        (format!("{none}.{}", parts[1]), Refusal::Malformed),
        (format!("{hs}.{}.{}", parts[1], BASE64URL_NOPAD.encode(tag.as_ref())), Refusal::Algorithm),
        (with("alg", json!("eddsa")), Refusal::Algorithm),
        (with("alg", json!("RS256")), Refusal::Algorithm),
        (with("typ", json!("JWT")), Refusal::Type),
        (with("crit", json!(["exp"])), Refusal::Malformed),
        (with("kid", json!("../../etc/passwd")), Refusal::UnknownKey),
        (with("kid", Value::Null), Refusal::UnknownKey),
        (forged(&other, header(&other), |_| {}), Refusal::UnknownKey),
        (forged(&other, header(&ours), |_| {}), Refusal::Signature),
        (format!("{}.{}.{}", parts[0], parts[1], "A".repeat(86)), Refusal::Signature),
        (format!("{}.{}.", parts[0], parts[1]), Refusal::Signature),
        (claim("iss", json!("evil")), Refusal::Issuer),
        (claim("aud", json!("other-api")), Refusal::Audience),
        (claim("aud", json!(["optibid-api", "other-api"])), Refusal::Claims),
        (claim("exp", json!(NOW)), Refusal::Expired),
        (claim("exp", json!("tomorrow")), Refusal::Claims),
        (claim("nbf", json!(NOW + 6)), Refusal::NotYet),
        (claim("iat", json!(NOW + 600)), Refusal::NotYet),
        (claim("role", json!("root")), Refusal::Claims),
        (claim("sub", Value::Null), Refusal::Claims),
        (claim("jti", json!("x".repeat(4_096))), Refusal::TooLarge),
        (format!("{good}."), Refusal::Malformed),
        (format!("{good}="), Refusal::Malformed),
        (format!(" {good}"), Refusal::Malformed),
        (String::new(), Refusal::Malformed),
        ("..".to_owned(), Refusal::Malformed),
        ("é.é.é".to_owned(), Refusal::Malformed),
    ];
    for (token, refusal) in attacks {
        assert_eq!(keys.verify(&token, NOW), Err(refusal), "{token}");
        assert_eq!(refusal.to_string(), "the access token is not valid");
    }
    assert!(keys.verify(&good, NOW).is_ok());
}

#[test]
fn any_changed_character_is_seen() {
    let keys = set(vec![key(1, NOW, None)]);
    let good = keys.sign(&subject(), NOW).unwrap().0;
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(keys.verify(&String::from_utf8(bytes).unwrap(), NOW).is_err(), "character {at}");
    }
}

#[test]
fn keys_take_turns_and_die_with_their_last_token() {
    let first = key(1, NOW - 86_400, None);
    let before = set(vec![first.clone()]);
    assert!(before.is_due(NOW) && !before.is_due(NOW - 1));
    let token = before.sign(&subject(), NOW).unwrap().0;
    let after = set(vec![StoredKey { retired_s: Some(NOW), ..first.clone() }, key(2, NOW, None)]);
    assert!(!after.is_due(NOW));
    assert!(after.verify(&token, NOW + 599).is_ok());
    let new = after.sign(&subject(), NOW).unwrap().0;
    assert_eq!(before.verify(&new, NOW), Err(Refusal::UnknownKey), "who has not heard of it asks for the keys again");
    assert_eq!(after.jwks(NOW + 609).keys.len(), 2);
    assert_eq!(after.jwks(NOW + 610).keys.len(), 1);
    assert_eq!(after.dead(NOW + 610), [first.kid.as_str()]);
    assert_eq!(after.verify(&token, NOW + 610), Err(Refusal::UnknownKey));
    assert!(matches!(set(vec![]).sign(&subject(), NOW), Err(Error::NoSigningKey)));
    assert!(set(vec![]).is_due(NOW));
}

#[test]
fn a_published_key_verifies_and_gives_nothing_away() {
    let keys = set(vec![StoredKey::new(NOW).unwrap()]);
    let jwks = serde_json::to_string(&keys.jwks(NOW)).unwrap();
    assert!(!jwks.contains("\"d\""), "{jwks}");
    let read: JwkSet = serde_json::from_str(&jwks).unwrap();
    let token = keys.sign(&subject(), NOW).unwrap().0;
    let public = PublicKey::from_jwk(&read.keys[0]).unwrap();
    assert!(jws::parse(&token).unwrap().verified(&public).is_some());
    let renamed = StoredKey { kid: "x".into(), ..key(1, NOW, None) };
    assert!(KeySet::new(&config(), vec![renamed]).is_err(), "a row put under another name");
    assert!(!format!("{:?} {:?}", keys, key(1, NOW, None)).contains("seed"));
}
