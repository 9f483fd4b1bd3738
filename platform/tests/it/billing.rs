//! Plans, what they include, what was used, and how long data stay.

use chrono::{Duration, NaiveDate, Utc};
use platform::database::Actor;
use platform::permission::Role;
use platform::refusal::{Outcome, Refusal};
use platform::resource::api_keys::{self, NewApiKey};
use platform::resource::invitations;
use platform::resource::plans::Plans;
use platform::resource::quotas::{self, Metric};
use platform::resource::retention::{self, RetentionPolicies, RetentionRuns};
use platform::resource::subscription::{self, NewSubscription, Subscription};
use platform::resource::{self, ALL, usage};
use serde_json::json;

use crate::rules::{make_rule, raise, rule};
use crate::sites::{battery, make_asset, make_site, site};
use crate::world::{World, invalid, refused, world};

async fn subscribe(world: &World, plan: &str, version: Option<i64>) -> Outcome<Subscription> {
    let new = NewSubscription { plan: plan.to_owned() };
    world.run(&world.a.admin.actor(), async |t| subscription::change(t, new, version).await).await
}

#[tokio::test]
async fn a_plan_is_changed_if_what_there_is_fits_in() {
    let world = world("subscription").await;
    let admin = world.a.admin.actor();
    let plans = world.run(&admin, async |t| resource::list::<Plans>(t, ALL, &[]).await).await.unwrap().items;
    assert_eq!(plans.iter().map(|plan| plan.code.as_str()).collect::<Vec<_>>(), ["free", "pro", "enterprise"]);
    assert_eq!((plans[0].quotas["sites"], plans[2].quotas["sites"]), (Some(10), None));
    let own = world.run(&admin, async |t| subscription::current(t).await).await.unwrap();
    assert_eq!((own.plan.as_str(), own.id, own.version), ("free", None, 0));
    assert_eq!(invalid(subscribe(&world, "gold", None).await), [("plan".to_owned(), "unknown_reference")]);
    assert!(matches!(refused(subscribe(&world, "enterprise", None).await), Refusal::Forbidden(_)));
    let pro = subscribe(&world, "pro", Some(0)).await.unwrap();
    assert_eq!((pro.plan.as_str(), pro.version), ("pro", 1));
    assert_eq!(refused(subscribe(&world, "free", Some(7)).await), Refusal::Stale { given: 7, stands: 1 });
    for n in 0..11 {
        make_site(&world, &world.a.trader, site(&format!("site {n}"))).await.unwrap();
    }
    assert_eq!(refused(subscribe(&world, "free", None).await), Refusal::Quota { what: "sites", limit: 10 });
    world.root.batch_execute("DELETE FROM sites WHERE name = 'site 3'").await.unwrap();
    let free = subscribe(&world, "free", None).await.unwrap();
    assert_eq!(free.plan, "free");
    assert_eq!(world.count("SELECT count(*) FROM subscriptions WHERE end_time IS NOT NULL").await, 1);
    let other = world.run(&world.b.admin.actor(), async |t| subscription::current(t).await).await.unwrap();
    assert_eq!(other.id, None);
}

