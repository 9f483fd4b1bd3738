//! Access tokens that were forged, are old, of others, or no tokens at all.

use data_encoding::BASE64URL_NOPAD;
use platform::identity::Credential;
use platform::identity::session::Tokens;
use platform::refusal::Refusal;
use platform::token::{KeySet, StoredKey, Subject};
use serde_json::{Value, json};
use uuid::Uuid;

use super::stage::{Stage, origin, stage, staged};
use crate::world::refused;

fn part(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

fn read(part: &str) -> Value {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
}

/// A token with other header or claims, and the signature as it was.
fn changed(tokens: &Tokens, header: impl Fn(&mut Value), claims: impl Fn(&mut Value)) -> String {
    let parts: Vec<&str> = tokens.access_token.expose().split('.').collect();
    let (mut head, mut body) = (read(parts[0]), read(parts[1]));
    header(&mut head);
    claims(&mut body);
    format!("{}.{}.{}", part(&head), part(&body), parts[2])
}

async fn all_refused(stage: &Stage, tokens: Vec<(&str, String)>) {
    let mut texts = std::collections::BTreeSet::new();
    for (what, token) in tokens {
        for credential in [Credential::Bearer(&token), Credential::ApiKey(&token)] {
            let refusal = refused(stage.platform.identify(credential, &origin(), stage.now).await);
            assert!(matches!(refusal, Refusal::Unknown(_)), "{what}");
            texts.insert(refusal.to_string());
        }
    }
    assert_eq!(texts.len(), 1, "one text for all reasons: {texts:?}");
}

#[tokio::test]
async fn what_we_did_not_sign_is_refused() {
    let mut stage = stage("forged").await;
    let (tokens, _) = stage.somebody("ada@example.org").await;
    let good = tokens.access_token.expose();
    let unsigned = good.rsplit_once('.').unwrap().0;
    let same = |_: &mut Value| {};
    let set = |name: &'static str, value: Value| move |json: &mut Value| json[name] = value.clone();
    let jwks = serde_json::to_value(stage.platform.jwks(stage.now).await.unwrap()).unwrap();
    let refresh = tokens.refresh_token.as_ref().unwrap().expose().to_owned();
    all_refused(
        &stage,
        vec![
            ("alg none", format!("{}.", changed(&tokens, set("alg", json!("none")), same).rsplit_once('.').unwrap().0)),
            ("alg None", changed(&tokens, set("alg", json!("None")), same)),
            ("alg HS256", changed(&tokens, set("alg", json!("HS256")), same)),
            ("alg RS256", changed(&tokens, set("alg", json!("RS256")), same)),
            ("no alg", changed(&tokens, |head| drop(head.as_object_mut().unwrap().remove("alg")), same)),
            ("another type", changed(&tokens, set("typ", json!("JWT")), same)),
            ("another key", changed(&tokens, set("kid", json!("../../etc/passwd")), same)),
            (
                "key in the header",
                changed(&tokens, set("jwk", jwks["keys"][0].clone()), set("is_operator", json!(true))),
            ),
            ("key elsewhere", changed(&tokens, set("jku", json!("https://evil.example/keys")), same)),
            ("critical", changed(&tokens, set("crit", json!(["exp"])), same)),
            ("another user", changed(&tokens, same, set("sub", json!(stage.world.a.admin.user)))),
            ("another organisation", changed(&tokens, same, set("org", json!(stage.world.a.id)))),
            ("an operator", changed(&tokens, same, set("is_operator", json!(true)))),
            ("for longer", changed(&tokens, same, set("exp", json!(i64::MAX)))),
            ("no signature", format!("{unsigned}.")),
            ("cut", good[..good.len() - 4].to_owned()),
            ("longer", format!("{good}AAAA")),
            ("empty", String::new()),
            ("dots", "..".to_owned()),
            ("huge", "x".repeat(1_000_000)),
            ("a refresh token", refresh),
            ("not ASCII", "ü.é.ß".to_owned()),
            ("an API key's form", format!("obk_abcdefgh_{}", "A".repeat(43))),
        ],
    )
    .await;
    stage.identify(good).await.unwrap();
}

#[tokio::test]
async fn what_others_signed_or_we_for_others_is_refused() {
    let mut stage = stage("foreign").await;
    let (_, caller) = stage.somebody("ada@example.org").await;
    let subject = Subject {
        user: caller.user,
        membership: None,
        session: caller.session().unwrap(),
        scope: None,
        is_operator: true,
    };
    let now_s = stage.now.timestamp();
    let sign = |config: &platform::Config, key: StoredKey| {
        KeySet::new(config, vec![key]).unwrap().sign(&subject, now_s).unwrap().0
    };
    // Somebody else's key, with everything else right; and our own key in another platform's hands.
    let stranger = sign(&stage.config, StoredKey::new(now_s).unwrap());
    let ours = StoredKey { kid: String::new(), seed: seed(&stage).await, made_s: now_s, retired_s: None };
    let named = |mut config: platform::Config| {
        config.audience = "another-api".into();
        config
    };
    let issued = |mut config: platform::Config| {
        config.issuer = "another".into();
        config
    };
    let kid = stage.platform.jwks(stage.now).await.unwrap().keys[0].kid.clone().unwrap();
    let ours = StoredKey { kid, ..ours };
    sign(&stage.config, ours.clone());
    all_refused(
        &stage,
        vec![
            ("a stranger's key", stranger),
            ("for another audience", sign(&named(stage.config.clone()), ours.clone())),
            ("of another issuer", sign(&issued(stage.config.clone()), ours.clone())),
        ],
    )
    .await;
    stage.identify(&sign(&stage.config, ours.clone())).await.unwrap();
    // Signed well, of a session that there never was: only who holds our key could; the register of ends does not know it.
    let future = KeySet::new(&stage.config, vec![ours.clone()]).unwrap().sign(&subject, now_s + 60).unwrap().0;
    let past = KeySet::new(&stage.config, vec![ours]).unwrap().sign(&subject, now_s - 600).unwrap().0;
    all_refused(&stage, vec![("from the future", future), ("expired", past)]).await;
}

/// The seed of our key, opened with the master key of the configuration.
async fn seed(stage: &Stage) -> Vec<u8> {
    let row = stage.world.root.query_one("SELECT kid, private_key_encrypted FROM signing_keys", &[]).await.unwrap();
    let (kid, sealed): (String, Vec<u8>) = (row.get(0), row.get(1));
    stage.platform.sealer("signing").open("signing_keys", &kid, &sealed).unwrap()
}

#[tokio::test]
async fn a_token_ends_to_the_second() {
    let mut stage = staged("expired", |config| config.access_token_life = "1m".parse().unwrap()).await;
    let (tokens, _) = stage.somebody("ada@example.org").await;
    stage.pass(59);
    stage.caller(&tokens).await;
    stage.pass(1);
    all_refused(&stage, vec![("expired", tokens.access_token.expose().to_owned())]).await;
}

#[tokio::test]
async fn requests_are_counted_by_caller_or_by_address() {
    let mut stage = staged("admit", |config| {
        config.limits.requests_by_caller = "2/1m".parse().unwrap();
        config.limits.requests_by_address = "1/1m".parse().unwrap();
    })
    .await;
    let (_, ada) = stage.somebody("ada@example.org").await;
    let (_, bob) = stage.somebody("bob@example.org").await;
    for caller in [&ada, &bob] {
        for _ in 0..2 {
            stage.platform.admit(Some(caller), &origin(), stage.now).await.unwrap();
        }
        assert!(matches!(
            refused(stage.platform.admit(Some(caller), &origin(), stage.now).await),
            Refusal::TooOften { .. }
        ));
    }
    stage.platform.admit(None, &origin(), stage.now).await.unwrap();
    assert!(stage.platform.admit(None, &origin(), stage.now).await.is_err());
    assert_ne!(ada.user, Uuid::nil());
}
