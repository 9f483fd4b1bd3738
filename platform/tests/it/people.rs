//! Who belongs to an organisation, and how they prove it: members, invitations, API keys, sessions, consents.

use platform::opaque::{self, Token};
use platform::permission::Role;
use platform::refusal::Refusal;
use platform::resource::api_keys::{self, ApiKeys, NewApiKey};
use platform::resource::consents::{self, Consents};
use platform::resource::invitations::{self, InvitationStatus, Invitations};
use platform::resource::members::{self, Members};
use platform::resource::organisation::Organisations;
use platform::resource::sessions::{self, Sessions};
use platform::resource::{self, ALL};
use serde_json::json;
use uuid::Uuid;

use crate::world::{conflict, invalid, parameters, person, refused, world};

#[tokio::test]
async fn an_organisation_changes_itself_and_no_other() {
    let world = world("organisation").await;
    let admin = world.a.admin.actor();
    let own = world.run(&admin, async |t| resource::get::<Organisations>(t, ALL, &world.a.id).await).await.unwrap();
    assert_eq!((own.code.as_str(), own.version), ("ALPHA", 1));
    let patch = json!({"name": "Alpha AG", "country": "DE", "timezone": "Europe/Berlin", "settings": {"theme": {"dark": true}}});
    let patched = async |id: Uuid, patch: serde_json::Value| {
        world.run(&admin, async |t| resource::patch::<Organisations>(t, ALL, &id, &patch, None).await).await
    };
    assert_eq!(patched(world.a.id, patch).await.unwrap().version, 2);
    let merged = patched(world.a.id, json!({"settings": {"theme": {"dark": null, "size": 2}}})).await.unwrap();
    assert_eq!(json!(merged.settings), json!({"theme": {"size": 2}}));
    for (field, value, code) in [
        ("name", json!(""), "empty"),
        ("country", json!("Germany"), "invalid_code"),
        ("timezone", json!("Berlin"), "unknown_timezone"),
        ("settings", json!({"a": "x".repeat(16_384)}), "too_large"),
        ("settings", json!([]), "invalid_type"),
        ("code", json!("BETA"), "unknown_field"),
        ("suspended_time", json!(null), "unknown_field"),
    ] {
        assert_eq!(invalid(patched(world.a.id, json!({field: value})).await), [(field.to_owned(), code)]);
    }
    let nul = patched(world.a.id, json!({"settings": {"a": ["\u{0}"]}})).await;
    assert_eq!(invalid(nul), [("settings.a[0]".to_owned(), "control_character")]);
    let other = refused(patched(world.b.id, json!({"name": "Mine"})).await);
    assert_eq!(other, Refusal::not_found("organisation", world.b.id));
}

#[tokio::test]
async fn there_is_always_an_admin() {
    let world = world("members").await;
    let (admin, trader) = (&world.a.admin, &world.a.trader);
    let listed = world.run(&admin.actor(), async |t| resource::list::<Members>(t, ALL, &[]).await).await.unwrap();
    let emails: Vec<_> = listed.items.iter().map(|member| member.email.clone().unwrap()).collect();
    assert_eq!(emails, ["admin@alpha.example", "trader@alpha.example"]);
    let pairs = parameters([("role", "trader"), ("q", "alpha")]);
    let traders = world.run(&admin.actor(), async |t| resource::list::<Members>(t, ALL, &pairs).await).await.unwrap();
    assert_eq!(traders.items.len(), 1);

    let change = async |id: Uuid, role: serde_json::Value, version: Option<i64>| {
        let patch = json!({"role": role});
        world.run(&admin.actor(), async |t| members::change_role(t, &id, &patch, version).await).await
    };
    let remove = async |id: Uuid| world.run(&admin.actor(), async |t| members::remove(t, &id, None).await).await;
    assert_eq!(conflict(change(admin.membership, json!("viewer"), None).await).0, "last_admin");
    assert_eq!(conflict(remove(admin.membership).await).0, "last_admin");
    assert_eq!(invalid(change(trader.membership, json!("root"), None).await), [("role".to_owned(), "not_allowed")]);
    assert_eq!(
        refused(change(trader.membership, json!("viewer"), Some(9)).await),
        Refusal::Stale { given: 9, stands: 1 }
    );
    assert_eq!(change(trader.membership, json!("admin"), Some(1)).await.unwrap().role, Role::Admin);
    assert_eq!(change(admin.membership, json!("viewer"), None).await.unwrap().role, Role::Viewer);
    let foreign = refused(change(world.b.trader.membership, json!("viewer"), None).await);
    assert_eq!(foreign, Refusal::not_found("member", world.b.trader.membership));
    remove(admin.membership).await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM memberships").await, 3);
}