#[tokio::test]
async fn nothing_is_made_beyond_the_plan() {
    let world = world("quotas").await;
    let trader = &world.a.trader;
    let limits = "UPDATE quotas SET maximum = 2 WHERE plan = 'free' AND metric IN ('sites', 'assets', 'alert_rules', 'api_keys'); \
        UPDATE quotas SET maximum = 3 WHERE plan = 'free' AND metric = 'members'";
    world.root.batch_execute(limits).await.unwrap();
    let place = make_site(&world, trader, site("1")).await.unwrap().id;
    make_site(&world, trader, site("2")).await.unwrap();
    assert_eq!(refused(make_site(&world, trader, site("3")).await), Refusal::Quota { what: "sites", limit: 2 });
    make_asset(&world, trader, battery(place, "1")).await.unwrap();
    make_asset(&world, trader, battery(place, "2")).await.unwrap();
    assert_eq!(
        refused(make_asset(&world, trader, battery(place, "3")).await),
        Refusal::Quota { what: "assets", limit: 2 }
    );
    make_rule(&world, trader, rule("1")).await.unwrap();
    make_rule(&world, trader, rule("2")).await.unwrap();
    assert_eq!(refused(make_rule(&world, trader, rule("3")).await), Refusal::Quota { what: "alert rules", limit: 2 });
    let key = async || {
        let new: NewApiKey = resource::read(&json!({"name": "x", "scopes": ["bids.read"]}))?;
        world.run(&trader.actor(), async |t| api_keys::create(t, Role::Trader.permissions(), new).await).await
    };
    let (first, _) = key().await.unwrap();
    key().await.unwrap();
    assert_eq!(refused(key().await.map(|_| ())), Refusal::Quota { what: "API keys", limit: 2 });
    world.run(&trader.actor(), async |t| api_keys::revoke(t, ALL, &first.id).await).await.unwrap();
    key().await.unwrap();
    let invite = async |email: &str| {
        let new: invitations::NewInvitation = resource::read(&json!({"email": email, "role": "viewer"}))?;
        world.run(&world.a.admin.actor(), async |t| invitations::create(t, new).await).await.map(|_| ())
    };
    invite("x@y.example").await.unwrap();
    assert_eq!(refused(invite("z@y.example").await), Refusal::Quota { what: "members", limit: 3 });
    let listed = world.run(&world.a.admin.actor(), async |t| quotas::list(t).await).await.unwrap();
    let sites = listed.iter().find(|quota| quota.metric == Metric::Sites).unwrap();
    assert_eq!((sites.maximum, sites.used, sites.daily), (Some(2), 2, false));
    // Another tenant's plan is another tenant's.
    make_site(&world, &world.b.trader, site("1")).await.unwrap();
}

#[tokio::test]
async fn the_last_one_goes_to_one_of_many_who_want_it() {
    let world = world("race").await;
    world.root.batch_execute("UPDATE quotas SET maximum = 3 WHERE plan = 'free' AND metric = 'sites'").await.unwrap();
    let mut made = 0;
    let wishes = (0..8).map(|n| {
        let world = &world;
        async move { make_site(world, &world.a.trader, site(&format!("{n}"))).await }
    });
    for outcome in futures::future::join_all(wishes).await {
        made += usize::from(outcome.is_ok());
    }
    assert_eq!((made, world.count("SELECT count(*) FROM sites").await), (3, 3));
}

#[tokio::test]
async fn use_is_counted_by_the_day_up_to_the_plan() {
    let world = world("usage").await;
    world.root.batch_execute("UPDATE quotas SET maximum = 10 WHERE plan = 'free' AND metric = 'bids'").await.unwrap();
    let system = Actor { organisation: Some(world.a.id), ..Actor::system() };
    let count = async |amount: i64| world.run(&system, async |t| usage::count(t, Metric::Bids, amount).await).await;
    assert_eq!(count(4).await.unwrap(), 4);
    assert_eq!(count(6).await.unwrap(), 10);
    assert_eq!(refused(count(1).await), Refusal::Quota { what: "bids a day", limit: 10 });
    let today = Utc::now().date_naive();
    let list = async |from: NaiveDate, to: NaiveDate| {
        world.run(&world.a.admin.actor(), async |t| usage::list(t, from, to).await).await
    };
    let used = list(today - Duration::days(1), today + Duration::days(1)).await.unwrap();
    assert_eq!(used.iter().map(|usage| (usage.metric.as_str(), usage.amount)).collect::<Vec<_>>(), [("bids", 10)]);
    assert_eq!(invalid(list(today, today - Duration::days(1)).await)[0].0, "to");
    assert_eq!(invalid(list(today, today + Duration::days(400)).await)[0].0, "to");
    // A tenant does not write what it used.
    let own = world.run(&world.a.admin.actor(), async |t| usage::count(t, Metric::Bids, 1).await).await;
    assert!(matches!(own, Err(platform::refusal::Failure::Failed(_))), "{own:?}");
}

