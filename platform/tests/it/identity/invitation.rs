//! Invitations: accepted with a new account or the one there is, once, and by who was meant.

use platform::database::{self, DatabaseRole};
use platform::identity::Caller;
use platform::identity::invitation::{AcceptInvitation, JoinOrganisation};
use platform::identity::login::LoginAnswer;
use platform::permission::Role;
use platform::refusal::{Outcome, Refusal};
use platform::resource::{self, invitations};
use serde_json::json;
use uuid::Uuid;

use super::stage::{PASSWORD, Stage, origin, signed_in, stage, wish};
use crate::world::{conflict, invalid, refused};

async fn invite(stage: &Stage, admin: &Caller, email: &str) -> (Uuid, String) {
    let mut client = stage.platform.database().client().await.unwrap();
    let transaction = database::begin(&mut client, &admin.actor(DatabaseRole::Tenant)).await.unwrap();
    let new = resource::read(&json!({"email": email, "role": "trader", "days": 7})).unwrap();
    let (made, token) = invitations::create(&transaction, new).await.unwrap();
    transaction.commit().await.unwrap();
    (made.id, token.expose().to_owned())
}

async fn accept(stage: &Stage, token: &str, password: &str) -> Outcome<LoginAnswer> {
    let wish: AcceptInvitation = wish(json!({"token": token, "full_name": "Bob Trader", "password": password}));
    stage.platform.accept_invitation(&wish, &origin(), stage.now).await
}

fn named(token: &str) -> JoinOrganisation {
    wish(json!({"token": token}))
}

#[tokio::test]
async fn a_newcomer_is_a_member_and_logged_in() {
    let mut stage = stage("newcomer").await;
    let (_, admin) = stage.somebody("ada@example.org").await;
    let (_, token) = invite(&stage, &admin, "bob@example.org").await;
    let view = stage.platform.invitation(&named(&token), &origin(), stage.now).await.unwrap();
    assert_eq!(
        (view.organisation.as_str(), view.email.as_str(), view.has_account),
        ("Wind & Co", "bob@example.org", false)
    );
    assert_eq!(invalid(accept(&stage, &token, "password123").await), [("password".to_owned(), "too_weak")]);
    let (one, two) = tokio::join!(accept(&stage, &token, PASSWORD), accept(&stage, &token, PASSWORD));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    let tokens = signed_in(one.or(two).unwrap());
    let place = tokens.organisation.clone().unwrap();
    assert_eq!((place.id, place.role), (admin.organisation().unwrap(), Role::Trader));
    let me = stage.platform.me(&stage.caller(&tokens).await).await.unwrap();
    assert!(me.email_verified && me.full_name.as_deref() == Some("Bob Trader"));
    stage.tokens("bob@example.org").await;
    assert!(stage.platform.invitation(&named(&token), &origin(), stage.now).await.is_err(), "used up");
    assert_eq!(stage.events("invitation.accepted").await.len(), 1);
}

#[tokio::test]
async fn who_has_an_account_joins_with_it_and_nobody_else_does() {
    let mut stage = stage("join").await;
    let (_, admin) = stage.somebody("ada@example.org").await;
    let (_, bob) = stage.somebody("bob@example.org").await;
    let (_, eve) = stage.somebody("eve@example.org").await;
    let (_, token) = invite(&stage, &admin, "bob@example.org").await;
    assert!(stage.platform.invitation(&named(&token), &origin(), stage.now).await.unwrap().has_account);
    assert_eq!(conflict(accept(&stage, &token, PASSWORD).await).0, "log_in_first");
    let join =
        async |caller: &Caller| stage.platform.join_organisation(caller, &named(&token), &origin(), stage.now).await;
    assert!(matches!(refused(join(&eve).await), Refusal::Forbidden(_)));
    let place = join(&bob).await.unwrap();
    assert_eq!((place.id, place.role), (admin.organisation().unwrap(), Role::Trader));
    assert!(matches!(refused(join(&bob).await), Refusal::Unknown(_)), "used up");
    let into = wish(json!({"organisation": place.id}));
    stage.platform.switch_organisation(&bob, &into, &origin(), stage.now).await.unwrap();
}

#[tokio::test]
async fn an_invitation_ends_by_time_by_its_maker_and_with_its_organisation() {
    let mut stage = stage("ends").await;
    let (_, admin) = stage.somebody("ada@example.org").await;
    let (id, revoked) = invite(&stage, &admin, "bob@example.org").await;
    stage.execute(&format!("UPDATE invitations SET revoked_time = now() WHERE id = '{id}'")).await;
    assert!(matches!(refused(accept(&stage, &revoked, PASSWORD).await), Refusal::Unknown(_)));
    let (_, suspended) = invite(&stage, &admin, "carol@example.org").await;
    let organisation = admin.organisation().unwrap();
    stage.execute(&format!("UPDATE organisations SET suspended_time = now() WHERE id = '{organisation}'")).await;
    assert!(accept(&stage, &suspended, PASSWORD).await.is_err());
    stage.execute(&format!("UPDATE organisations SET suspended_time = NULL WHERE id = '{organisation}'")).await;
    stage.pass(8 * 86_400);
    assert!(accept(&stage, &suspended, PASSWORD).await.is_err());
    for bad in ["", "obi_", &format!("obi_{}", "A".repeat(43)), "' OR 1=1"] {
        assert!(matches!(refused(accept(&stage, bad, PASSWORD).await), Refusal::Unknown(_)));
    }
}
