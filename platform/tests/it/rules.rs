//! What an organisation watches, what it has seen, and how it is told: rules, alerts, channels, notifications.

use model::humane::Secret;
use platform::Config;
use platform::database::Actor;
use platform::outgoing::Rules;
use platform::refusal::Refusal;
use platform::resource::alert_rules::{self, AlertRule, AlertRules, NewAlertRule};
use platform::resource::alerts::{self, AlertNote, Alerts};
use platform::resource::channels::{self, Channels, NewChannel, Vault};
use platform::resource::notifications::{self, Notifications};
use platform::resource::{self, ALL};
use platform::seal::{Keys, Sealer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{Person, World, conflict, invalid, nothing, parameters, refused, world};

pub(crate) fn rule(name: &str) -> Value {
    json!({"name": name, "kind": "z_score", "zone": "PJM", "market": "REAL_TIME_5_MIN", "threshold_milli": 3000, "severity": "warning"})
}

pub(crate) async fn make_rule(world: &World, person: &Person, wish: Value) -> platform::refusal::Outcome<AlertRule> {
    let new: NewAlertRule = resource::read(&wish)?;
    world.run(&person.actor(), async |t| resource::create::<AlertRules>(t, nothing(), new).await).await
}

pub(crate) async fn raise(world: &World, organisation: Uuid, anomaly: &str) -> Uuid {
    let sql = "INSERT INTO alerts (organisation_id, anomaly, zone, location, market, kind, severity, start_time, value, threshold) \
        VALUES ($1, $2, 'PJM', 'WESTERN HUB', 'REAL_TIME_5_MIN', 'z_score', 'critical', '2026-01-01', 250, 3) RETURNING id";
    world.root.query_one(sql, &[&organisation, &anomaly]).await.unwrap().get(0)
}

pub(crate) fn sealer() -> Sealer {
    let config =
        Config { master_key: Secret::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), ..Config::default() };
    Keys::new(&config).unwrap().sealer(channels::PURPOSE)
}

#[tokio::test]
async fn the_stream_hears_of_a_rule_until_it_knows_its_end() {
    let world = world("rules").await;
    let trader = &world.a.trader;
    let made = make_rule(&world, trader, rule("spikes")).await.unwrap();
    assert_eq!((made.rule.clone(), made.published), (format!("ALPHA/{}", made.id), false));
    let told = alert_rules::to_rule(&made);
    assert_eq!((told.rule.as_str(), told.revision, told.deleted, told.window_bars), (made.rule.as_str(), 1, false, 30));
    assert_eq!(told.market, Some(model::Market::RealTime5Min));
    let system = Actor::system();
    let unpublished = async || world.run(&system, async |t| alert_rules::unpublished(t, 10).await).await.unwrap();
    assert_eq!(unpublished().await, [(made.id, told)]);
    world.run(&system, async |t| alert_rules::published(t, made.id, 1).await).await.unwrap();
    assert!(unpublished().await.is_empty());
    let read = world.run(&trader.actor(), async |t| resource::get::<AlertRules>(t, ALL, &made.id).await).await.unwrap();
    assert!(read.published && read.version == 1);

    let patch = json!({"threshold_milli": 2500, "enabled": false});
    let changed = world
        .run(&trader.actor(), async |t| resource::patch::<AlertRules>(t, ALL, &made.id, &patch, Some(1)).await)
        .await
        .unwrap();
    assert_eq!((changed.version, changed.published, changed.enabled), (2, false, false));
    let gone = world.run(&trader.actor(), async |t| alert_rules::remove(t, &made.id, Some(2)).await).await.unwrap();
    assert!(gone.deleted && gone.revision == 3);
    assert_eq!(unpublished().await, [(made.id, gone)], "what was said at the deletion is what is sent");
    let read = world.run(&trader.actor(), async |t| resource::get::<AlertRules>(t, ALL, &made.id).await).await;
    assert_eq!(refused(read), Refusal::NotFound { what: "alert rule", id: made.id.to_string() });
    make_rule(&world, trader, rule("spikes")).await.unwrap();
    world.run(&system, async |t| alert_rules::published(t, made.id, 3).await).await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM alert_rules").await, 1, "deleted and told: forgotten");
}

