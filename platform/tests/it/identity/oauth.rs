//! Log-in at another issuer: whose account it is, and everything that is no log-in.

use model::humane::Secret;
use platform::config::Oauth;
use platform::identity::Caller;
use platform::identity::oauth::{OauthAnswer, OauthEnd, OauthStarted, StartOauth};
use platform::identity::session::Tokens;
use platform::oidc::Callback;
use platform::refusal::{Outcome, Refusal};
use serde_json::{Value, json};

use super::issuer::Issuer;
use super::stage::{PASSWORD, Stage, origin, staged, wish};
use crate::world::{conflict, refused};

async fn stage(test: &str) -> (Stage, Issuer) {
    let issuer = Issuer::start().await;
    let address = issuer.address();
    let stage = staged(test, |config| {
        let oauth = Oauth {
            issuer: address,
            client_id: "optibid".into(),
            client_secret: Secret::new("shared secret"),
            scopes: vec!["email".into(), "profile".into()],
            trusted_network: true,
        };
        config.oauth.insert("corporate".into(), oauth);
    })
    .await;
    (stage, issuer)
}

async fn start(stage: &Stage, caller: Option<&Caller>, return_to: &str) -> Outcome<OauthStarted> {
    let wish: StartOauth = wish(json!({"return_to": return_to, "password": PASSWORD}));
    stage.platform.oauth_start("corporate", &wish, caller, &origin(), stage.now).await
}

async fn back(stage: &Stage, callback: &Callback, binding: &str) -> Outcome<OauthEnd> {
    stage.platform.oauth_callback("corporate", callback, binding, &origin(), stage.now).await
}

/// There and back.
async fn login(stage: &Stage, issuer: &Issuer, caller: Option<&Caller>) -> Outcome<OauthAnswer> {
    let started = start(stage, caller, "/profile").await?;
    Ok(back(stage, &issuer.browse(&started.url), started.binding.expose()).await?.answer)
}

fn tokens(answer: OauthAnswer) -> Tokens {
    match answer {
        OauthAnswer::SignedIn(tokens) => tokens,
        other => panic!("no session: {other:?}"),
    }
}

fn person(subject: &str, email: &str, verified: bool) -> Value {
    json!({"sub": subject, "email": email, "email_verified": verified, "name": "Ada Lovelace"})
}

#[tokio::test]
async fn a_newcomer_has_an_account_and_comes_back_to_it() {
    let (stage, issuer) = stage("newcomer").await;
    issuer.person(person("1", "Ada@Example.org", true));
    let first = tokens(login(&stage, &issuer, None).await.unwrap());
    let caller = stage.caller(&first).await;
    assert_eq!(caller.organisation, None);
    let me = stage.platform.me(&caller).await.unwrap();
    assert_eq!((me.email.as_str(), me.email_verified, me.has_password), ("ada@example.org", true, false));
    // The address changes there: it is the subject who comes back.
    issuer.person(person("1", "ada@elsewhere.example", false));
    let second = tokens(login(&stage, &issuer, None).await.unwrap());
    assert_eq!(stage.caller(&second).await.user, caller.user);
    assert_eq!(stage.world.count("SELECT count(*) FROM oauth_identities").await, 1);
    assert_eq!(stage.world.count("SELECT count(*) FROM oauth_states").await, 0);
    // Without a password, just logged in: a second factor, and an organisation.
    stage.platform.enrol_mfa(&caller, &wish(json!({})), stage.now).await.unwrap();
    stage.platform.found_organisation(&caller, &wish(json!({"name": "Own"})), stage.now).await.unwrap();
    let identity = me.identities[0].id;
    assert_eq!(conflict(stage.platform.unlink_identity(&caller, identity).await).0, "last_way_in");
}