#[tokio::test]
async fn two_admins_who_leave_at_once_are_not_both_let_go() {
    let world = world("leave").await;
    let other = person(&world.root, world.a.id, Role::Admin, "other@alpha.example").await;
    let leave = async |membership: Uuid| {
        world.run(&world.a.admin.actor(), async |t| members::remove(t, &membership, None).await).await
    };
    let (one, two) = tokio::join!(leave(world.a.admin.membership), leave(other.membership));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert_eq!(world.count("SELECT count(*) FROM memberships WHERE role = 'admin'").await, 2);
}

#[tokio::test]
async fn an_invitation_is_open_once_and_its_token_is_shown_once() {
    let world = world("invitations").await;
    let admin = world.a.admin.actor();
    let invite = async |wish: serde_json::Value| {
        let new: invitations::NewInvitation = resource::read(&wish)?;
        world.run(&admin, async |t| invitations::create(t, new).await).await
    };
    let (made, token) = invite(json!({"email": "New@Example.ORG", "role": "viewer"})).await.unwrap();
    assert_eq!((made.email.as_str(), made.status), ("new@example.org", InvitationStatus::Open));
    assert_eq!(made.invited_by, Some(world.a.admin.user));
    assert!((made.expires_time.ms() - made.created_time.ms() - 7 * 86_400_000).abs() < 7_200_000);
    let stored: String =
        world.root.query_one("SELECT encode(token_hash, 'hex') FROM invitations", &[]).await.unwrap().get(0);
    assert_eq!(stored, token.hash());
    assert_eq!(
        conflict(invite(json!({"email": "new@example.org", "role": "viewer"})).await),
        ("invitation_exists", vec!["email"])
    );
    let member = json!({"email": "trader@alpha.example", "role": "viewer"});
    assert_eq!(conflict(invite(member).await), ("member_exists", vec!["email"]));
    // Somebody else's member is nobody whom one knows.
    invite(json!({"email": "trader@beta.example", "role": "viewer"})).await.unwrap();
    for (wish, field, code) in [
        (json!({"email": "nobody", "role": "viewer"}), "email", "invalid_email"),
        (json!({"email": "a@b.example", "role": "owner"}), "role", "not_allowed"),
        (json!({"email": "a@b.example", "role": "viewer", "days": 31}), "days", "out_of_range"),
        (json!({"role": "viewer"}), "email", "required"),
    ] {
        assert_eq!(invalid(invite(wish).await), [(field.to_owned(), code)]);
    }
    let (renewed, second) = world.run(&admin, async |t| invitations::renew(t, &made.id, 1).await).await.unwrap();
    assert!(second.hash() != token.hash() && renewed.expires_time < made.expires_time);
    let revoked = world.run(&admin, async |t| invitations::revoke(t, &made.id).await).await.unwrap();
    assert_eq!(revoked.status, InvitationStatus::Revoked);
    for again in [
        world.run(&admin, async |t| invitations::revoke(t, &made.id).await).await.map(|_| ()),
        world.run(&admin, async |t| invitations::renew(t, &made.id, 1).await).await.map(|_| ()),
    ] {
        assert_eq!(conflict(again).0, "invitation_closed");
    }
    // One that came too late makes room for the next.
    let late = "SET session_replication_role = replica; UPDATE invitations SET created_time = now() - interval '9 days', \
        expires_time = now() - interval '1 day' WHERE email LIKE 'trader%'; SET session_replication_role = origin";
    world.root.batch_execute(late).await.unwrap();
    let pairs = parameters([("status", "expired")]);
    let expired = world.run(&admin, async |t| resource::list::<Invitations>(t, ALL, &pairs).await).await.unwrap();
    assert_eq!(expired.items.len(), 1);
    invite(json!({"email": "trader@beta.example", "role": "viewer"})).await.unwrap();
}