#[tokio::test]
async fn a_rule_is_one_that_the_stream_takes() {
    let world = world("bad_rules").await;
    let trader = &world.a.trader;
    make_rule(&world, trader, rule("one")).await.unwrap();
    for (field, value, code) in [
        ("name", json!(""), "empty"),
        ("kind", json!("hunch"), "not_allowed"),
        ("zone", json!("NOWHERE"), "unknown_reference"),
        ("market", json!("BAZAAR"), "not_allowed"),
        ("threshold_milli", json!(-1), "out_of_range"),
        ("threshold_milli", json!(1.5), "invalid_type"),
        ("threshold_milli", json!(1_000_000_000_001_i64), "out_of_range"),
        ("window_bars", json!(1), "out_of_range"),
        ("window_bars", json!(10_001), "out_of_range"),
        ("severity", json!("mild"), "not_allowed"),
        ("enabled", json!("yes"), "invalid_type"),
        ("rule", json!("BETA/x"), "unknown_field"),
    ] {
        let mut wish = rule("two");
        wish[field] = value;
        assert_eq!(invalid(make_rule(&world, trader, wish).await), [(field.to_owned(), code)]);
    }
    let nowhere =
        json!({"name": "x", "kind": "flat_line", "location": "HUB", "threshold_milli": 5000, "severity": "info"});
    assert_eq!(invalid(make_rule(&world, trader, nowhere).await), [("zone".to_owned(), "required")]);
    assert_eq!(conflict(make_rule(&world, trader, rule("one")).await), ("alert_rule_exists", vec!["name"]));
    make_rule(&world, &world.b.trader, rule("one")).await.unwrap();
    let pairs = parameters([("severity", "warning"), ("zone", "PJM"), ("enabled", "true")]);
    let listed =
        world.run(&trader.actor(), async |t| resource::list::<AlertRules>(t, ALL, &pairs).await).await.unwrap();
    assert_eq!(listed.items.len(), 1);
}

#[tokio::test]
async fn an_alert_is_acknowledged_once_and_noted_upon() {
    let world = world("alerts").await;
    let (trader, id) = (&world.a.trader, raise(&world, world.a.id, "1").await);
    raise(&world, world.a.id, "2").await;
    let note = || AlertNote { note: Some("line 7\nis out".to_owned()) };
    let acknowledge = async |version: Option<i64>| {
        world.run(&trader.actor(), async |t| alerts::acknowledge(t, &id, note(), version).await).await
    };
    assert_eq!(refused(acknowledge(Some(3)).await), Refusal::Stale { given: 3, stands: 1 });
    let seen = acknowledge(Some(1)).await.unwrap();
    assert_eq!(
        (seen.acknowledged_by, seen.note.as_deref(), seen.version),
        (Some(trader.user), Some("line 7\nis out"), 2)
    );
    assert_eq!(conflict(acknowledge(None).await).0, "alert_acknowledged");
    let patch = json!({"note": null});
    let noted = world
        .run(&trader.actor(), async |t| resource::patch::<Alerts>(t, ALL, &id, &patch, Some(2)).await)
        .await
        .unwrap();
    assert_eq!(noted.note, None);
    let patch = json!({"severity": "info"});
    let other = world.run(&trader.actor(), async |t| resource::patch::<Alerts>(t, ALL, &id, &patch, None).await).await;
    assert_eq!(invalid(other), [("severity".to_owned(), "unknown_field")]);
    for (name, value, found) in [
        ("acknowledged", "false", 1),
        ("from", "2026-01-01T00:00:00Z", 2),
        ("to", "2026-01-01T00:00:00Z", 0),
        ("zone", "CAISO", 0),
    ] {
        let pairs = parameters([(name, value)]);
        let listed =
            world.run(&trader.actor(), async |t| resource::list::<Alerts>(t, ALL, &pairs).await).await.unwrap();
        assert_eq!(listed.items.len(), found, "{name}={value}");
    }
}