#[tokio::test]
async fn what_is_due_is_removed_and_what_is_not_stays() {
    let world = world("retention").await;
    raise(&world, world.a.id, "old").await;
    raise(&world, world.a.id, "new").await;
    let rows = format!(
        "SET session_replication_role = replica;
        INSERT INTO sessions (user_id, expires_time) VALUES ('{0}', now() - interval '91 days'), ('{0}', now() - interval '89 days'),
            ('{0}', now() + interval '1 day');
        INSERT INTO sessions (user_id, expires_time, revoked_time, revoked_reason) VALUES ('{0}', now(), now() - interval '91 days', 'user');
        INSERT INTO password_resets (user_id, token_hash, expires_time) SELECT '{0}', sha256(n::text::bytea), now() - n * interval '1 day'
            FROM generate_series(1, 10) AS n;
        INSERT INTO idempotency_keys (organisation_id, principal_id, key, method, path, body_hash, expires_time) SELECT '{1}', '{0}', n::text,
            'POST', '/', sha256('x'), now() - n * interval '1 day' FROM generate_series(0, 3) AS n;
        INSERT INTO usage (organisation_id, metric, day, amount) VALUES ('{1}', 'bids', current_date, 1), ('{1}', 'bids', '2001-01-01', 1);
        UPDATE alerts SET created_time = now() - interval '731 days' WHERE anomaly = 'old';
        INSERT INTO notifications (organisation_id, kind, title, created_time) VALUES ('{1}', 'x', 'old', now() - interval '181 days'),
            ('{1}', 'x', 'new', now());
        INSERT INTO consents (user_id, purpose, text_version, granted_time, withdrawn_time) VALUES ('{0}', 'a', '1', '2001-01-01', '2002-01-01'),
            ('{0}', 'b', '1', '2001-01-01', NULL);
        SET session_replication_role = origin",
        world.a.trader.user, world.a.id
    );
    world.root.batch_execute(&rows).await.unwrap();
    let runs = retention::run(&world.database).await.unwrap();
    let removed = |class: &str| runs.iter().find(|run| run.data_class == class).unwrap().removed;
    for (class, expected) in [
        ("sessions", 2),
        ("tokens", 4),
        ("idempotency_keys", 3),
        ("usage", 1),
        ("alerts", 1),
        ("notifications", 1),
        ("consents", 1),
        ("invitations", 0),
        ("signing_keys", 0),
    ] {
        assert_eq!(removed(class), expected, "{class}");
    }
    assert_eq!(runs.len(), 9, "all but the audit log");
    for (table, left) in [("sessions", 2), ("password_resets", 6), ("alerts", 1), ("notifications", 1), ("consents", 1)]
    {
        assert_eq!(world.count(&format!("SELECT count(*) FROM {table}")).await, left, "{table}");
    }
    let again = retention::run(&world.database).await.unwrap();
    assert!(again.iter().all(|run| run.removed == 0));
    let operator = world.b.admin.operator();
    let page = world.run(&operator, async |t| resource::list::<RetentionRuns>(t, ALL, &[]).await).await.unwrap();
    assert_eq!(page.items.len(), 18);
}

#[tokio::test]
async fn an_operator_sets_the_days_but_not_of_the_audit_log() {
    let world = world("policies").await;
    let operator = world.b.admin.operator();
    let patch = async |class: &str, days: serde_json::Value, version: Option<i64>| {
        let (class, patch) = (class.to_owned(), json!({"days": days}));
        world.run(&operator, async |t| retention::patch(t, &class, &patch, version).await).await
    };
    assert_eq!(patch("alerts", json!(30), Some(1)).await.unwrap().days, Some(30));
    assert_eq!(patch("alerts", json!(null), None).await.unwrap().days, None);
    assert_eq!(refused(patch("alerts", json!(1), Some(1)).await), Refusal::Stale { given: 1, stands: 3 });
    assert_eq!(invalid(patch("alerts", json!(-1), None).await), [("days".to_owned(), "out_of_range")]);
    assert_eq!(invalid(patch("audit_log", json!(30), None).await), [("days".to_owned(), "fixed")]);
    assert_eq!(refused(patch("nothing", json!(30), None).await).to_string(), "no retention policy nothing");
    let tenant = world.a.admin.actor();
    let listed = world.run(&tenant, async |t| resource::list::<RetentionPolicies>(t, ALL, &[]).await).await.unwrap();
    assert_eq!(listed.items.len(), 10);
    let wish = json!({"days": 1});
    let changed = world.run(&tenant, async |t| retention::patch(t, &"alerts".to_owned(), &wish, None).await).await;
    assert!(changed.is_err(), "no tenant's to say: {changed:?}");
}
