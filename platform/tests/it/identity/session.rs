//! Sessions: refresh tokens that are good once, races and thieves, idle and absolute ends, another organisation.

use platform::identity::session::SwitchOrganisation;
use platform::refusal::Refusal;
use serde_json::json;

use super::stage::{PASSWORD, from, origin, refresh_token, signed_in, stage, staged, wish};
use crate::world::{conflict, refused};

#[tokio::test]
async fn each_refresh_token_is_good_once_and_a_second_time_ends_the_session() {
    let mut stage = stage("rotate").await;
    let (first, _) = stage.somebody("ada@example.org").await;
    assert_eq!((first.expires_in, first.refresh_expires_in), (600, Some(7 * 86_400)));
    stage.pass(60);
    let second = stage.platform.refresh(&refresh_token(&first), &origin(), stage.now).await.unwrap();
    assert_eq!((second.session_id, &second.organisation), (first.session_id, &first.organisation));
    assert_ne!(second.refresh_token, first.refresh_token);
    stage.pass(60);
    let third = stage.platform.refresh(&refresh_token(&second), &origin(), stage.now).await.unwrap();
    stage.caller(&third).await;
    // A thief has the first one.
    let thief = refused(stage.platform.refresh(&refresh_token(&first), &from("198.51.100.66"), stage.now).await);
    assert!(matches!(thief, Refusal::Unknown(_)));
    assert_eq!(refused(stage.platform.refresh(&refresh_token(&third), &origin(), stage.now).await), thief);
    for tokens in [&first, &second, &third] {
        assert!(stage.identify(tokens.access_token.expose()).await.is_err(), "access tokens end with it");
    }
    let sql = "SELECT count(*) FROM sessions WHERE revoked_reason = 'reuse'";
    assert_eq!(stage.world.count(sql).await, 1);
    assert_eq!(stage.events("session.reused").await.len(), 1);
    // A new log-in is another session.
    let fresh = stage.tokens("ada@example.org").await;
    stage.platform.refresh(&refresh_token(&fresh), &origin(), stage.now).await.unwrap();
}

#[tokio::test]
async fn of_two_requests_with_one_token_one_wins() {
    let mut stage = stage("race").await;
    let (tokens, _) = stage.somebody("ada@example.org").await;
    let (wish, here) = (refresh_token(&tokens), origin());
    let other = stage.instance();
    let mut results = Vec::new();
    let (a, b, c, d) = tokio::join!(
        stage.platform.refresh(&wish, &here, stage.now),
        other.refresh(&wish, &here, stage.now),
        stage.platform.refresh(&wish, &here, stage.now),
        other.refresh(&wish, &here, stage.now),
    );
    results.extend([a, b, c, d]);
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 3));
    for loser in lost {
        assert_eq!(conflict(loser).0, "refreshed_already");
    }
    // The session of the winner goes on: it was one device.
    let winner = won.into_iter().next().unwrap().unwrap();
    let next = stage.platform.refresh(&refresh_token(&winner), &here, stage.now).await.unwrap();
    // From elsewhere it is a thief, however soon.
    let thief = refused(stage.platform.refresh(&refresh_token(&winner), &from("198.51.100.66"), stage.now).await);
    assert!(matches!(thief, Refusal::Unknown(_)));
    assert!(stage.platform.refresh(&refresh_token(&next), &here, stage.now).await.is_err());
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_or_old() {
    let mut stage = staged("idle", |config| {
        config.session_idle = "1h".parse().unwrap();
        config.refresh_token_life = "3h".parse().unwrap();
    })
    .await;
    let (idle, _) = stage.somebody("ada@example.org").await;
    let mut busy = stage.tokens("ada@example.org").await;
    for _ in 0..2 {
        stage.pass(3_599);
        busy = stage.platform.refresh(&refresh_token(&busy), &origin(), stage.now).await.unwrap();
    }
    assert!(stage.platform.refresh(&refresh_token(&idle), &origin(), stage.now).await.is_err(), "idle");
    stage.pass(3_599);
    busy = stage.platform.refresh(&refresh_token(&busy), &origin(), stage.now).await.unwrap();
    assert_eq!(busy.refresh_expires_in, Some(3), "not longer than the session");
    stage.pass(3);
    assert!(stage.platform.refresh(&refresh_token(&busy), &origin(), stage.now).await.is_err(), "old");
}

