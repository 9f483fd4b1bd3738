//! Signatures made by others: `vectors.json` is of Python's cryptography (OpenSSL), the rest of RFC 8037.

use serde_json::Value;

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn key(vector: &Value) -> Option<PublicKey> {
    PublicKey::from_jwk(&serde_json::from_value(vector["jwk"].clone()).unwrap())
}

#[test]
fn signatures_of_another_library_are_good_for_their_own_key_alone() {
    let vectors = vectors();
    let good = vectors["good"].as_array().unwrap();
    assert_eq!(good.len(), 9);
    for vector in good {
        let token = vector["token"].as_str().unwrap();
        let parts = parse(token).unwrap();
        assert_eq!(parts.header.alg, vector["alg"].as_str().unwrap());
        assert_eq!(parts.verified(&key(vector).unwrap()).unwrap(), br#"{"hello":"world"}"#);
        for other in good.iter().filter(|other| other["jwk"] != vector["jwk"]) {
            assert!(parts.verified(&key(other).unwrap()).is_none(), "{} by {}", vector["alg"], other["alg"]);
        }
        let payload = format!(".{}.", BASE64URL.encode(br#"{"hello":"World"}"#));
        let mut changed = token.split('.');
        let (head, _, tag) = (changed.next().unwrap(), changed.next(), changed.next().unwrap());
        assert!(parse(&format!("{head}{payload}{tag}")).unwrap().verified(&key(vector).unwrap()).is_none());
    }
}

#[test]
fn weak_and_unknown_keys_are_no_keys() {
    assert!(key(&vectors()["weak"]).is_none(), "RSA of 1024 bits");
    let none = |jwk: &str| PublicKey::from_jwk(&serde_json::from_str(jwk).unwrap()).is_none();
    assert!(none(r#"{"kty":"oct","k":"c2VjcmV0"}"#));
    assert!(none(r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#));
    assert!(none(r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#));
    assert!(none(r#"{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#));
    assert!(none(r#"{"kty":"OKP","crv":"Ed25519","use":"enc","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#));
    assert!(none("{}"));
}

#[test]
fn rfc_8037_is_signed_named_and_verified_as_printed() {
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
                 hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let x = BASE64URL.decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    let jwk = PublicKey::ed25519_jwk(&x);
    assert_eq!(jwk.kid.as_deref(), Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
    let key = PublicKey::from_jwk(&jwk).unwrap();
    assert_eq!(parse(token).unwrap().verified(&key).unwrap(), b"Example of Ed25519 signing");
}

#[test]
fn what_is_no_token_is_not_parsed() {
    for bad in ["", ".", "..", "a.b.c", "e30.e30.e30", "eyJhbGciOiJFZERTQSJ9", "eyJhbGciOiJFZERTQSJ9.e30", "é.é.é"] {
        assert!(parse(bad).is_none(), "{bad:?}");
    }
    let twice = BASE64URL.encode(br#"{"alg":"EdDSA","alg":"none"}"#);
    assert!(parse(&format!("{twice}.e30.")).is_none(), "a name twice");
    assert_eq!(Algorithm::named("none"), None);
    assert_eq!(Algorithm::named("HS256"), None);
}
