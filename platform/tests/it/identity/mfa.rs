//! The second factor: codes that count once, recovery codes that count once, challenges that end.

use model::humane::Secret;
use platform::identity::Caller;
use platform::identity::login::{ChallengeAnswer, LoginAnswer, SecondFactor};
use platform::identity::mfa::{ConfirmMfa, EnrolMfa, PasswordAndCode};
use platform::refusal::{Outcome, Refusal};
use ring::hmac;
use serde_json::json;

use super::stage::{OTHER_PASSWORD, PASSWORD, Stage, origin, signed_in, stage, staged, wish};
use crate::world::{conflict, invalid, refused};

/// What an authenticator app shows (RFC 6238).
fn code(secret: &str, stage: &Stage) -> String {
    let key = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let tag = hmac::sign(&key, &stage.now.timestamp().div_euclid(30).to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    let number = u32::from_be_bytes([tag[at] & 0x7f, tag[at + 1], tag[at + 2], tag[at + 3]]);
    format!("{:06}", number % 1_000_000)
}

fn both(code: &str) -> PasswordAndCode {
    wish(json!({"password": PASSWORD, "code": code}))
}

/// Somebody with a second factor: the secret and the recovery codes.
async fn enrolled(stage: &mut Stage) -> (Caller, String, Vec<String>) {
    let (_, caller) = stage.somebody("ada@example.org").await;
    let wish: EnrolMfa = wish(json!({"password": PASSWORD}));
    let secret = stage.platform.enrol_mfa(&caller, &wish, stage.now).await.unwrap().secret.expose().to_owned();
    let confirm = ConfirmMfa { code: Secret::new(code(&secret, stage)) };
    let codes = stage.platform.confirm_mfa(&caller, &confirm, &origin(), stage.now).await.unwrap().codes;
    stage.pass(30);
    (caller, secret, codes.iter().map(|code| code.expose().to_owned()).collect())
}

async fn challenge(stage: &Stage) -> ChallengeAnswer {
    match stage.login("ada@example.org", PASSWORD).await.unwrap() {
        LoginAnswer::SecondFactor(answer) => answer,
        LoginAnswer::SignedIn(_) => panic!("no second factor is asked for"),
    }
}

async fn answer(stage: &Stage, challenge: &ChallengeAnswer, code: &str) -> Outcome<LoginAnswer> {
    let wish: SecondFactor = wish(json!({"challenge": challenge.challenge.expose(), "code": code}));
    stage.platform.second_factor(&wish, &origin(), stage.now).await
}

#[tokio::test]
async fn a_factor_is_in_force_when_it_was_shown_to_work() {
    let mut stage = stage("enrol").await;
    let (_, caller) = stage.somebody("ada@example.org").await;
    let enrol = async |password: Option<&str>| {
        let wish: EnrolMfa = wish(json!({"password": password}));
        stage.platform.enrol_mfa(&caller, &wish, stage.now).await
    };
    assert_eq!(invalid(enrol(Some("wrong")).await), [("password".to_owned(), "wrong_password")]);
    assert_eq!(invalid(enrol(None).await), [("password".to_owned(), "required")]);
    let first = enrol(Some(PASSWORD)).await.unwrap();
    let made = enrol(Some(PASSWORD)).await.unwrap();
    assert_ne!(first.secret, made.secret);
    assert!(made.uri.expose().starts_with("otpauth://totp/OptiBid:ada%40example.org?secret="));
    signed_in(stage.login("ada@example.org", PASSWORD).await.unwrap());
    let confirm = async |code: String| {
        let wish = ConfirmMfa { code: Secret::new(code) };
        stage.platform.confirm_mfa(&caller, &wish, &origin(), stage.now).await
    };
    assert!(
        matches!(refused(confirm(code(first.secret.expose(), &stage)).await), Refusal::Unknown(_)),
        "of the one before"
    );
    let codes = confirm(code(made.secret.expose(), &stage)).await.unwrap().codes;
    assert_eq!(codes.len(), 10);
    assert_eq!(conflict(confirm(code(made.secret.expose(), &stage)).await).0, "mfa_in_force");
    assert_eq!(conflict(enrol(Some(PASSWORD)).await).0, "mfa_in_force");
    let me = stage.platform.me(&caller).await.unwrap();
    assert!(me.second_factor && me.recovery_codes_left == 10);
    let sealed =
        "SELECT count(*) FROM mfa_secrets WHERE octet_length(secret_encrypted) > 40 AND octet_length(nonce) = 12";
    assert_eq!(stage.world.count(sealed).await, 1);
}

#[tokio::test]
async fn a_code_counts_once_and_so_does_a_challenge() {
    let mut stage = stage("codes").await;
    let (_, secret, _) = enrolled(&mut stage).await;
    let first = challenge(&stage).await;
    assert_eq!(first.expires_in, 600);
    let good = code(&secret, &stage);
    assert!(matches!(refused(answer(&stage, &first, "000000").await), Refusal::Unknown(_)));
    let tokens = signed_in(answer(&stage, &first, &good).await.unwrap());
    stage.caller(&tokens).await;
    let sql = "SELECT count(*) FROM sessions WHERE second_factor AND id = (SELECT id FROM sessions ORDER BY created_time DESC LIMIT 1)";
    assert_eq!(stage.world.count(sql).await, 1);
    // Looked over the shoulder: the code with a challenge of one's own, the challenge with a code of the next step.
    let second = challenge(&stage).await;
    assert!(answer(&stage, &second, &good).await.is_err(), "replayed");
    stage.pass(30);
    assert!(answer(&stage, &second, &good).await.is_err(), "replayed within the drift");
    let next = code(&secret, &stage);
    assert!(answer(&stage, &first, &next).await.is_err(), "the challenge was answered");
    let elsewhere = stage.instance();
    let again: SecondFactor = wish(json!({"challenge": first.challenge.expose(), "code": next}));
    assert!(elsewhere.second_factor(&again, &origin(), stage.now).await.is_err(), "and every instance knows");
    signed_in(answer(&stage, &second, &next).await.unwrap());
}

#[tokio::test]
async fn two_who_send_one_code_at_once_get_one_session() {
    let mut stage = stage("code_race").await;
    let (_, secret, recovery) = enrolled(&mut stage).await;
    for code in [code(&secret, &stage), recovery[0].clone()] {
        let (one, two) = (challenge(&stage).await, challenge(&stage).await);
        let (a, b) = tokio::join!(answer(&stage, &one, &code), answer(&stage, &two, &code));
        assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    }
}

#[tokio::test]
async fn a_recovery_code_counts_once_and_new_ones_replace_the_old() {
    let mut stage = stage("recovery").await;
    let (caller, secret, codes) = enrolled(&mut stage).await;
    let written = codes[0].to_uppercase().replace('-', " ");
    signed_in(answer(&stage, &challenge(&stage).await, &written).await.unwrap());
    assert!(answer(&stage, &challenge(&stage).await, &codes[0]).await.is_err());
    assert_eq!(stage.platform.me(&caller).await.unwrap().recovery_codes_left, 9);
    let wrong = refused(stage.platform.new_recovery_codes(&caller, &both("000000"), &origin(), stage.now).await);
    assert!(matches!(wrong, Refusal::Unknown(_)));
    let good = both(&code(&secret, &stage));
    let fresh = stage.platform.new_recovery_codes(&caller, &good, &origin(), stage.now).await.unwrap().codes;
    assert!(answer(&stage, &challenge(&stage).await, &codes[1]).await.is_err(), "one of before");
    signed_in(answer(&stage, &challenge(&stage).await, fresh[1].expose()).await.unwrap());
    assert_eq!(stage.platform.me(&caller).await.unwrap().recovery_codes_left, 9);
}

#[tokio::test]
async fn a_factor_goes_with_password_and_code_alone() {
    let mut stage = stage("disable").await;
    let (caller, secret, codes) = enrolled(&mut stage).await;
    let disable = async |wish: PasswordAndCode| stage.platform.disable_mfa(&caller, &wish, &origin(), stage.now).await;
    let no_password: PasswordAndCode = wish(json!({"password": "wrong", "code": code(&secret, &stage)}));
    assert_eq!(invalid(disable(no_password).await), [("password".to_owned(), "wrong_password")]);
    assert!(disable(both("000000")).await.is_err());
    disable(both(&codes[3])).await.unwrap();
    assert_eq!(conflict(disable(both(&codes[4])).await).0, "mfa_not_in_force");
    assert!(stage.letter().await.text().contains("was disabled"));
    signed_in(stage.login("ada@example.org", PASSWORD).await.unwrap());
    assert_eq!(stage.events("mfa.disabled").await.len(), 1);
}

#[tokio::test]
async fn a_challenge_ends_by_time_by_a_new_password_and_is_nobody_elses() {
    let mut stage = stage("challenge").await;
    let (caller, secret, _) = enrolled(&mut stage).await;
    let old = challenge(&stage).await;
    stage.pass(600);
    assert!(answer(&stage, &old, &code(&secret, &stage)).await.is_err(), "too late");
    let open = challenge(&stage).await;
    let change = wish(json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD}));
    stage.platform.change_password(&caller, &change, stage.now).await.unwrap();
    assert!(answer(&stage, &open, &code(&secret, &stage)).await.is_err(), "of the password before");
    let text = open.challenge.expose();
    for bad in
        ["", "obm_", &text[..text.len() - 2], &text.replace("obm_", "obr_"), &format!("obm_{}", "A".repeat(5_000))]
    {
        let wish: SecondFactor = wish(json!({"challenge": bad, "code": code(&secret, &stage)}));
        assert!(matches!(
            refused(stage.platform.second_factor(&wish, &origin(), stage.now).await),
            Refusal::Unknown(_)
        ));
    }
    assert_eq!(stage.events("session.challenged").await.len(), 2);
}

#[tokio::test]
async fn codes_are_few_so_tries_are_fewer() {
    let mut stage = staged("tries", |config| {
        config.limits.mfa_by_account = "20/5m".parse().unwrap();
        config.limits.lock_after = 4;
    })
    .await;
    let (_, secret, _) = enrolled(&mut stage).await;
    let open = challenge(&stage).await;
    for _ in 0..4 {
        assert!(matches!(refused(answer(&stage, &open, "000000").await), Refusal::Unknown(_)));
    }
    let locked = refused(answer(&stage, &open, &code(&secret, &stage)).await);
    assert!(matches!(locked, Refusal::TooOften { .. }), "the right one, too: {locked:?}");
    stage.pass(900);
    let open = challenge(&stage).await;
    signed_in(answer(&stage, &open, &code(&secret, &stage)).await.unwrap());
}
