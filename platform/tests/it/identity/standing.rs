//! Whoever is shut out stops within two seconds, in every instance, though their token is good for minutes.

use platform::database::DatabaseRole;
use platform::identity::{Credential, Ended, Now};
use platform::permission::{Permission, Role};
use platform::resource::members;
use platform::{Platform, database};
use serde_json::json;

use super::stage::{Stage, origin, refresh_token, stage};

async fn knows(platform: &Platform, token: &str, now: Now) -> bool {
    platform.identify(Credential::Bearer(token), &origin(), now).await.is_ok()
}

/// Ends something in one instance: at once there, and within two seconds in the other.
async fn stops(stage: &mut Stage, token: &str, what: Ended) {
    let other = stage.instance();
    assert!(knows(&stage.platform, token, stage.now).await && knows(&other, token, stage.now).await);
    stage.platform.end(what, stage.now).await;
    assert!(!knows(&stage.platform, token, stage.now).await, "{what:?} here");
    stage.pass(2);
    assert!(!knows(&other, token, stage.now).await, "{what:?} elsewhere");
    assert!(!knows(&stage.instance(), token, stage.now).await, "{what:?} in one that was just started");
    stage.pass(599);
    assert!(!knows(&stage.platform, token, stage.now).await, "as long as the token lives");
}

#[tokio::test]
async fn a_suspended_organisation_stops_and_starts_again() {
    let mut stage = stage("suspended").await;
    let (tokens, caller) = stage.somebody("ada@example.org").await;
    let organisation = caller.organisation().unwrap();
    stage.execute(&format!("UPDATE organisations SET suspended_time = now() WHERE id = '{organisation}'")).await;
    stops(&mut stage, tokens.access_token.expose(), Ended::Organisation(organisation)).await;
    // The person is not shut out: only without an organisation.
    let nowhere = stage.platform.refresh(&refresh_token(&tokens), &origin(), stage.now).await.unwrap();
    assert_eq!(nowhere.organisation, None);
    let caller = stage.caller(&nowhere).await;
    assert!(caller.needs(Permission::MarketRead).is_err());
    stage.execute(&format!("UPDATE organisations SET suspended_time = NULL WHERE id = '{organisation}'")).await;
    let back = stage.platform.refresh(&refresh_token(&nowhere), &origin(), stage.now).await.unwrap();
    assert!(stage.caller(&back).await.needs(Permission::MarketRead).is_ok());
}

#[tokio::test]
async fn a_disabled_user_stops() {
    let mut stage = stage("disabled").await;
    let (tokens, caller) = stage.somebody("ada@example.org").await;
    stage.execute(&format!("UPDATE users SET disabled_time = now() WHERE id = '{}'", caller.user)).await;
    stops(&mut stage, tokens.access_token.expose(), Ended::User(caller.user)).await;
    assert!(stage.platform.refresh(&refresh_token(&tokens), &origin(), stage.now).await.is_err());
}

#[tokio::test]
async fn a_member_who_was_removed_stops_and_one_with_another_role_comes_back_with_it() {
    let mut stage = stage("removed").await;
    let (tokens, caller) = stage.somebody("ada@example.org").await;
    let organisation = caller.organisation().unwrap();
    let (theirs, other) = stage.somebody("bob@example.org").await;
    let sql = format!(
        "INSERT INTO memberships (organisation_id, user_id, role) VALUES ('{organisation}', '{}', 'trader')",
        other.user
    );
    stage.execute(&sql).await;
    let into = super::stage::wish(json!({"organisation": organisation}));
    let there = stage.platform.switch_organisation(&other, &into, &origin(), stage.now).await.unwrap();
    assert!(stage.caller(&there).await.permissions.contains(Permission::BidsWrite));
    let what = Ended::Membership { organisation, user: other.user };

    // By the admin, as a route does it.
    let mut client = stage.platform.database().client().await.unwrap();
    let transaction = database::begin(&mut client, &caller.actor(DatabaseRole::Tenant)).await.unwrap();
    let sql = "SELECT id FROM memberships WHERE user_id = $1";
    let member = transaction.query_one(sql, &[&other.user]).await.unwrap().get(0);
    members::change_role(&transaction, &member, &json!({"role": "viewer"}), None).await.unwrap();
    transaction.commit().await.unwrap();
    stops(&mut stage, there.access_token.expose(), what).await;
    let viewer = stage.platform.refresh(&refresh_token(&theirs), &origin(), stage.now).await.unwrap();
    let caller_now = stage.caller(&viewer).await;
    assert_eq!(caller_now.role, Some(Role::Viewer));
    assert!(!caller_now.permissions.contains(Permission::BidsWrite));

    let transaction = database::begin(&mut client, &caller.actor(DatabaseRole::Tenant)).await.unwrap();
    members::remove(&transaction, &member, None).await.unwrap();
    transaction.commit().await.unwrap();
    stops(&mut stage, viewer.access_token.expose(), what).await;
    let gone = stage.platform.refresh(&refresh_token(&viewer), &origin(), stage.now).await.unwrap();
    assert_eq!(gone.organisation, None);
    assert!(!knows(&stage.platform, tokens.access_token.expose(), stage.now).await, "expired meanwhile");
}

#[tokio::test]
async fn an_access_token_asks_the_database_nothing_but_once() {
    let mut stage = stage("cheap").await;
    let (tokens, _) = stage.somebody("ada@example.org").await;
    stage.caller(&tokens).await;
    // Whoever asks the database now waits for ever.
    stage
        .execute("BEGIN; LOCK TABLE users, sessions, organisations, memberships, signing_keys IN ACCESS EXCLUSIVE MODE")
        .await;
    for _ in 0..50 {
        stage.caller(&tokens).await;
        stage.pass(1);
    }
    stage.execute("ROLLBACK").await;
}
