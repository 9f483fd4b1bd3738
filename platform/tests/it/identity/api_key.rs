//! API keys: what they may, when they stop, and that a near miss is a miss.

use chrono::TimeDelta;
use platform::database::{self, DatabaseRole};
use platform::identity::{Caller, CallerKind, Credential, Ended, Now};
use platform::permission::{Permission, Role};
use platform::refusal::Refusal;
use platform::resource::{self, api_keys};
use serde_json::json;
use uuid::Uuid;

use super::stage::{Stage, origin, stage};
use crate::world::refused;

async fn key(stage: &Stage, caller: &Caller, scopes: &[&str]) -> (Uuid, String) {
    let mut client = stage.platform.database().client().await.unwrap();
    let transaction = database::begin(&mut client, &caller.actor(DatabaseRole::Tenant)).await.unwrap();
    let expires = (stage.now + TimeDelta::days(1)).to_rfc3339();
    let new = resource::read(&json!({"name": "Job", "scopes": scopes, "expires_time": expires})).unwrap();
    let (made, token) = api_keys::create(&transaction, caller.permissions, new).await.unwrap();
    transaction.commit().await.unwrap();
    (made.id, token.expose().to_owned())
}

async fn holder(stage: &Stage, key: &str) -> platform::refusal::Outcome<Caller> {
    let bearer = stage.platform.identify(Credential::Bearer(key), &origin(), stage.now).await;
    let plain = stage.platform.identify(Credential::ApiKey(key), &origin(), stage.now).await;
    assert_eq!(bearer.is_ok(), plain.is_ok());
    bearer
}

#[tokio::test]
async fn a_key_may_what_its_scope_and_its_members_role_allow() {
    let mut stage = stage("api_key").await;
    let (_, ada) = stage.somebody("ada@example.org").await;
    let (id, key) = key(&stage, &ada, &["bids.write", "assets.read", "members.write"]).await;
    let program = holder(&stage, &key).await.unwrap();
    assert_eq!((program.user, program.kind, program.is_operator), (ada.user, CallerKind::ApiKey(id), false));
    assert_eq!(program.organisation, ada.organisation);
    program.needs(Permission::BidsWrite).unwrap();
    assert!(matches!(refused(program.needs(Permission::AssetsWrite)), Refusal::Forbidden(_)));
    assert!(matches!(refused(program.session()), Refusal::Forbidden(_)));
    // It is no person: nothing of an account is its to change.
    assert!(stage.platform.logout(&program, stage.now).await.is_err());
    let mfa = super::stage::wish(json!({"password": super::stage::PASSWORD}));
    assert!(stage.platform.enrol_mfa(&program, &mfa, stage.now).await.is_err());
    // Its member becomes less, and so does the key.
    let sql = format!("UPDATE memberships SET role = 'trader' WHERE user_id = '{}'", ada.user);
    stage.execute(&sql).await;
    stage.pass(2);
    let program = holder(&stage, &key).await.unwrap();
    assert_eq!(program.role, Some(Role::Trader));
    assert!(program.needs(Permission::BidsWrite).is_ok() && program.needs(Permission::MembersWrite).is_err());
}

#[tokio::test]
async fn a_near_miss_is_a_miss() {
    let mut stage = stage("miss").await;
    let (_, ada) = stage.somebody("ada@example.org").await;
    let (_, good) = key(&stage, &ada, &["assets.read"]).await;
    let (_, other) = key(&stage, &ada, &["assets.read"]).await;
    let mixed = format!("{}{}", &good[..12], &other[12..]);
    let upper = good.to_uppercase();
    for bad in
        [&good[..12], &good[..good.len() - 1], &format!("{good}A"), &mixed, &upper, "obk_", "obk_' OR '1'='1", ""]
    {
        assert!(matches!(refused(holder(&stage, bad).await), Refusal::Unknown(_)), "{bad}");
    }
    holder(&stage, &good).await.unwrap();
    assert!(matches!(refused(holder(&stage, &mixed).await), Refusal::Unknown(_)), "also beside one that is remembered");
}

#[tokio::test]
async fn a_key_stops_with_whatever_it_hangs_on() {
    for (test, sql) in [
        ("revoked", "UPDATE api_keys SET revoked_time = now()"),
        ("left", "DELETE FROM memberships WHERE user_id = (SELECT user_id FROM api_keys)"),
        ("shut", "UPDATE users SET disabled_time = now() WHERE id = (SELECT user_id FROM api_keys)"),
        ("suspended", "UPDATE organisations SET suspended_time = now()"),
    ] {
        let mut stage = stage(test).await;
        let (_, ada) = stage.somebody("ada@example.org").await;
        let (_, key) = key(&stage, &ada, &["assets.read"]).await;
        holder(&stage, &key).await.unwrap();
        stage.execute(sql).await;
        stage.pass(2);
        assert!(matches!(refused(holder(&stage, &key).await), Refusal::Unknown(_)), "{test}");
    }
}

#[tokio::test]
async fn a_revoked_key_stops_at_once_where_it_was_revoked_and_an_old_one_by_itself() {
    let mut stage = stage("at_once").await;
    let (_, ada) = stage.somebody("ada@example.org").await;
    let (id, first) = key(&stage, &ada, &["assets.read"]).await;
    let (_, second) = key(&stage, &ada, &["assets.read"]).await;
    holder(&stage, &first).await.unwrap();
    stage.execute(&format!("UPDATE api_keys SET revoked_time = now() WHERE id = '{id}'")).await;
    stage.platform.end(Ended::ApiKey(id), stage.now).await;
    assert!(holder(&stage, &first).await.is_err());
    holder(&stage, &second).await.unwrap();
    stage.pass(86_400);
    assert!(holder(&stage, &second).await.is_err());
}

#[tokio::test]
async fn when_a_key_was_used_is_noted_once_a_minute() {
    let mut stage = stage("used").await;
    let (_, ada) = stage.somebody("ada@example.org").await;
    let (_, key) = key(&stage, &ada, &["assets.read"]).await;
    let sql = "SELECT last_used_time FROM api_keys";
    let used = async |stage: &Stage| -> Now { stage.world.root.query_one(sql, &[]).await.unwrap().get(0) };
    let begin = stage.now;
    for seconds in [0, 2, 30, 60, 90] {
        stage.now = begin + TimeDelta::seconds(seconds);
        holder(&stage, &key).await.unwrap();
        let noted = if seconds < 60 { begin } else { begin + TimeDelta::seconds(60) };
        assert_eq!(used(&stage).await, noted, "after {seconds} s");
    }
}
