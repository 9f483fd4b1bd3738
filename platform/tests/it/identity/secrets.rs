//! Secrets and persons stay where they belong: not in the audit log, not in Redis, not in what is printed.

use platform::identity::password::ForgotPassword;
use platform::identity::session::Tokens;
use redis::AsyncCommands;
use serde_json::json;

use super::stage::{PASSWORD, Stage, origin, refresh_token, stage, token, wish};
use crate::server;

/// Everything that a column of text, bytes or JSON holds, of all tables but those named.
async fn everything(stage: &Stage, but: &[&str]) -> String {
    let sql = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'";
    let mut text = String::new();
    for row in stage.world.root.query(sql, &[]).await.unwrap() {
        let table: String = row.get(0);
        if but.contains(&table.as_str()) || table == "spatial_ref_sys" {
            continue;
        }
        for row in stage.world.root.query(&format!("SELECT to_jsonb(t)::text FROM {table} AS t"), &[]).await.unwrap() {
            text.push_str(&row.get::<_, String>(0));
        }
    }
    text
}

#[tokio::test]
async fn nothing_secret_is_kept_and_nothing_personal_is_in_the_log() {
    let mut stage = stage("kept").await;
    let (tokens, _) = stage.somebody("ada@example.org").await;
    let next = stage.platform.refresh(&refresh_token(&tokens), &origin(), stage.now).await.unwrap();
    stage.login("ada@example.org", "a wrong password").await.unwrap_err();
    stage.platform.register(&Stage::registration("ada@example.org"), &origin(), stage.now).await.unwrap();
    stage.letter().await;
    let forgot: ForgotPassword = wish(json!({"email": "ada@example.org"}));
    stage.platform.forgot_password(&forgot, &origin(), stage.now).await.unwrap();
    let link = token(&stage.letter().await);
    let secrets = |tokens: &Tokens| {
        let refresh = tokens.refresh_token.as_ref().unwrap().expose().to_owned();
        [tokens.access_token.expose().to_owned(), refresh]
    };
    let kept = everything(&stage, &[]).await;
    for secret in secrets(&tokens).iter().chain(&secrets(&next)).chain([link.expose()]) {
        assert!(!kept.contains(&secret[4..]), "in the clear");
    }
    assert!(!kept.contains(PASSWORD) && !kept.contains("a wrong password"));

    let log: Vec<String> = {
        let sql = "SELECT to_jsonb(l)::text FROM audit_log AS l";
        stage.world.root.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    assert!(log.len() > 10);
    for entry in &log {
        assert!(
            !entry.contains("@example.org") && !entry.contains("Lovelace") && !entry.contains("Firefox"),
            "{entry}"
        );
        assert!(!entry.contains("argon2"), "{entry}");
    }
    assert!(log.iter().any(|entry| entry.contains("192.0.2.7") && entry.contains("request-1")), "from where it came");

    let client = redis::Client::open(server::address("REDIS")).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis.keys(format!("{}*", stage.config.redis_prefix)).await.unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        assert!(!key.contains('@') && !key.contains("192.0.2.7"), "{key}");
        assert!(redis.pttl::<_, i64>(&key).await.unwrap() > 0, "{key} stays for ever");
    }
}

#[tokio::test]
async fn what_is_printed_says_nothing() {
    let mut stage = stage("printed").await;
    let (tokens, caller) = stage.somebody("ada@example.org").await;
    let login: platform::identity::login::Login = wish(json!({"email": "ada@example.org", "password": PASSWORD}));
    let refresh = refresh_token(&tokens);
    let printed = format!("{:?} {tokens:?} {caller:?} {login:?} {refresh:?}", stage.platform);
    let secret = tokens.refresh_token.as_ref().unwrap().expose();
    for secret in [PASSWORD, secret, tokens.access_token.expose(), stage.config.master_key.expose()] {
        assert!(!printed.contains(secret));
    }
    assert!(!printed.contains("AAECAwQF"));
}
