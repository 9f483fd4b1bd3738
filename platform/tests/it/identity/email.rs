//! Another address: proved first, and nobody learns whose it is.

use platform::identity::email::{ChangeEmail, VerifyEmail};
use platform::refusal::Refusal;
use serde_json::json;

use super::stage::{PASSWORD, origin, stage, token, wish};
use crate::world::{invalid, refused};

#[tokio::test]
async fn an_address_changes_when_the_new_one_is_proved() {
    let mut stage = stage("address").await;
    let (_, caller) = stage.somebody("ada@example.org").await;
    let change = async |email: &str, password: &str| {
        let wish: ChangeEmail = wish(json!({"email": email, "password": password}));
        stage.platform.change_email(&caller, &wish, &origin(), stage.now).await
    };
    assert_eq!(invalid(change("ada@example.net", "wrong").await), [("password".to_owned(), "wrong_password")]);
    assert_eq!(invalid(change("ada", PASSWORD).await), [("email".to_owned(), "invalid_email")]);
    change("Ada@Example.net", PASSWORD).await.unwrap();
    let letter = stage.letter().await;
    assert_eq!(letter.to, ["ada@example.net"]);
    stage.tokens("ada@example.org").await;
    let link = VerifyEmail { token: token(&letter) };
    assert_eq!(stage.platform.verify_email(&link, &origin(), stage.now).await.unwrap().email, "ada@example.net");
    assert_eq!(stage.letter().await.to, ["ada@example.org"], "the old one is told");
    assert!(stage.login("ada@example.org", PASSWORD).await.is_err());
    stage.tokens("ada@example.net").await;
}

#[tokio::test]
async fn an_address_of_somebody_else_is_answered_alike_and_stays_theirs() {
    let mut stage = stage("theirs").await;
    stage.register("bob@example.org").await;
    let (_, caller) = stage.somebody("ada@example.org").await;
    let (_, eve) = stage.somebody("eve@example.org").await;
    let wish = |email: &str| wish::<ChangeEmail>(json!({"email": email, "password": PASSWORD}));
    let taken = stage.platform.change_email(&caller, &wish("bob@example.org"), &origin(), stage.now).await.unwrap();
    let letter = stage.letter().await;
    assert!(letter.to == ["bob@example.org"] && !letter.text().contains("#token="));
    let free = stage.platform.change_email(&caller, &wish("new@example.org"), &origin(), stage.now).await.unwrap();
    assert_eq!(taken, free);
    let ada = VerifyEmail { token: token(&stage.letter().await) };
    // Two want it, the first who proves it has it.
    stage.platform.change_email(&eve, &wish("new@example.org"), &origin(), stage.now).await.unwrap();
    let eve = VerifyEmail { token: token(&stage.letter().await) };
    stage.platform.verify_email(&eve, &origin(), stage.now).await.unwrap();
    assert!(matches!(refused(stage.platform.verify_email(&ada, &origin(), stage.now).await), Refusal::Unknown(_)));
    stage.tokens("bob@example.org").await;
    stage.tokens("ada@example.org").await;
}