#[tokio::test]
async fn the_secret_of_a_channel_is_sealed_and_shown_once() {
    let world = world("channels").await;
    let (admin, sealer) = (world.a.admin.actor(), sealer());
    let vault = Vault { sealer: &sealer, rules: Rules::default() };
    let make = async |wish: Value| {
        let new: NewChannel = resource::read(&wish)?;
        world.run(&admin, async |t| channels::create(t, vault, new).await).await
    };
    let hook = json!({"name": "desk", "kind": "webhook", "url": "https://hooks.example.org/x"});
    let (desk, secret) = make(hook.clone()).await.unwrap();
    let secret = secret.unwrap();
    assert_eq!(secret.len(), 43);
    let open =
        async |id: Uuid| world.run(&Actor::system(), async |t| channels::open(t, &sealer, &id).await).await.unwrap();
    assert_eq!(open(desk.id).await.unwrap(), secret.as_bytes());
    let (mail, none) = make(json!({"name": "mail", "kind": "email", "email": "Desk@Example.org"})).await.unwrap();
    assert_eq!((mail.email.as_deref(), none, open(mail.id).await), (Some("desk@example.org"), None, None));
    for (wish, field, code) in [
        (json!({"name": "x", "kind": "webhook"}), "url", "required"),
        (json!({"name": "x", "kind": "webhook", "url": "http://hooks.example.org"}), "url", "forbidden_address"),
        (json!({"name": "x", "kind": "webhook", "url": "https://10.0.0.1/"}), "url", "forbidden_address"),
        (json!({"name": "x", "kind": "webhook", "url": "https://u:p@hooks.example.org"}), "url", "forbidden_address"),
        (json!({"name": "x", "kind": "webhook", "url": "hooks"}), "url", "forbidden_address"),
        (
            json!({"name": "x", "kind": "webhook", "url": "https://a.example", "email": "a@b.example"}),
            "email",
            "not_of_kind",
        ),
        (
            json!({"name": "x", "kind": "webhook", "url": "https://a.example", "secret": "short"}),
            "secret",
            "invalid_secret",
        ),
        (
            json!({"name": "x", "kind": "email", "email": "a@b.example", "url": "https://a.example"}),
            "url",
            "not_of_kind",
        ),
        (json!({"name": "x", "kind": "email", "email": "nobody"}), "email", "invalid_email"),
        (json!({"name": "x", "kind": "pigeon"}), "kind", "not_allowed"),
    ] {
        assert_eq!(invalid(make(wish.clone()).await), [(field.to_owned(), code)], "{wish}");
    }
    assert_eq!(conflict(make(hook).await), ("channel_exists", vec!["name"]));
    let patch = async |id: Uuid, patch: Value| {
        world.run(&admin, async |t| channels::patch(t, vault, &id, &patch, None).await).await
    };
    let changed =
        patch(desk.id, json!({"secret": "a new secret, longer", "minimal_severity": "critical"})).await.unwrap();
    assert!(changed.version > desk.version);
    assert_eq!(open(desk.id).await.unwrap(), b"a new secret, longer");
    assert_eq!(
        invalid(patch(desk.id, json!({"url": "https://127.0.0.1/"})).await),
        [("url".to_owned(), "forbidden_address")]
    );
    assert_eq!(invalid(patch(desk.id, json!({"secret": 7})).await), [("secret".to_owned(), "invalid_type")]);
    assert_eq!(
        invalid(patch(mail.id, json!({"secret": "a new secret, longer"})).await),
        [("secret".to_owned(), "not_of_kind")]
    );
    let kind = json!({"kind": "email", "email": "a@b.example", "url": null});
    assert_eq!(invalid(patch(desk.id, kind).await), [("kind".to_owned(), "fixed")]);
    world.run(&admin, async |t| resource::delete::<Channels>(t, ALL, &desk.id, None).await).await.unwrap();
    let trail =
        "SELECT count(*) FROM audit_log WHERE (before || coalesce(after, '{}'))::text ~ 'hooks.example|Desk@|desk@'";
    assert_eq!(world.count(trail).await, 0, "neither address nor secret is in the audit log");
}

#[tokio::test]
async fn notifications_are_for_one_or_for_all_and_are_read() {
    let world = world("notifications").await;
    let trader = world.a.trader.actor();
    let notify = async |user: Option<Uuid>, title: &str| -> Uuid {
        let sql = "INSERT INTO notifications (organisation_id, user_id, kind, title) VALUES ($1, $2, 'alert.raised', $3) RETURNING id";
        world.root.query_one(sql, &[&world.a.id, &user, &title]).await.unwrap().get(0)
    };
    let own = notify(Some(world.a.trader.user), "own").await;
    notify(None, "all").await;
    let admins = notify(Some(world.a.admin.user), "admin's").await;
    let unread = async || {
        let pairs = parameters([("read", "false")]);
        world.run(&trader, async |t| resource::list::<Notifications>(t, ALL, &pairs).await).await.unwrap().items.len()
    };
    assert_eq!(unread().await, 2);
    let read = world.run(&trader, async |t| notifications::mark(t, &own, true).await).await.unwrap();
    assert!(read.read_time.is_some());
    assert_eq!(unread().await, 1);
    assert_eq!(world.run(&trader, async |t| notifications::mark(t, &own, false).await).await.unwrap().read_time, None);
    assert_eq!(world.run(&trader, async |t| notifications::mark_all(t).await).await.unwrap(), 2);
    let foreign = world.run(&trader, async |t| notifications::mark(t, &admins, true).await).await;
    assert_eq!(refused(foreign), Refusal::not_found("notification", admins));
}
