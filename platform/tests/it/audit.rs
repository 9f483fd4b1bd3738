//! The audit log: every change is in it, and whoever tampers with it is found out.

use platform::audit::{self, AuditEntry, AuditLog, Broken};
use platform::database::{Actor, Kind};
use platform::resource::sites::Sites;
use platform::resource::{self, ALL};
use serde_json::json;
use uuid::Uuid;

use crate::sites::{make_site, site};
use crate::world::{World, invalid, parameters, world};

async fn entries(world: &World, actor: &Actor, pairs: &[(String, String)]) -> Vec<AuditEntry> {
    world.run(actor, async |t| resource::list::<AuditLog>(t, ALL, pairs).await).await.unwrap().items
}

#[tokio::test]
async fn every_change_says_who_what_before_and_after() {
    let world = world("trail").await;
    let (admin, trader) = (world.a.admin.actor(), &world.a.trader);
    let made = make_site(&world, trader, site("one")).await.unwrap();
    let key = Uuid::new_v4();
    let program = Actor { kind: Kind::ApiKey(key), ..trader.actor() };
    let patch = json!({"name": "two", "zone": null});
    world.run(&program, async |t| resource::patch::<Sites>(t, ALL, &made.id, &patch, None).await).await.unwrap();
    world.run(&trader.actor(), async |t| resource::delete::<Sites>(t, ALL, &made.id, None).await).await.unwrap();
    let id = made.id.to_string();
    let trail =
        entries(&world, &admin, &parameters([("subject", "sites"), ("subject_id", &id), ("sort", "sequence")])).await;
    let actions: Vec<_> = trail.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["insert", "update", "delete"]);
    for entry in &trail {
        assert_eq!((entry.user_id, entry.role.as_str()), (Some(trader.user), "trader"));
        assert_eq!((entry.address.as_deref(), entry.request.as_deref()), (Some("192.0.2.7"), Some("request-1")));
    }
    assert_eq!((trail[0].before.as_ref(), &trail[0].after.as_ref().unwrap()["name"]), (None, &json!("one")));
    assert_eq!(json!(trail[1].before), json!({"name": "one", "zone": "PJM"}));
    assert_eq!(json!(trail[1].after), json!({"name": "two", "zone": null}));
    assert_eq!((trail[1].actor.as_str(), trail[1].api_key_id), ("api_key", Some(key)));
    assert_eq!((&trail[2].before.as_ref().unwrap()["name"], trail[2].after.as_ref()), (&json!("two"), None));
    // By time, by person, by page.
    let at = trail[1].recorded_time.to_string();
    assert_eq!(entries(&world, &admin, &parameters([("subject", "sites"), ("from", &at)])).await.len(), 2);
    assert_eq!(entries(&world, &admin, &parameters([("subject", "sites"), ("to", &at)])).await.len(), 1);
    let user = trader.user.to_string();
    assert_eq!(entries(&world, &admin, &parameters([("user_id", &user), ("action", "delete")])).await.len(), 1);
    let page = world
        .run(&admin, async |t| resource::list::<AuditLog>(t, ALL, &parameters([("limit", "2")])).await)
        .await
        .unwrap();
    let cursor = page.next_cursor.unwrap();
    let rest = entries(&world, &admin, &parameters([("cursor", &cursor)])).await;
    assert_eq!(page.items[1].sequence, rest[0].sequence + 1);
    assert!(entries(&world, &world.b.admin.actor(), &parameters([("subject", "sites")])).await.is_empty());
    let listed =
        world.run(&admin, async |t| resource::list::<AuditLog>(t, ALL, &parameters([("from", "today")])).await).await;
    assert_eq!(invalid(listed), [("from".to_owned(), "invalid_instant")]);
}

async fn broken(world: &World) -> Vec<(Option<Uuid>, Broken)> {
    let report = audit::verify(&world.database).await.unwrap();
    report.chains.into_iter().filter_map(|chain| Some((chain.organisation_id, chain.broken?))).collect()
}

