//! Two tenants: whatever one asks, what is the other's is not there, and no text says that it is.

mod borders;

use platform::audit::AuditLog;
use platform::database::Actor;
use platform::outgoing::Rules;
use platform::permission::Role;
use platform::refusal::{Failure, Outcome};
use platform::resource::alerts::AlertNote;
use platform::resource::api_keys::ApiKeys;
use platform::resource::channels::{Channels, Vault};
use platform::resource::consents::Consents;
use platform::resource::dashboards::Dashboards;
use platform::resource::invitations::Invitations;
use platform::resource::models::{Models, Stage};
use platform::resource::organisation::Organisations;
use platform::resource::sessions::Sessions;
use platform::resource::sites::Sites;
use platform::resource::widgets::Widgets;
use platform::resource::{
    self, ALL, Editable, Resource, alert_rules, alerts, api_keys, assets, channels, consents, invitations, members,
    models, notifications, quotas, sessions, subscription, usage, widgets,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::belongings::{Belongings, belongings};
use crate::boards::widget;
use crate::rules::sealer;
use crate::sites::{battery, make_asset, make_site, site};
use crate::world::{World, parameters, world};

/// What is answered about somebody else's row is what is answered about none.
struct Walk<'w> {
    world: &'w World,
    actor: Actor,
    steps: usize,
}

impl Walk<'_> {
    async fn absent<V: std::fmt::Debug>(
        &mut self,
        what: &str,
        theirs: Uuid,
        mut ask: impl AsyncFnMut(&World, &Actor, Uuid) -> Outcome<V>,
    ) {
        let random = Uuid::new_v4();
        let mut texts = Vec::new();
        for id in [theirs, random] {
            match ask(self.world, &self.actor, id).await {
                Err(Failure::Refused(refusal)) => {
                    let kind = format!("{refusal:?}").replace(&id.to_string(), "ID");
                    assert!(kind.starts_with("NotFound"), "{what}: {kind}");
                    texts.push((kind, refusal.to_string().replace(&id.to_string(), "ID")));
                }
                other => panic!("{what} of {id}: {other:?}"),
            }
        }
        assert_eq!(texts[0], texts[1], "{what}");
        self.steps += 1;
    }

    /// Neither listed nor got.
    async fn unseen<R: Resource<Id = Uuid>>(&mut self, theirs: Uuid)
    where
        R::View: std::fmt::Debug,
    {
        for sort in R::SORTS {
            let pairs = parameters([("sort", sort.name), ("limit", "500")]);
            let listed =
                self.world.run(&self.actor, async |t| resource::list::<R>(t, ALL, &pairs).await).await.unwrap();
            let text = serde_json::to_string(&listed).unwrap();
            assert!(!text.contains(&theirs.to_string()) && !text.contains("theirs"), "{} {text}", R::WHAT);
        }
        self.absent(R::WHAT, theirs, async |world, actor, id| {
            world.run(actor, async |t| resource::get::<R>(t, ALL, &id).await).await
        })
        .await;
    }

    /// Neither seen, nor changed, nor removed.
    async fn untouched<R: Editable<Id = Uuid>>(&mut self, theirs: Uuid, patch: Value)
    where
        R::View: std::fmt::Debug,
    {
        self.unseen::<R>(theirs).await;
        for version in [None, Some(1), Some(99)] {
            self.absent(R::WHAT, theirs, async |world, actor, id| {
                world.run(actor, async |t| resource::patch::<R>(t, ALL, &id, &patch, version).await).await
            })
            .await;
            self.absent(R::WHAT, theirs, async |world, actor, id| {
                world.run(actor, async |t| resource::delete::<R>(t, ALL, &id, version).await).await
            })
            .await;
        }
    }
}