#[tokio::test]
async fn an_api_key_may_no_more_than_its_maker() {
    let world = world("api_keys").await;
    let trader = &world.a.trader;
    let may = Role::Trader.permissions();
    let make = async |wish: serde_json::Value| {
        let new: NewApiKey = resource::read(&wish)?;
        world.run(&trader.actor(), async |t| api_keys::create(t, may, new).await).await
    };
    let (key, token) = make(json!({"name": "job", "scopes": ["bids.write", "assets.read"]})).await.unwrap();
    assert_eq!(key.scopes, ["assets.read", "bids.write"]);
    assert_eq!((Some(key.prefix.as_str()), key.active, key.user_id), (token.name(), true, trader.user));
    assert!(Token::read(opaque::Kind::ApiKey, token.expose()).unwrap().matches(
        &world.root.query_one("SELECT encode(key_hash, 'hex') FROM api_keys", &[]).await.unwrap().get::<_, String>(0)
    ));
    for (wish, field, code) in [
        (json!({"name": "x", "scopes": ["members.write"]}), "scopes", "not_yours"),
        (json!({"name": "x", "scopes": ["coffee.make"]}), "scopes", "unknown_permission"),
        (json!({"name": "x", "scopes": []}), "scopes", "empty"),
        (json!({"name": "x", "scopes": "bids.read"}), "scopes", "invalid_type"),
        (
            json!({"name": "x", "scopes": ["bids.read"], "expires_time": "2001-01-01T00:00:00Z"}),
            "expires_time",
            "in_the_past",
        ),
        (json!({"name": "x", "scopes": ["bids.read"], "expires_time": "soon"}), "expires_time", "invalid_instant"),
        (json!({"name": "", "scopes": ["bids.read"]}), "name", "empty"),
        (json!({"name": "x", "scopes": ["bids.read"], "key_hash": "x"}), "key_hash", "unknown_field"),
    ] {
        assert_eq!(invalid(make(wish.clone()).await), [(field.to_owned(), code)], "{wish}");
    }
    let patch = async |patch: serde_json::Value| {
        world.run(&trader.actor(), async |t| api_keys::patch(t, ALL, may, &key.id, &patch, None).await).await
    };
    assert_eq!(patch(json!({"scopes": ["bids.read"]})).await.unwrap().scopes, ["bids.read"]);
    assert_eq!(invalid(patch(json!({"scopes": ["audit.read"]})).await), [("scopes".to_owned(), "not_yours")]);
    // Own keys alone, where the scope says so.
    let own = [("user_id", world.a.admin.user)];
    let none =
        world.run(&world.a.admin.actor(), async |t| resource::list::<ApiKeys>(t, &own, &[]).await).await.unwrap();
    assert!(none.items.is_empty());
    let foreign = world.run(&world.a.admin.actor(), async |t| api_keys::revoke(t, &own, &key.id).await).await;
    assert_eq!(refused(foreign), Refusal::not_found("API key", key.id));
    let revoked = world.run(&world.a.admin.actor(), async |t| api_keys::revoke(t, ALL, &key.id).await).await.unwrap();
    assert!(!revoked.active && revoked.revoked_time.is_some());
    assert_eq!(conflict(patch(json!({"name": "again"})).await).0, "api_key_revoked");
}

#[tokio::test]
async fn sessions_are_ones_own_and_end_one_by_one_or_all_others() {
    let world = world("sessions").await;
    let mut ids = Vec::new();
    for user in [world.a.admin.user, world.a.admin.user, world.a.admin.user, world.a.trader.user] {
        let sql = "INSERT INTO sessions (user_id, device, address, expires_time) VALUES ($1, 'Firefox', '192.0.2.1', now() + interval '1 day') RETURNING id";
        ids.push(world.root.query_one(sql, &[&user]).await.unwrap().get::<_, Uuid>(0));
    }
    let admin = world.a.admin.actor();
    let active = async || {
        let pairs = parameters([("active", "true")]);
        world.run(&admin, async |t| resource::list::<Sessions>(t, ALL, &pairs).await).await.unwrap().items
    };
    assert_eq!(active().await.len(), 3);
    let ended = world.run(&admin, async |t| sessions::revoke(t, &ids[0]).await).await.unwrap();
    assert_eq!((ended.active, ended.revoked_reason.as_deref()), (false, Some("user")));
    let again = world.run(&admin, async |t| sessions::revoke(t, &ids[0]).await).await.unwrap();
    assert_eq!(again.revoked_time, ended.revoked_time);
    let foreign = world.run(&admin, async |t| sessions::revoke(t, &ids[3]).await).await;
    assert_eq!(refused(foreign), Refusal::not_found("session", ids[3]), "not even a colleague's");
    assert_eq!(world.run(&admin, async |t| sessions::revoke_others(t, ids[1]).await).await.unwrap(), [ids[2]]);
    assert_eq!(active().await.iter().map(|session| session.id).collect::<Vec<_>>(), [ids[1]]);
    assert_eq!(world.count("SELECT count(*) FROM sessions WHERE revoked_time IS NULL").await, 2);
}

#[tokio::test]
async fn consents_are_given_and_taken_back_but_never_lost() {
    let world = world("consents").await;
    let trader = world.a.trader.actor();
    let grant = async |wish: serde_json::Value| {
        let new: consents::NewConsent = resource::read(&wish)?;
        world.run(&trader, async |t| consents::grant(t, new).await).await
    };
    let wish = json!({"purpose": "product_news", "text_version": "2026-01"});
    let given = grant(wish.clone()).await.unwrap();
    assert_eq!(conflict(grant(wish.clone()).await), ("consent_exists", vec!["purpose"]));
    assert_eq!(invalid(grant(json!({"purpose": "Product News", "text_version": ""})).await).len(), 2);
    let taken = world.run(&trader, async |t| consents::withdraw(t, &given.id).await).await.unwrap();
    assert!(taken.withdrawn_time >= Some(given.granted_time));
    grant(wish).await.unwrap();
    let all = world.run(&trader, async |t| resource::list::<Consents>(t, ALL, &[]).await).await.unwrap();
    assert_eq!(all.items.len(), 2);
    let foreign = world.run(&world.a.admin.actor(), async |t| consents::withdraw(t, &given.id).await).await;
    assert_eq!(refused(foreign), Refusal::not_found("consent", given.id));
}
