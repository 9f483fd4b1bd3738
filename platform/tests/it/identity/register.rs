//! Registration: what is made, and that nobody learns by it whether an address has an account.

use model::humane::Secret;
use platform::identity::email::{ResendVerification, VerifyEmail};
use platform::identity::register::{NewOrganisation, NextStep, Register};
use platform::refusal::Refusal;
use serde_json::json;

use super::stage::{PASSWORD, Stage, origin, stage, staged, token, wish};
use crate::world::{invalid, refused};

#[tokio::test]
async fn a_newcomer_has_an_organisation_when_the_address_is_proved() {
    let mut stage = stage("register").await;
    let form = Stage::registration(" Ada@Example.org ");
    let answer = stage.platform.register(&form, &origin(), stage.now).await.unwrap();
    assert_eq!((answer.email.as_str(), answer.next), ("ada@example.org", NextStep::VerifyEmail));
    // The right password tells nothing before the address is proved.
    let before = refused(stage.login("ada@example.org", PASSWORD).await);
    assert_eq!(before, refused(stage.login("nobody@example.org", PASSWORD).await));
    let letter = stage.letter().await;
    let link = VerifyEmail { token: token(&letter) };
    stage.platform.verify_email(&link, &origin(), stage.now).await.unwrap();
    assert!(
        matches!(refused(stage.platform.verify_email(&link, &origin(), stage.now).await), Refusal::Unknown(_)),
        "once"
    );

    let tokens = stage.tokens("ADA@example.org").await;
    let place = tokens.organisation.clone().unwrap();
    assert_eq!((place.code.as_str(), place.name.as_str(), place.role.as_str()), ("wind-co", "Wind & Co", "admin"));
    let caller = stage.caller(&tokens).await;
    let me = stage.platform.me(&caller).await.unwrap();
    assert_eq!(
        (me.email.as_str(), me.email_verified, me.full_name.as_deref()),
        ("ada@example.org", true, Some("Ada Lovelace"))
    );
    assert_eq!(me.organisations, [place]);
    let consents = stage.world.count("SELECT count(*) FROM consents WHERE purpose = 'terms'").await;
    assert_eq!(consents, 1);
    assert_eq!(stage.events("account.registered").await.len(), 1);
    assert_eq!(stage.events("email.verified").await.len(), 1);
}

#[tokio::test]
async fn an_address_that_has_an_account_is_answered_alike_and_its_owner_is_told() {
    let mut stage = stage("known").await;
    stage.register("ada@example.org").await;
    let before = stage.world.count("SELECT count(*) FROM users").await;
    let organisations = stage.world.count("SELECT count(*) FROM organisations").await;
    let answer = stage.platform.register(&Stage::registration("ada@example.org"), &origin(), stage.now).await.unwrap();
    let new = stage.platform.register(&Stage::registration("new@example.org"), &origin(), stage.now).await.unwrap();
    let mut alike = serde_json::to_value(&answer).unwrap();
    alike["email"] = json!("new@example.org");
    assert_eq!(alike, serde_json::to_value(&new).unwrap());
    let letters = [stage.letter().await, stage.letter().await];
    let told = letters.iter().find(|letter| letter.to == ["ada@example.org"]).unwrap();
    assert!(told.text().contains("Somebody tried to register"), "{}", told.text());
    assert!(!told.text().contains("#token="));
    assert_eq!(stage.world.count("SELECT count(*) FROM users").await, before + 1, "of the new one");
    assert_eq!(stage.world.count("SELECT count(*) FROM organisations").await, organisations + 1);
    assert_eq!(stage.world.count("SELECT count(*) FROM users WHERE email LIKE '%nobody.invalid'").await, 0);
    assert_eq!(stage.events("account.repeated").await.len(), 1);
    // Neither code nor id of anything that was made is told, and another password was not set.
    assert_eq!(serde_json::to_value(&new).unwrap().as_object().unwrap().len(), 2);
    stage.tokens("ada@example.org").await;
}

#[tokio::test]
async fn two_who_register_with_one_address_at_once_make_one_account() {
    let stage = stage("at_once").await;
    let form = Stage::registration("ada@example.org");
    let origin = origin();
    let register = || stage.platform.register(&form, &origin, stage.now);
    let (one, two, three) = tokio::join!(register(), register(), register());
    assert_eq!((one.unwrap(), two.unwrap()), (three.as_ref().unwrap().clone(), three.unwrap()));
    assert_eq!(stage.world.count("SELECT count(*) FROM users WHERE email = 'ada@example.org'").await, 1);
    assert_eq!(stage.world.count("SELECT count(*) FROM organisations WHERE code LIKE 'wind-co%'").await, 1);
}