async fn tables(walk: &mut Walk<'_>, theirs: &Belongings) {
    walk.untouched::<Sites>(theirs.site, json!({"name": "mine"})).await;
    walk.untouched::<assets::Assets>(theirs.asset, json!({"name": "mine"})).await;
    walk.untouched::<alert_rules::AlertRules>(theirs.rule, json!({"name": "mine"})).await;
    walk.untouched::<alerts::Alerts>(theirs.alert, json!({"note": "mine"})).await;
    walk.untouched::<Channels>(theirs.channel, json!({"name": "mine"})).await;
    walk.untouched::<Dashboards>(theirs.dashboard, json!({"name": "mine"})).await;
    walk.untouched::<Widgets>(theirs.widget, json!({"title": "mine"})).await;
    walk.untouched::<Models>(theirs.model, json!({"metrics": {}})).await;
    walk.untouched::<ApiKeys>(theirs.key, json!({"name": "mine"})).await;
    walk.untouched::<Invitations>(theirs.invitation, json!({"role": "admin"})).await;
    walk.untouched::<Consents>(theirs.consent, json!({"text_version": "2"})).await;
    walk.untouched::<members::Members>(walk.world.b.trader.membership, json!({"role": "viewer"})).await;
    walk.untouched::<Organisations>(walk.world.b.id, json!({"name": "mine"})).await;
    walk.unseen::<notifications::Notifications>(theirs.notification).await;
    walk.unseen::<Sessions>(theirs.session).await;
    let sql = "SELECT id FROM audit_log WHERE organisation_id = $1 LIMIT 1";
    let entry = walk.world.root.query_one(sql, &[&walk.world.b.id]).await.unwrap().get(0);
    walk.unseen::<AuditLog>(entry).await;
}

async fn functions(walk: &mut Walk<'_>, theirs: &Belongings) {
    macro_rules! absent {
        ($theirs:expr, |$t:ident, $id:ident| $ask:expr) => {
            walk.absent(stringify!($ask), $theirs, async |world, actor, $id| {
                world.run(actor, async |$t| $ask.await).await
            })
            .await
        };
    }
    let sealer = sealer();
    let vault = Vault { sealer: &sealer, rules: Rules::default() };
    let patch = json!({"role": "viewer"});
    absent!(walk.world.b.trader.membership, |t, id| members::change_role(t, &id, &patch, None));
    absent!(walk.world.b.trader.membership, |t, id| members::remove(t, &id, None));
    absent!(theirs.invitation, |t, id| invitations::renew(t, &id, 1));
    absent!(theirs.invitation, |t, id| invitations::revoke(t, &id));
    absent!(theirs.rule, |t, id| alert_rules::remove(t, &id, None));
    absent!(theirs.alert, |t, id| alerts::acknowledge(t, &id, AlertNote::default(), None));
    absent!(theirs.alert, |t, id| alerts::acknowledge(t, &id, AlertNote::default(), Some(1)));
    let secret = json!({"secret": "a secret of my own", "name": "mine"});
    absent!(theirs.channel, |t, id| channels::patch(t, vault, &id, &secret, None));
    absent!(theirs.notification, |t, id| notifications::mark(t, &id, true));
    absent!(theirs.dashboard, |t, id| widgets::list(t, id, &[]));
    absent!(theirs.dashboard, |t, id| widgets::create(t, id, resource::read(&widget()).unwrap()));
    absent!(theirs.model, |t, id| models::stage(t, &id, Stage::Production, None));
    absent!(theirs.key, |t, id| api_keys::revoke(t, ALL, &id));
    let name = json!({"name": "mine"});
    absent!(theirs.key, |t, id| api_keys::patch(t, ALL, Role::Admin.permissions(), &id, &name, None));
    absent!(theirs.session, |t, id| sessions::revoke(t, &id));
    absent!(theirs.consent, |t, id| consents::withdraw(t, &id));
    let actor = walk.actor.clone();
    let run = walk.world;
    assert_eq!(run.run(&actor, async |t| notifications::mark_all(t).await).await.unwrap(), 0);
    assert!(run.run(&actor, async |t| sessions::revoke_others(t, Uuid::nil()).await).await.unwrap().is_empty());
    let taken = run.run(&actor, async |t| quotas::list(t).await).await.unwrap();
    let sites = taken.iter().find(|quota| quota.metric == quotas::Metric::Sites).unwrap();
    assert_eq!(sites.used, 0, "what is counted is one's own");
    let own = run.run(&actor, async |t| subscription::current(t).await).await.unwrap();
    assert_eq!(own.plan, "free");
    let day = chrono::Utc::now().date_naive();
    assert!(run.run(&actor, async |t| usage::list(t, day, day).await).await.unwrap().is_empty());
}