/// As a superuser who has switched the triggers off.
async fn tamper(world: &World, sql: &str) {
    let tables = ["audit_log", "audit_heads"];
    let switch = |way: &str| tables.map(|table| format!("ALTER TABLE {table} {way} TRIGGER ALL")).join("; ");
    world.root.batch_execute(&switch("DISABLE")).await.unwrap();
    world.root.batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn the_same_hashes_are_computed_here() {
    let world = world("chains").await;
    // Text that is escaped, numbers that are printed, and every column empty or not.
    let name = "quote \" back \\ slash / ü 東 \u{1f600}";
    make_site(&world, &world.a.trader, site(name)).await.unwrap();
    let odd = Actor {
        request: Some("a\u{1}\u{1f}\t\r\n\u{8}\u{c}\u{7f}\"".to_owned()),
        address: None,
        ..world.b.admin.actor()
    };
    let detail = json!({"n": [1e-7, 1e20, 0.1, -5, 12345678901234567890_u64], "nested": {"ü": null, "b": true}});
    world.run(&odd, async |t| audit::event(t, "session.failed", "sessions", None, &detail).await).await.unwrap();
    let report = audit::verify(&world.database).await.unwrap();
    assert!(report.is_whole(), "{report}");
    let chains: Vec<_> = report.chains.iter().map(|chain| chain.organisation_id).collect();
    assert!(chains.contains(&Some(world.a.id)) && chains.contains(&Some(world.b.id)) && chains.contains(&None));
    let entries: i64 = report.chains.iter().map(|chain| chain.entries).sum();
    assert_eq!(entries, world.count("SELECT count(*) FROM audit_log").await);
    for chain in &report.chains {
        let sql = "SELECT encode(hash, 'hex') FROM audit_heads WHERE organisation_id IS NOT DISTINCT FROM $1";
        let head: String = world.root.query_one(sql, &[&chain.organisation_id]).await.unwrap().get(0);
        assert_eq!(head, chain.hash);
    }
}

#[tokio::test]
async fn tampering_is_found_at_its_first_entry() {
    for (sql, expected) in [
        (
            "UPDATE audit_log SET after = after || '{\"name\": \"x\"}' WHERE organisation_id = $a AND sequence = 3",
            "entry 3",
        ),
        (
            "UPDATE audit_log SET recorded_time = recorded_time - interval '1 us' WHERE organisation_id = $a AND sequence = 2",
            "entry 2",
        ),
        ("UPDATE audit_log SET user_id = NULL WHERE organisation_id = $a AND sequence = 4", "entry 4"),
        ("UPDATE audit_log SET role = 'viewer' WHERE organisation_id = $a AND sequence = 4", "entry 4"),
        ("DELETE FROM audit_log WHERE organisation_id = $a AND sequence = 2", "stands where entry 2 should"),
        (
            "DELETE FROM audit_log WHERE organisation_id = $a AND sequence = (SELECT max(sequence) FROM audit_log WHERE organisation_id = $a)",
            "should end with",
        ),
        ("DELETE FROM audit_heads WHERE organisation_id = $a", "no head"),
        ("UPDATE audit_heads SET hash = sha256('x') WHERE organisation_id = $a", "should end with"),
        ("UPDATE audit_log SET hash = sha256('x') WHERE organisation_id = $a AND sequence = 3", "entry 3"),
        // Made to fit its own hash: then the next one does not follow.
        (
            "UPDATE audit_log SET role = 'viewer' WHERE organisation_id = $a AND sequence = 3; \
            UPDATE audit_log AS t SET hash = sha256(convert_to(audit_text(t), 'UTF8')) WHERE organisation_id = $a AND sequence = 3",
            "entry 4",
        ),
        (
            "UPDATE audit_log SET sequence = -sequence WHERE organisation_id = $a AND sequence IN (2, 3); \
            UPDATE audit_log SET sequence = 5 + sequence WHERE organisation_id = $a AND sequence < 0",
            "entry 2",
        ),
        (
            "UPDATE audit_log SET organisation_id = $b, sequence = 1000 WHERE organisation_id = $a AND sequence = 5",
            "BROKEN",
        ),
    ] {
        let world = world("tamper").await;
        for n in 0..4 {
            make_site(&world, &world.a.trader, site(&format!("{n}"))).await.unwrap();
        }
        assert!(broken(&world).await.is_empty());
        let sql = sql.replace("$a", &format!("'{}'", world.a.id)).replace("$b", &format!("'{}'", world.b.id));
        tamper(&world, &sql).await;
        let found = broken(&world).await;
        assert!(found.iter().any(|(chain, _)| *chain == Some(world.a.id)), "{sql}: {found:?}");
        let report = audit::verify(&world.database).await.unwrap();
        assert!(!report.is_whole() && report.to_string().contains(expected), "{sql}\n{report}");
    }
}