#[tokio::test]
async fn codes_of_organisations_are_their_own() {
    let mut stage = stage("codes").await;
    for email in ["a@example.org", "b@example.org"] {
        stage.register(email).await;
    }
    let (_, caller) = stage.somebody("c@example.org").await;
    let sql = "SELECT count(*) FROM organisations WHERE code ~ '^wind-co-[a-z0-9]{1,8}$'";
    assert_eq!(stage.world.count(sql).await, 2);
    let found = async |name: &str| {
        let wish: NewOrganisation = wish(json!({"name": name, "country": "DE", "timezone": "Europe/Berlin"}));
        stage.platform.found_organisation(&caller, &wish, stage.now).await
    };
    assert_eq!(found("Söhne & Töchter GmbH").await.unwrap().code, "s-hne-t-chter-gmbh");
    assert!(found("東京").await.unwrap().code.starts_with("org-"));
    assert_eq!(found(&"x".repeat(120)).await.unwrap().code.len(), 48);
    assert_eq!(invalid(found("").await), [("name".to_owned(), "empty")]);
    assert_eq!(stage.platform.me(&caller).await.unwrap().organisations.len(), 4);
}

#[tokio::test]
async fn every_bad_field_is_told_by_its_name() {
    let stage = stage("fields").await;
    let form = json!({"email": "ada", "password": PASSWORD, "full_name": "a\u{202E}b", "locale": "english",
        "organisation": {"name": " ", "country": "Germany", "timezone": "Berlin"},
        "consents": [{"purpose": "DROP TABLE", "text_version": ""}]});
    let told = invalid(stage.platform.register(&wish::<Register>(form), &origin(), stage.now).await);
    let expected = [
        ("email", "invalid_email"),
        ("full_name", "hidden_character"),
        ("locale", "invalid_locale"),
        ("organisation.name", "empty"),
        ("organisation.country", "invalid_country"),
        ("organisation.timezone", "unknown_timezone"),
        ("consents[0].purpose", "invalid_word"),
        ("consents[0].text_version", "empty"),
    ];
    assert_eq!(told, expected.map(|(field, code)| (field.to_owned(), code)));
    for weak in ["short", "password123", "Ada-Lovelace-1815", "wind & co is mine"] {
        let form = Register { password: Secret::new(weak), ..Stage::registration("ada@example.org") };
        let told = invalid(stage.platform.register(&form, &origin(), stage.now).await);
        assert!(told.iter().all(|(field, _)| field == "password"), "{told:?}");
    }
    let unknown = serde_json::from_value::<Register>(json!({"email": "a@b.example", "is_operator": true})).unwrap_err();
    assert!(unknown.to_string().contains("is_operator"));
}

#[tokio::test]
async fn a_link_can_be_asked_for_again_and_ends() {
    let mut stage = stage("resend").await;
    stage.platform.register(&Stage::registration("ada@example.org"), &origin(), stage.now).await.unwrap();
    let first = VerifyEmail { token: token(&stage.letter().await) };
    let ask = |email: &str| wish::<ResendVerification>(json!({"email": email}));
    let unknown = stage.platform.resend_verification(&ask("nobody@example.org"), &origin(), stage.now).await.unwrap();
    let known = stage.platform.resend_verification(&ask("ada@example.org"), &origin(), stage.now).await.unwrap();
    assert_eq!(unknown, known);
    let second = VerifyEmail { token: token(&stage.letter().await) };
    stage.pass(86_400);
    assert!(matches!(refused(stage.platform.verify_email(&second, &origin(), stage.now).await), Refusal::Unknown(_)));
    stage.pass(-1);
    stage.platform.verify_email(&second, &origin(), stage.now).await.unwrap();
    assert!(stage.platform.verify_email(&first, &origin(), stage.now).await.is_err(), "all links go with the first");
    // Who is proved gets no more of them.
    stage.platform.resend_verification(&ask("ada@example.org"), &origin(), stage.now).await.unwrap();
    stage.platform.register(&Stage::registration("end@example.org"), &origin(), stage.now).await.unwrap();
    assert_eq!(stage.letter().await.to, ["end@example.org"]);
}

#[tokio::test]
async fn registrations_from_one_address_are_counted_and_without_mail_one_may_log_in_at_once() {
    let stage = staged("counted", |config| {
        config.limits.register_by_address = "2/1h".parse().unwrap();
        config.mail.url = Secret::default();
    })
    .await;
    for email in ["a@example.org", "b@example.org"] {
        let answer = stage.platform.register(&Stage::registration(email), &origin(), stage.now).await.unwrap();
        assert_eq!(answer.next, NextStep::LogIn);
    }
    let third = refused(stage.platform.register(&Stage::registration("c@example.org"), &origin(), stage.now).await);
    assert!(matches!(third, Refusal::TooOften { retry_after_ms: 1_800_000 }), "{third:?}");
    let elsewhere = super::stage::from("198.51.100.1");
    stage.platform.register(&Stage::registration("c@example.org"), &elsewhere, stage.now).await.unwrap();
    stage.tokens("a@example.org").await;
}
