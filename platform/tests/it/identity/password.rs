//! Passwords: changed, forgotten, set anew.

use platform::identity::Accepted;
use platform::identity::password::{ChangePassword, ForgotPassword, ResetPassword};
use platform::refusal::{Outcome, Refusal};
use serde_json::json;

use super::stage::{OTHER_PASSWORD, PASSWORD, Stage, origin, refresh_token, signed_in, stage, staged, token, wish};
use crate::world::{invalid, refused};

async fn forgot(stage: &Stage, email: &str) -> Outcome<Accepted> {
    let wish: ForgotPassword = wish(json!({"email": email}));
    stage.platform.forgot_password(&wish, &origin(), stage.now).await
}

async fn reset(stage: &Stage, token: &str, password: &str) -> Outcome<()> {
    let wish: ResetPassword = wish(json!({"token": token, "password": password}));
    stage.platform.reset_password(&wish, &origin(), stage.now).await
}

#[tokio::test]
async fn who_knows_the_old_password_sets_a_new_one_and_all_others_are_out() {
    let mut stage = stage("change").await;
    let (here, caller) = stage.somebody("ada@example.org").await;
    let there = stage.tokens("ada@example.org").await;
    let change = async |old: &str, new: &str| {
        let wish: ChangePassword = wish(json!({"current_password": old, "new_password": new}));
        stage.platform.change_password(&caller, &wish, stage.now).await
    };
    assert_eq!(invalid(change("wrong", OTHER_PASSWORD).await), [("current_password".to_owned(), "wrong_password")]);
    assert_eq!(invalid(change(PASSWORD, "password123").await), [("new_password".to_owned(), "too_weak")]);
    assert_eq!(invalid(change(PASSWORD, "ada-lovelace-purple-7").await), [("new_password".to_owned(), "personal")]);
    assert_eq!(change(PASSWORD, OTHER_PASSWORD).await.unwrap(), 1);
    stage.caller(&here).await;
    assert!(stage.identify(there.access_token.expose()).await.is_err());
    assert!(stage.platform.refresh(&refresh_token(&there), &origin(), stage.now).await.is_err());
    assert!(stage.login("ada@example.org", PASSWORD).await.is_err());
    signed_in(stage.login("ada@example.org", OTHER_PASSWORD).await.unwrap());
    assert_eq!(stage.events("password.changed").await.len(), 1);
}

#[tokio::test]
async fn a_stolen_access_token_guesses_no_password() {
    let mut stage = staged("guess", |config| config.limits.lock_after = 3).await;
    let (_, caller) = stage.somebody("ada@example.org").await;
    let wrong: ChangePassword = wish(json!({"current_password": "guess", "new_password": OTHER_PASSWORD}));
    for _ in 0..3 {
        invalid(stage.platform.change_password(&caller, &wrong, stage.now).await);
    }
    let right: ChangePassword = wish(json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD}));
    let locked = refused(stage.platform.change_password(&caller, &right, stage.now).await);
    assert!(matches!(locked, Refusal::TooOften { .. }));
    // The owner logs in all the same.
    stage.tokens("ada@example.org").await;
}

#[tokio::test]
async fn a_link_sets_a_password_once_and_ends_every_session() {
    let mut stage = stage("reset").await;
    let (tokens, _) = stage.somebody("ada@example.org").await;
    let answers =
        [forgot(&stage, "ada@example.org").await.unwrap(), forgot(&stage, "nobody@example.org").await.unwrap()];
    assert_eq!(answers[0], answers[1]);
    let letter = stage.letter().await;
    assert_eq!(letter.to, ["ada@example.org"]);
    let link = token(&letter);
    let weak = reset(&stage, link.expose(), "password123").await;
    assert_eq!(invalid(weak), [("password".to_owned(), "too_weak")], "which does not use it up");
    let stored = "SELECT count(*) FROM password_resets WHERE encode(token_hash, 'escape') LIKE '%obp%'";
    assert_eq!(stage.world.count(stored).await, 0);
    let (link, here) = (link.expose().clone(), &stage);
    // Both have seen a good link before either has used it.
    stage.execute("BEGIN; SELECT FROM users WHERE email = 'ada@example.org' FOR UPDATE").await;
    let (one, two, ()) =
        tokio::join!(reset(here, &link, OTHER_PASSWORD), reset(here, &link, OTHER_PASSWORD), here.release(2));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert!(matches!(refused(reset(&stage, &link, PASSWORD).await), Refusal::Unknown(_)));
    assert!(stage.identify(tokens.access_token.expose()).await.is_err());
    assert!(stage.platform.refresh(&refresh_token(&tokens), &origin(), stage.now).await.is_err());
    assert!(stage.login("ada@example.org", PASSWORD).await.is_err());
    signed_in(stage.login("ada@example.org", OTHER_PASSWORD).await.unwrap());
    assert!(stage.mail.try_next().is_none(), "nobody else was written to");
}

#[tokio::test]
async fn links_end_by_time_and_by_a_new_password() {
    let mut stage = stage("links").await;
    let (_, caller) = stage.somebody("ada@example.org").await;
    forgot(&stage, "ada@example.org").await.unwrap();
    let first = token(&stage.letter().await);
    let change: ChangePassword = wish(json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD}));
    stage.platform.change_password(&caller, &change, stage.now).await.unwrap();
    assert!(reset(&stage, first.expose(), PASSWORD).await.is_err());
    forgot(&stage, "ada@example.org").await.unwrap();
    let second = token(&stage.letter().await);
    stage.pass(3_600);
    assert!(reset(&stage, second.expose(), PASSWORD).await.is_err());
    let made_up = format!("obp_{}", "A".repeat(43));
    for bad in ["", "obp_", &made_up, &second.expose().replace("obp_", "obv_"), "' OR 1=1"] {
        assert!(matches!(refused(reset(&stage, bad, PASSWORD).await), Refusal::Unknown(_)));
    }
}

#[tokio::test]
async fn a_link_proves_the_address_opens_a_lock_and_letters_are_few() {
    let mut stage = staged("few", |config| {
        config.limits.mail_by_account = "2/1h".parse().unwrap();
        config.limits.lock_after = 3;
    })
    .await;
    stage.platform.register(&Stage::registration("ada@example.org"), &origin(), stage.now).await.unwrap();
    stage.letter().await;
    for _ in 0..3 {
        stage.login("ada@example.org", "wrong").await.unwrap_err();
    }
    for _ in 0..5 {
        forgot(&stage, "ada@example.org").await.unwrap();
    }
    let link = token(&stage.letter().await);
    stage.letter().await;
    reset(&stage, link.expose(), OTHER_PASSWORD).await.unwrap();
    signed_in(stage.login("ada@example.org", OTHER_PASSWORD).await.unwrap());
    // Were there more, they would come before this one.
    stage.platform.register(&Stage::registration("end@example.org"), &origin(), stage.now).await.unwrap();
    assert_eq!(stage.letter().await.to, ["end@example.org"]);
}
