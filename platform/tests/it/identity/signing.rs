//! Keys change while tokens live.

use platform::identity::Credential;

use super::stage::{origin, refresh_token, stage, staged};

#[tokio::test]
async fn tokens_of_the_key_before_stay_good_in_all_instances() {
    let mut stage = stage("rotation").await;
    let (old, _) = stage.somebody("ada@example.org").await;
    let other = stage.instance();
    let known = async |platform: &platform::Platform, token: &str, now| {
        platform.identify(Credential::Bearer(token), &origin(), now).await.is_ok()
    };
    assert!(known(&other, old.access_token.expose(), stage.now).await);
    stage.pass(60);
    stage.platform.rotate_keys(stage.now).await.unwrap();
    let new = stage.platform.refresh(&refresh_token(&old), &origin(), stage.now).await.unwrap();
    let kid = |tokens: &platform::identity::session::Tokens| {
        let header = tokens.access_token.expose().split('.').next().unwrap().to_owned();
        String::from_utf8(data_encoding::BASE64URL_NOPAD.decode(header.as_bytes()).unwrap()).unwrap()
    };
    assert_ne!(kid(&old), kid(&new));
    for platform in [&stage.platform, &other, &stage.instance()] {
        assert!(known(platform, old.access_token.expose(), stage.now).await);
        assert!(known(platform, new.access_token.expose(), stage.now).await, "a key that it did not know");
        assert_eq!(platform.jwks(stage.now).await.unwrap().keys.len(), 2);
    }
    // Three at once make three keys, and all are agreed on.
    let third = stage.instance();
    let made =
        tokio::join!(stage.platform.rotate_keys(stage.now), other.rotate_keys(stage.now), third.rotate_keys(stage.now));
    assert!(made.0.is_ok() && made.1.is_ok() && made.2.is_ok());
    let last = third.refresh(&refresh_token(&new), &origin(), stage.now).await.unwrap();
    stage.pass(2);
    for platform in [&stage.platform, &other, &third] {
        assert!(known(platform, last.access_token.expose(), stage.now).await);
        assert!(known(platform, new.access_token.expose(), stage.now).await);
    }
    // Nothing of a private key lies open.
    let sql = "SELECT count(*) FROM signing_keys WHERE octet_length(private_key_encrypted) = 33 + 32 AND octet_length(nonce) = 12";
    assert_eq!(stage.world.count(sql).await, 5);
}

#[tokio::test]
async fn a_key_that_is_due_is_replaced_by_one_for_all_and_dies() {
    let mut stage = staged("due", |config| config.signing_key_life = "1h".parse().unwrap()).await;
    let (tokens, _) = stage.somebody("ada@example.org").await;
    let other = stage.instance();
    stage.pass(3_600);
    let (one, two) = (stage.tokens("ada@example.org").await, refresh_token(&tokens));
    other.refresh(&two, &origin(), stage.now).await.unwrap();
    assert_eq!(stage.world.count("SELECT count(*) FROM signing_keys").await, 2, "not one for each instance");
    stage.caller(&one).await;
    stage.pass(700);
    assert_eq!(stage.platform.jwks(stage.now).await.unwrap().keys.len(), 1);
}

#[tokio::test]
async fn under_another_master_key_everybody_logs_in_again() {
    let mut stage = stage("master").await;
    let (tokens, _) = stage.somebody("ada@example.org").await;
    let mut config = stage.config.clone();
    config.previous_master_key = config.master_key.clone();
    config.master_key = model::humane::Secret::new("another passphrase that is long enough");
    let changed = platform::Platform::open(&config).unwrap();
    let bearer = Credential::Bearer(tokens.access_token.expose());
    changed.identify(bearer, &origin(), stage.now).await.unwrap();
    config.previous_master_key = model::humane::Secret::default();
    let lost = platform::Platform::open(&config).unwrap();
    assert!(lost.identify(bearer, &origin(), stage.now).await.is_err());
    let again = lost.refresh(&refresh_token(&tokens), &origin(), stage.now).await.unwrap();
    lost.identify(Credential::Bearer(again.access_token.expose()), &origin(), stage.now).await.unwrap();
}