#[tokio::test]
async fn an_address_joins_accounts_only_when_it_is_proved_on_both_sides() {
    let (mut stage, issuer) = stage("joins").await;
    let (_, ada) = stage.somebody("ada@example.org").await;
    issuer.person(person("1", "ada@example.org", false));
    assert!(matches!(refused(login(&stage, &issuer, None).await), Refusal::Forbidden(_)), "not proved there");
    issuer.person(json!({"sub": "1", "name": "No address"}));
    assert!(matches!(refused(login(&stage, &issuer, None).await), Refusal::Forbidden(_)));
    // Somebody registered here with an address that is not theirs.
    stage.platform.register(&Stage::registration("victim@example.org"), &origin(), stage.now).await.unwrap();
    stage.letter().await;
    issuer.person(person("2", "victim@example.org", true));
    assert_eq!(conflict(login(&stage, &issuer, None).await).0, "email_unverified");
    assert_eq!(stage.world.count("SELECT count(*) FROM oauth_identities").await, 0);
    issuer.person(person("1", "ada@example.org", true));
    let joined = tokens(login(&stage, &issuer, None).await.unwrap());
    assert_eq!(stage.caller(&joined).await.user, ada.user);
    let letter = stage.letter().await;
    assert!(letter.to == ["ada@example.org"] && letter.text().contains("one can log in to your OptiBid account"));
    // And who is shut out there stays shut out here.
    stage.execute(&format!("UPDATE users SET disabled_time = now() WHERE id = '{}'", ada.user)).await;
    assert!(matches!(refused(login(&stage, &issuer, None).await), Refusal::Unknown(_)));
}

#[tokio::test]
async fn one_links_a_log_in_and_takes_it_away() {
    let (mut stage, issuer) = stage("links").await;
    let (_, ada) = stage.somebody("ada@example.org").await;
    let (_, eve) = stage.somebody("eve@example.org").await;
    issuer.person(person("7", "private@elsewhere.example", false));
    let no_password: StartOauth = wish(json!({"return_to": "/", "password": "wrong"}));
    assert!(stage.platform.oauth_start("corporate", &no_password, Some(&ada), &origin(), stage.now).await.is_err());
    let OauthAnswer::Linked(linked) = login(&stage, &issuer, Some(&ada)).await.unwrap() else { panic!("not linked") };
    assert_eq!(linked.email.as_deref(), Some("private@elsewhere.example"));
    assert!(matches!(login(&stage, &issuer, Some(&ada)).await.unwrap(), OauthAnswer::Linked(_)), "twice is once");
    assert_eq!(conflict(login(&stage, &issuer, Some(&eve)).await).0, "identity_taken");
    let there = tokens(login(&stage, &issuer, None).await.unwrap());
    assert_eq!(stage.caller(&there).await.user, ada.user);
    assert!(matches!(refused(stage.platform.unlink_identity(&eve, linked.id).await), Refusal::NotFound { .. }));
    stage.platform.unlink_identity(&ada, linked.id).await.unwrap();
    assert!(stage.platform.me(&ada).await.unwrap().identities.is_empty());
    assert!(matches!(refused(login(&stage, &issuer, None).await), Refusal::Forbidden(_)), "nobody's any more");
}

#[tokio::test]
async fn a_second_factor_is_asked_for_here_too() {
    let (mut stage, issuer) = stage("factor").await;
    let (_, ada) = stage.somebody("ada@example.org").await;
    issuer.person(person("1", "ada@example.org", true));
    tokens(login(&stage, &issuer, None).await.unwrap());
    stage.platform.enrol_mfa(&ada, &wish(json!({"password": PASSWORD})), stage.now).await.unwrap();
    stage.execute("UPDATE mfa_secrets SET confirmed_time = now()").await;
    let sessions = stage.world.count("SELECT count(*) FROM sessions").await;
    assert!(matches!(login(&stage, &issuer, None).await.unwrap(), OauthAnswer::SecondFactor(_)));
    assert_eq!(stage.world.count("SELECT count(*) FROM sessions").await, sessions);
}

