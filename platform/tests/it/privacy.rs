//! A person's data: all of it is handed out, and all of it goes.

use std::collections::BTreeSet;

use platform::audit;
use platform::database::Actor;
use platform::permission::Role;
use platform::privacy::{self, SOURCES};
use platform::refusal::Refusal;
use uuid::Uuid;

use crate::boards::make_dashboard;
use crate::world::{Person, World, conflict, person, refused, world};

const PLANTED: &str = "zyxwv-planted";

/// A person with something in every table that there is for people.
async fn planted(world: &World) -> Person {
    let ada = person(&world.root, world.a.id, Role::Trader, &format!("{PLANTED}@ada.example")).await;
    let (user, organisation) = (ada.user, ada.organisation);
    let rows = format!(
        "UPDATE users SET full_name = '{PLANTED} name', password_hash = '{PLANTED}', preferences = '{{\"a\": \"{PLANTED}\"}}',
            is_operator = true WHERE id = '{user}';
        INSERT INTO sessions (user_id, organisation_id, device, address, expires_time)
            VALUES ('{user}', '{organisation}', '{PLANTED} device', '{PLANTED}', now() + interval '1 day');
        INSERT INTO refresh_tokens (token_hash, session_id, expires_time) SELECT sha256('r'), id, now() FROM sessions;
        INSERT INTO api_keys (organisation_id, user_id, name, prefix, key_hash, scopes)
            VALUES ('{organisation}', '{user}', 'job', 'obk_abcd2345', sha256('k'), '{{bids.read}}');
        INSERT INTO mfa_secrets (user_id, secret_encrypted, nonce, key_id) VALUES ('{user}', sha256('s'), substr(sha256('n'), 1, 12), 'k');
        INSERT INTO recovery_codes (user_id, code_hash) VALUES ('{user}', sha256('c'));
        INSERT INTO oauth_identities (user_id, issuer, subject, email) VALUES ('{user}', 'https://idp.example', '{PLANTED}', '{PLANTED}@idp.example');
        INSERT INTO oauth_states (state_hash, issuer, user_id, verifier_encrypted, nonce, key_id, id_token_nonce, return_path, expires_time)
            VALUES (sha256('o'), 'https://idp.example', '{user}', sha256('v'), substr(sha256('n'), 1, 12), 'k', '{PLANTED}', '/{PLANTED}', now());
        INSERT INTO password_resets (user_id, token_hash, expires_time) VALUES ('{user}', sha256('p'), now());
        INSERT INTO email_verifications (user_id, email, token_hash, expires_time) VALUES ('{user}', '{PLANTED}@new.example', sha256('e'), now());
        INSERT INTO consents (user_id, purpose, text_version) VALUES ('{user}', 'news', '1');
        INSERT INTO invitations (organisation_id, email, role, token_hash, expires_time)
            VALUES ('{}', '{PLANTED}@ada.example', 'viewer', sha256('i'), now() + interval '1 day');
        INSERT INTO invitations (organisation_id, email, role, token_hash, invited_by, expires_time)
            VALUES ('{organisation}', 'friend@other.example', 'viewer', sha256('j'), '{user}', now() + interval '1 day');
        INSERT INTO alerts (organisation_id, anomaly, zone, location, market, kind, severity, start_time, value, threshold, acknowledged_by, acknowledged_time)
            VALUES ('{organisation}', '1', 'PJM', 'x', 'x', 'z_score', 'info', now(), 1, 1, '{user}', now());
        INSERT INTO notification_channels (organisation_id, name, kind, email) VALUES ('{organisation}', 'me', 'email', '{PLANTED}@ada.example');
        INSERT INTO notifications (organisation_id, user_id, kind, title, body) VALUES ('{organisation}', '{user}', 'x', 'Dear {PLANTED}', '{PLANTED}');
        INSERT INTO idempotency_keys (organisation_id, principal_id, key, method, path, body_hash, response, expires_time)
            VALUES ('{organisation}', '{user}', 'a', 'POST', '/{PLANTED}', sha256('b'), '{PLANTED}', now()),
            ('{organisation}', (SELECT id FROM api_keys), 'a', 'POST', '/{PLANTED}', sha256('b'), '{PLANTED}', now());",
        world.b.id
    );
    world.root.batch_execute(&rows).await.unwrap();
    let wish = |name: &str, shared: bool| serde_json::json!({"name": name, "shared": shared});
    make_dashboard(world, &ada, wish("mine", false)).await.unwrap();
    make_dashboard(world, &ada, wish("ours", true)).await.unwrap();
    ada
}