/// Everything of the other tenant, as a superuser sees it.
async fn everything(world: &World) -> String {
    let sql = "SELECT string_agg(t, chr(10) ORDER BY t) FROM (SELECT to_jsonb(x)::text AS t FROM sites AS x UNION ALL SELECT to_jsonb(x)::text FROM assets AS x \
        UNION ALL SELECT to_jsonb(x)::text FROM alert_rules AS x UNION ALL SELECT to_jsonb(x)::text FROM alerts AS x \
        UNION ALL SELECT to_jsonb(x)::text FROM notification_channels AS x UNION ALL SELECT to_jsonb(x)::text FROM notifications AS x \
        UNION ALL SELECT to_jsonb(x)::text FROM dashboards AS x UNION ALL SELECT to_jsonb(x)::text FROM widgets AS x \
        UNION ALL SELECT to_jsonb(x)::text FROM models AS x UNION ALL SELECT to_jsonb(x)::text FROM api_keys AS x \
        UNION ALL SELECT to_jsonb(x)::text FROM invitations AS x UNION ALL SELECT to_jsonb(x)::text FROM sessions AS x \
        UNION ALL SELECT to_jsonb(x)::text FROM consents AS x UNION ALL SELECT to_jsonb(x)::text FROM memberships AS x \
        UNION ALL SELECT to_jsonb(x)::text FROM organisations AS x UNION ALL SELECT to_jsonb(x)::text FROM usage AS x \
        UNION ALL SELECT to_jsonb(x)::text FROM subscriptions AS x UNION ALL SELECT to_jsonb(x)::text FROM feature_overrides AS x) AS t";
    world.root.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn what_is_anothers_is_not_there() {
    let world = world("isolation").await;
    let theirs = belongings(&world).await;
    let more = format!(
        "INSERT INTO subscriptions (organisation_id, plan) VALUES ('{0}', 'pro'); \
         INSERT INTO usage (organisation_id, metric, day, amount) VALUES ('{0}', 'bids', current_date, 7); \
         INSERT INTO feature_flags (code, name) VALUES ('dark_mode', 'Dark'); \
         INSERT INTO feature_overrides (organisation_id, flag, enabled) VALUES ('{0}', 'dark_mode', true)",
        world.b.id
    );
    world.root.batch_execute(&more).await.unwrap();
    let before = everything(&world).await;
    let nobody = Actor { organisation: None, user: None, member: None, ..world.a.admin.actor() };
    // Their organisation's name in a request is not their membership: an actor is made of a verified token.
    let mut walk = Walk { world: &world, actor: world.a.admin.actor(), steps: 0 };
    tables(&mut walk, &theirs).await;
    functions(&mut walk, &theirs).await;
    assert!(walk.steps > 100, "{}", walk.steps);
    for actor in [world.a.trader.actor(), nobody] {
        let mut walk = Walk { world: &world, actor, steps: 0 };
        tables(&mut walk, &theirs).await;
    }
    assert_eq!(before, everything(&world).await, "and nothing of it has changed");
}

#[tokio::test]
async fn nothing_of_ones_own_leads_to_anothers() {
    let world = world("references").await;
    let theirs = belongings(&world).await;
    let text = |outcome: Outcome<assets::Asset>| match outcome {
        Err(Failure::Refused(refusal)) => format!("{refusal:?}"),
        other => panic!("{other:?}"),
    };
    let foreign = text(make_asset(&world, &world.a.admin, battery(theirs.site, "x")).await);
    let random = text(make_asset(&world, &world.a.admin, battery(Uuid::new_v4(), "x")).await);
    assert_eq!(foreign, random);
    // Names of others are free.
    make_site(&world, &world.a.admin, site("theirs")).await.unwrap();
}
