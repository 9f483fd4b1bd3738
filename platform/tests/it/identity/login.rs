//! Log-in by password: lock-out, limits, one answer for all failures.

use model::humane::Secret;
use platform::password::Hasher;
use platform::refusal::Refusal;
use serde_json::json;

use super::stage::{PASSWORD, from, origin, signed_in, stage, staged};
use crate::server;
use crate::world::refused;

#[tokio::test]
async fn whatever_is_wrong_is_answered_and_noted_alike() {
    let mut stage = stage("alike").await;
    stage.register("ada@example.org").await;
    stage.register("shut@example.org").await;
    stage.execute("UPDATE users SET disabled_time = now() WHERE email = 'shut@example.org'").await;
    let wrong = refused(stage.login("ada@example.org", "not this one").await);
    assert!(matches!(wrong, Refusal::Unknown(_)));
    for (email, password) in [
        ("nobody@example.org", PASSWORD),
        ("shut@example.org", PASSWORD),
        ("ada@example.org", ""),
        ("ada@example.org", &"x".repeat(5_000)),
        ("admin@alpha.example", PASSWORD), // has no password
    ] {
        assert_eq!(refused(stage.login(email, password).await), wrong, "{email}");
    }
    // One entry each: as much work for nobody as for somebody. None names an address.
    let noted = stage.events("session.failed").await;
    let reasons: Vec<_> = noted.iter().map(|(_, detail)| detail["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons.len(), 6);
    for reason in ["password", "account", "disabled"] {
        assert!(reasons.contains(&reason), "{reasons:?}");
    }
    assert!(!format!("{noted:?}").contains('@'));
    let about = "SELECT count(*) FROM audit_log WHERE action = 'session.failed' AND organisation_id IS NULL";
    assert_eq!(stage.world.count(about).await, 1, "of nobody in the platform's log, of others in their organisation's");
    let mine = "SELECT count(*) FROM audit_log WHERE action = 'session.failed' AND user_id IS NOT NULL";
    assert_eq!(stage.world.count(mine).await, 0, "nobody acted as the user");
}

#[tokio::test]
async fn failures_in_a_row_lock_an_address_whether_it_has_an_account_or_not() {
    let mut stage = staged("lock", |config| config.limits.lock_after = 3).await;
    stage.register("ada@example.org").await;
    for email in ["ada@example.org", "nobody@example.org"] {
        for _ in 0..3 {
            assert!(matches!(refused(stage.login(email, "wrong").await), Refusal::Unknown(_)));
        }
        let locked = refused(stage.login(email, PASSWORD).await);
        assert!(matches!(locked, Refusal::TooOften { retry_after_ms: 900_000 }), "{email} {locked:?}");
    }
    let other = stage.instance();
    let wish = super::stage::wish(json!({"email": "ada@example.org", "password": PASSWORD}));
    assert!(other.login(&wish, &from("198.51.100.9"), stage.now).await.is_err(), "in all instances, from everywhere");
    stage.pass(899);
    assert!(stage.login("ada@example.org", PASSWORD).await.is_err());
    stage.pass(1);
    stage.tokens("ada@example.org").await;
    // A good one forgives.
    for _ in 0..2 {
        stage.login("ada@example.org", "wrong").await.unwrap_err();
    }
    stage.tokens("ada@example.org").await;
    for _ in 0..2 {
        stage.login("ada@example.org", "wrong").await.unwrap_err();
    }
    stage.tokens("ada@example.org").await;
    let locked = stage.events("session.failed").await.iter().filter(|(_, detail)| detail["locked"] == true).count();
    assert_eq!(locked, 2);
}

#[tokio::test]
async fn log_ins_are_counted_by_account_and_by_address() {
    let mut stage = staged("rates", |config| {
        config.limits.login_by_account = "2/10m".parse().unwrap();
        config.limits.login_by_address = "6/10m".parse().unwrap();
    })
    .await;
    // Links count, too: one of the six.
    stage.register("ada@example.org").await;
    for _ in 0..2 {
        stage.tokens("ada@example.org").await;
    }
    assert!(matches!(refused(stage.login("ada@example.org", PASSWORD).await), Refusal::TooOften { .. }));
    for _ in 0..3 {
        stage.login("bob@example.org", "wrong").await.unwrap_err();
    }
    let all = refused(stage.login("carol@example.org", "wrong").await);
    assert!(matches!(all, Refusal::TooOften { retry_after_ms: 100_000 }), "{all:?}");
    let elsewhere = refused(stage.login_from("carol@example.org", "wrong", &from("198.51.100.9")).await);
    assert!(matches!(elsewhere, Refusal::Unknown(_)));
}

#[tokio::test]
async fn without_redis_people_log_in_and_are_locked_out_in_memory() {
    let mut stage = staged("no_redis", |config| {
        // Nobody listens there.
        config.redis_url = Secret::new("redis://127.0.0.1:1/0");
        config.limits.lock_after = 3;
    })
    .await;
    let (tokens, _) = stage.somebody("ada@example.org").await;
    stage.platform.logout(&stage.caller(&tokens).await, stage.now).await.unwrap();
    assert!(stage.identify(tokens.access_token.expose()).await.is_err());
    let tokens = stage.tokens("ada@example.org").await;
    let other = stage.instance();
    let credential = platform::identity::Credential::Bearer(tokens.access_token.expose());
    let there = other.identify(credential, &origin(), stage.now).await.unwrap();
    stage.platform.logout(&there, stage.now).await.unwrap();
    let later = stage.now + chrono::TimeDelta::seconds(2);
    assert!(other.identify(credential, &origin(), later).await.is_err(), "from Postgres");
    for _ in 0..3 {
        stage.login("ada@example.org", "wrong").await.unwrap_err();
    }
    assert!(matches!(refused(stage.login("ada@example.org", PASSWORD).await), Refusal::TooOften { .. }));
    let health = stage.platform.health().await;
    assert!(health.postgres.is_ok() && health.redis.unwrap().is_err() && health.mail);
}

#[tokio::test]
async fn without_postgres_it_is_said_that_waiting_helps() {
    let stage = staged("no_postgres", |config| {
        config.postgres_url = Secret::new("postgres://postgres@127.0.0.1:1/postgres");
        config.redis_url = Secret::new(server::address("REDIS"));
    })
    .await;
    match stage.login("ada@example.org", PASSWORD).await {
        Err(platform::refusal::Failure::Failed(error)) => assert!(error.is_transient(), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(stage.identify("a.b.c").await.is_err());
    assert!(stage.platform.ready().await.is_err());
}

#[tokio::test]
async fn a_hash_of_another_cost_is_made_anew() {
    let mut stage = stage("rehash").await;
    stage.register("ada@example.org").await;
    let mut cost = stage.config.password.clone();
    cost.memory_kib = 32;
    let hasher = Hasher::new(&cost).unwrap();
    let old = hasher.hash(&hasher.permit().await.unwrap(), PASSWORD).unwrap();
    stage.execute(&format!("UPDATE users SET password_hash = '{old}' WHERE email = 'ada@example.org'")).await;
    let sql = "SELECT count(*) FROM users WHERE password_hash LIKE '%m=64,%' AND email = 'ada@example.org'";
    assert_eq!(stage.world.count(sql).await, 0);
    stage.tokens("ada@example.org").await;
    assert_eq!(stage.world.count(sql).await, 1);
    stage.tokens("ada@example.org").await;
}

#[tokio::test]
async fn one_says_for_which_organisation() {
    let mut stage = stage("wanted").await;
    let (_, caller) = stage.somebody("ada@example.org").await;
    let second = super::stage::wish(json!({"name": "Second"}));
    stage.platform.found_organisation(&caller, &second, stage.now).await.unwrap();
    let into = async |code: Option<&str>| {
        let wish = super::stage::wish(json!({"email": "ada@example.org", "password": PASSWORD, "organisation": code}));
        stage.platform.login(&wish, &origin(), stage.now).await
    };
    let code = |tokens: platform::identity::session::Tokens| tokens.organisation.unwrap().code;
    assert_eq!(code(signed_in(into(None).await.unwrap())), "wind-co", "where one was last");
    assert_eq!(code(signed_in(into(Some("second")).await.unwrap())), "second");
    assert!(matches!(refused(into(Some("ALPHA")).await), Refusal::Forbidden(_)), "there, but not theirs");
    assert!(matches!(refused(into(Some("nowhere")).await), Refusal::Forbidden(_)));
}