#[tokio::test]
async fn sessions_end_by_their_owner_alone() {
    let mut stage = stage("ends").await;
    let (here, caller) = stage.somebody("ada@example.org").await;
    let there = stage.tokens("ada@example.org").await;
    let third = stage.tokens("ada@example.org").await;
    let (_, other) = stage.somebody("eve@example.org").await;
    let foreign = refused(stage.platform.end_session(&other, there.session_id, stage.now).await);
    assert_eq!(foreign, Refusal::not_found("session", there.session_id));
    stage.platform.end_session(&caller, there.session_id, stage.now).await.unwrap();
    assert!(stage.identify(there.access_token.expose()).await.is_err());
    assert!(stage.platform.refresh(&refresh_token(&there), &origin(), stage.now).await.is_err());
    assert!(stage.platform.end_session(&caller, there.session_id, stage.now).await.is_err(), "once");
    assert_eq!(stage.platform.end_other_sessions(&caller, stage.now).await.unwrap(), 1);
    assert!(stage.identify(third.access_token.expose()).await.is_err());
    stage.caller(&here).await;
    stage.platform.logout(&caller, stage.now).await.unwrap();
    assert!(stage.identify(here.access_token.expose()).await.is_err());
    assert!(stage.platform.refresh(&refresh_token(&here), &origin(), stage.now).await.is_err());
}

#[tokio::test]
async fn one_goes_on_in_another_organisation_of_ones_own() {
    let mut stage = stage("switch").await;
    let (tokens, caller) = stage.somebody("ada@example.org").await;
    let second = stage.platform.found_organisation(&caller, &wish(json!({"name": "Second"})), stage.now).await.unwrap();
    let switch = async |organisation: &str| {
        let wish: SwitchOrganisation = wish(json!({"organisation": organisation}));
        stage.platform.switch_organisation(&caller, &wish, &origin(), stage.now).await
    };
    let switched = switch("second").await.unwrap();
    assert_eq!((switched.session_id, &switched.refresh_token), (tokens.session_id, &None));
    let there = stage.caller(&switched).await;
    assert_eq!(there.organisation.as_ref().map(|(id, code)| (*id, &**code)), Some((second.id, "second")));
    let refreshed = stage.platform.refresh(&refresh_token(&tokens), &origin(), stage.now).await.unwrap();
    assert_eq!(refreshed.organisation.unwrap().id, second.id, "the session stays there");
    assert_eq!(switch(&second.id.to_string()).await.unwrap().organisation.unwrap().code, "second");
    for not_theirs in ["ALPHA", &stage.world.a.id.to_string(), "nowhere", "' OR 1=1 --", ""] {
        assert!(matches!(refused(switch(not_theirs).await), Refusal::NotFound { .. }), "{not_theirs}");
    }
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused_and_refreshing_is_counted() {
    let mut stage = staged("refresh_rate", |config| config.limits.refresh_by_session = "2/1m".parse().unwrap()).await;
    let (mut tokens, _) = stage.somebody("ada@example.org").await;
    let access = tokens.access_token.expose().to_owned();
    let made_up = format!("obr_{}", "A".repeat(43));
    for bad in ["", "obr_", "x", &made_up, &access, &"x".repeat(100_000)] {
        let wish = wish(json!({"refresh_token": bad}));
        assert!(matches!(refused(stage.platform.refresh(&wish, &origin(), stage.now).await), Refusal::Unknown(_)));
    }
    for _ in 0..2 {
        tokens = stage.platform.refresh(&refresh_token(&tokens), &origin(), stage.now).await.unwrap();
    }
    let third = refused(stage.platform.refresh(&refresh_token(&tokens), &origin(), stage.now).await);
    assert!(matches!(third, Refusal::TooOften { .. }));
    stage.pass(60);
    stage.platform.refresh(&refresh_token(&tokens), &origin(), stage.now).await.unwrap();
    signed_in(stage.login("ada@example.org", PASSWORD).await.unwrap());
}