/// Every table with the planted text somewhere in a row, bytes included.
async fn tables_with_planted(world: &World) -> BTreeSet<String> {
    let sql =
        "SELECT c.relname FROM pg_class AS c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace";
    let mut found = BTreeSet::new();
    for row in world.root.query(sql, &[]).await.unwrap() {
        let table: String = row.get(0);
        let hex: String = PLANTED.bytes().map(|byte| format!("{byte:02x}")).collect();
        let count = format!("SELECT count(*) FROM {table} AS t WHERE t::text ~ '{PLANTED}|{hex}'");
        if world.count(&count).await > 0 {
            found.insert(table);
        }
    }
    found
}

#[tokio::test]
async fn the_list_of_sources_is_complete() {
    let world = world("sources").await;
    // Foreign keys to users, or to their memberships; and columns that by their names are somebody's.
    let sql = "SELECT c.conrelid::regclass::text, a.attname FROM pg_constraint AS c \
            JOIN unnest(c.conkey, c.confkey) AS k (here, there) ON true \
            JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.here \
            JOIN pg_attribute AS f ON f.attrelid = c.confrelid AND f.attnum = k.there \
            WHERE c.contype = 'f' AND c.conparentid = 0 AND \
            ((c.confrelid = 'users'::regclass AND f.attname = 'id') OR (c.confrelid = 'memberships'::regclass AND f.attname = 'user_id')) \
        UNION SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' \
            AND column_name IN ('user_id', 'email', 'principal_id', 'owner_id', 'invited_by', 'acknowledged_by') \
            AND (table_name, column_name) NOT IN (('users', 'email'))";
    let mut expected: BTreeSet<(String, String)> =
        world.root.query(sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    expected.insert(("users".to_owned(), "id".to_owned()));
    // Addresses that stand in a row which leads to the person by its id.
    for shown in ["oauth_identities", "email_verifications"] {
        assert!(expected.remove(&(shown.to_owned(), "email".to_owned())));
    }
    let listed = SOURCES.iter().map(|source| (source.table.to_owned(), source.column.to_owned())).collect();
    assert_eq!(expected, listed);
    let names: BTreeSet<_> = SOURCES.iter().map(|source| source.name).collect();
    assert_eq!(names.len(), SOURCES.len());
}

#[tokio::test]
async fn an_export_has_everything_but_secrets() {
    let world = world("export").await;
    let ada = planted(&world).await;
    let export = privacy::export(&world.database, &ada.actor(), ada.user).await.unwrap();
    for source in SOURCES {
        let rows = export[source.name].as_array().unwrap();
        assert!(!rows.is_empty(), "{} is there and not exported", source.name);
    }
    let text = export.to_string();
    for shown in ["@ada.example", " name", " device", "@idp.example", "@new.example", "Dear "] {
        assert!(text.contains(shown), "{shown}");
    }
    assert!(!text.contains("friend@other.example"), "other people's addresses are not hers");
    // The audit log names such columns, too, with "(secret)" for their values.
    for source in SOURCES.iter().filter(|source| source.table != "audit_log") {
        let rows = export[source.name].to_string();
        for secret in ["_hash", "_encrypted", "\"nonce\"", "\"key_id\"", "response", "id_token"] {
            assert!(!rows.contains(secret), "{secret} in {}", source.name);
        }
    }
    let at = export["sessions"][0]["created_time"].as_str().unwrap();
    assert!(at.ends_with('Z') && at.len() == 27, "{at}");
    let event = "SELECT count(*) FROM audit_log WHERE action = 'user.exported'";
    assert_eq!(world.count(event).await, 1);
    // For the person, and the admins of the only organisation.
    privacy::export(&world.database, &world.a.admin.actor(), ada.user).await.unwrap();
    let foreign = privacy::export(&world.database, &world.b.admin.actor(), ada.user).await;
    assert_eq!(refused(foreign), Refusal::not_found("user", ada.user));
    let random = Uuid::new_v4();
    let nobody = privacy::export(&world.database, &world.b.admin.actor(), random).await;
    assert_eq!(refused(nobody), Refusal::not_found("user", random));
    let join = "INSERT INTO memberships (organisation_id, user_id, role) VALUES ($1, $2, 'viewer')";
    world.root.execute(join, &[&world.b.id, &ada.user]).await.unwrap();
    let both = privacy::export(&world.database, &world.a.admin.actor(), ada.user).await;
    assert!(matches!(refused(both), Refusal::Forbidden(_)));
}

#[tokio::test]
async fn an_erasure_leaves_an_id_and_nothing_else() {
    let world = world("erase").await;
    let ada = planted(&world).await;
    let before = tables_with_planted(&world).await;
    let expected = [
        "email_verifications",
        "idempotency_keys",
        "invitations",
        "notification_channels",
        "notifications",
        "oauth_identities",
        "oauth_states",
        "sessions",
        "users",
    ];
    assert_eq!(before, expected.map(str::to_owned).into_iter().collect());
    let erased = privacy::erase(&world.database, &ada.actor(), ada.user).await.unwrap();
    assert_eq!((erased.sessions.len(), erased.api_keys.len(), erased.organisations), (1, 1, vec![world.a.id]));
    assert_eq!(tables_with_planted(&world).await, BTreeSet::new());
    for (table, left) in [
        ("sessions", 0),
        ("refresh_tokens", 0),
        ("api_keys", 0),
        ("mfa_secrets", 0),
        ("dashboards", 1),
        ("notifications", 0),
    ] {
        assert_eq!(world.count(&format!("SELECT count(*) FROM {table}")).await, left, "{table}");
    }
    let gone = "SELECT count(*) FROM users WHERE erased_time IS NOT NULL AND email IS NULL AND NOT is_operator";
    assert_eq!(world.count(gone).await, 1);
    let heir: Uuid = world.root.query_one("SELECT owner_id FROM dashboards", &[]).await.unwrap().get(0);
    assert_eq!(heir, world.a.admin.user);
    assert_eq!(world.count("SELECT count(*) FROM consents WHERE withdrawn_time IS NOT NULL").await, 1);
    assert_eq!(world.count("SELECT count(*) FROM alerts WHERE acknowledged_time IS NOT NULL").await, 1);
    let event = format!("SELECT count(*) FROM audit_log WHERE action = 'user.erased' AND subject_id = '{}'", ada.user);
    assert_eq!(world.count(&event).await, 1);
    assert!(audit::verify(&world.database).await.unwrap().is_whole());
    let again = privacy::erase(&world.database, &ada.actor(), ada.user).await;
    assert_eq!(refused(again), Refusal::not_found("user", ada.user));
}

#[tokio::test]
async fn the_last_admin_of_others_is_not_erased() {
    let world = world("last").await;
    let admin = &world.a.admin;
    assert_eq!(conflict(privacy::erase(&world.database, &admin.actor(), admin.user).await).0, "last_admin");
    let foreign = privacy::erase(&world.database, &world.b.admin.actor(), world.a.trader.user).await;
    assert_eq!(refused(foreign), Refusal::not_found("user", world.a.trader.user));
    let colleague = person(&world.root, world.a.id, Role::Viewer, "viewer@alpha.example").await;
    let meddling = privacy::erase(&world.database, &colleague.actor(), world.a.trader.user).await;
    assert!(matches!(refused(meddling), Refusal::Forbidden(_)));
    privacy::erase(&world.database, &admin.actor(), colleague.user).await.unwrap();
    privacy::erase(&world.database, &admin.actor(), world.a.trader.user).await.unwrap();
    // Alone in the house.
    privacy::erase(&world.database, &admin.actor(), admin.user).await.unwrap();
    privacy::erase(&world.database, &Actor::system(), world.b.trader.user).await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM memberships").await, 1);
}