#[tokio::test]
async fn a_callback_counts_once_in_the_browser_that_began_and_in_time() {
    let (mut stage, issuer) = stage("callback").await;
    issuer.person(person("1", "ada@example.org", true));
    let (mine, theirs) = (start(&stage, None, "/").await.unwrap(), start(&stage, None, "/").await.unwrap());
    let callback = issuer.browse(&mine.url);
    // Log-in CSRF: somebody else's callback in my browser.
    let crossed = refused(back(&stage, &issuer.browse(&theirs.url), mine.binding.expose()).await);
    assert!(matches!(crossed, Refusal::Unknown(_)));
    let end = back(&stage, &callback, mine.binding.expose()).await.unwrap();
    tokens(end.answer);
    assert_eq!(refused(back(&stage, &callback, mine.binding.expose()).await), crossed, "replayed");
    // The code of one log-in with the state of another: PKCE.
    let (one, two) = (start(&stage, None, "/").await.unwrap(), start(&stage, None, "/").await.unwrap());
    let stolen = Callback { code: issuer.browse(&one.url).code, ..issuer.browse(&two.url) };
    assert_eq!(refused(back(&stage, &stolen, two.binding.expose()).await), crossed);
    for change in [
        |callback: &mut Callback| callback.state = "made up".into(),
        |callback: &mut Callback| callback.state = String::new(),
        |callback: &mut Callback| callback.code = None,
        |callback: &mut Callback| callback.code = Some("made up".into()),
        |callback: &mut Callback| callback.iss = Some("https://evil.example".into()),
        |callback: &mut Callback| callback.error = Some("access_denied".into()),
    ] {
        let began = start(&stage, None, "/").await.unwrap();
        let mut callback = issuer.browse(&began.url);
        change(&mut callback);
        assert_eq!(refused(back(&stage, &callback, began.binding.expose()).await), crossed);
    }
    let late = start(&stage, None, "/").await.unwrap();
    let callback = issuer.browse(&late.url);
    stage.pass(600);
    assert_eq!(refused(back(&stage, &callback, late.binding.expose()).await), crossed);
    assert!(stage.events("session.failed").await.len() >= 9);
    assert!(matches!(
        refused(stage.platform.oauth_start("nobody", &wish(json!({})), None, &origin(), stage.now).await),
        Refusal::NotFound { .. }
    ));
}

#[tokio::test]
async fn an_id_token_that_lies_logs_nobody_in() {
    let (stage, issuer) = stage("lies").await;
    issuer.person(person("1", "ada@example.org", true));
    let set = |name: &'static str, value: Value| move |json: &mut Value| json[name] = value.clone();
    let same = |_: &mut Value| {};
    let past = stage.now.timestamp() - 3_600;
    let lies: Vec<Box<dyn Fn()>> = vec![
        Box::new(|| issuer.lie(same, set("nonce", json!("another")), true)),
        Box::new(|| issuer.lie(same, |claims| drop(claims.as_object_mut().unwrap().remove("nonce")), true)),
        Box::new(|| issuer.lie(same, set("aud", json!("another-client")), true)),
        Box::new(|| issuer.lie(same, set("aud", json!(["optibid", "another-client"])), true)),
        Box::new(|| issuer.lie(same, set("azp", json!("another-client")), true)),
        Box::new(|| issuer.lie(same, set("iss", json!("https://evil.example")), true)),
        Box::new(|| issuer.lie(same, move |claims| claims["exp"] = json!(past), true)),
        Box::new(|| issuer.lie(set("alg", json!("none")), same, false)),
        Box::new(|| issuer.lie(set("alg", json!("HS256")), same, true)),
        Box::new(|| issuer.lie(set("kid", json!("k2")), same, true)),
        Box::new(|| issuer.lie(same, same, false)),
        Box::new(|| issuer.lie(same, set("sub", json!("")), true)),
    ];
    for (n, lie) in lies.iter().enumerate() {
        lie();
        let refusal = refused(login(&stage, &issuer, None).await);
        assert!(matches!(refusal, Refusal::Unknown(_)), "lie {n}: {refusal}");
    }
    assert_eq!(stage.world.count("SELECT count(*) FROM oauth_identities").await, 0);
    issuer.lie(same, same, true);
    tokens(login(&stage, &issuer, None).await.unwrap());
}

#[tokio::test]
async fn one_comes_back_to_a_page_of_ours_alone() {
    let (stage, issuer) = stage("return").await;
    issuer.person(person("1", "ada@example.org", true));
    let long = format!("/{}", "x".repeat(600));
    for (wish, expected) in [
        ("/profile?tab=2", "/profile?tab=2"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        (long.as_str(), "/"),
        ("/ ", "/"),
        ("", "/"),
    ] {
        let started = start(&stage, None, wish).await.unwrap();
        let end = back(&stage, &issuer.browse(&started.url), started.binding.expose()).await.unwrap();
        assert_eq!(end.return_path, expected, "{wish}");
    }
}
