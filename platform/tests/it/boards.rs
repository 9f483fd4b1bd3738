//! Dashboards with widgets, feature flags, models: what members share, and what they only look at.

use platform::database::Actor;
use platform::permission::Role;
use platform::refusal::{Outcome, Refusal};
use platform::resource::dashboards::{self, Dashboard, Dashboards, NewDashboard};
use platform::resource::flags::{self, Flags, NewFlag};
use platform::resource::members;
use platform::resource::models::{self, Model, Models, NewModel, Stage};
use platform::resource::widgets::{self, NewWidget, Widget, Widgets};
use platform::resource::{self, ALL};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{Person, World, conflict, invalid, nothing, parameters, person, refused, world};

pub(crate) async fn make_dashboard(world: &World, person: &Person, wish: Value) -> Outcome<Dashboard> {
    let new: NewDashboard = resource::read(&wish)?;
    world.run(&person.actor(), async |t| dashboards::create(t, new).await).await
}

pub(crate) async fn make_widget(world: &World, person: &Person, dashboard: Uuid, wish: Value) -> Outcome<Widget> {
    let new: NewWidget = resource::read(&wish)?;
    world.run(&person.actor(), async |t| widgets::create(t, dashboard, new).await).await
}

pub(crate) fn widget() -> Value {
    json!({"kind": "price_chart", "title": "PJM", "grid_x": 0, "grid_y": 0, "grid_width": 12, "grid_height": 6})
}

pub(crate) async fn make_model(world: &World, actor: &Actor, wish: Value) -> Outcome<Model> {
    let new: NewModel = resource::read(&wish)?;
    world.run(actor, async |t| resource::create::<Models>(t, nothing(), new).await).await
}

#[tokio::test]
async fn a_shared_dashboard_is_seen_by_all_and_changed_by_few() {
    let world = world("dashboards").await;
    let (admin, trader) = (&world.a.admin, &world.a.trader);
    let viewer = person(&world.root, world.a.id, Role::Viewer, "viewer@alpha.example").await;
    let private = make_dashboard(&world, trader, json!({"name": "mine"})).await.unwrap();
    let shared =
        make_dashboard(&world, trader, json!({"name": "ours", "shared": true, "settings": {"a": 1}})).await.unwrap();
    assert_eq!(shared.owner_id, trader.user);
    let seen = async |person: &Person| {
        let listed =
            world.run(&person.actor(), async |t| resource::list::<Dashboards>(t, ALL, &[]).await).await.unwrap();
        listed.items.into_iter().map(|dashboard| dashboard.name).collect::<Vec<_>>()
    };
    assert_eq!(seen(trader).await, ["mine", "ours"]);
    assert_eq!(seen(admin).await, ["ours"]);
    let rename = async |person: &Person, id: Uuid| {
        let patch = json!({"name": "renamed"});
        world.run(&person.actor(), async |t| resource::patch::<Dashboards>(t, ALL, &id, &patch, None).await).await
    };
    assert_eq!(refused(rename(admin, private.id).await), Refusal::not_found("dashboard", private.id));
    assert!(matches!(refused(rename(&viewer, shared.id).await), Refusal::Forbidden(_)));
    rename(admin, shared.id).await.unwrap();

    let made = make_widget(&world, trader, shared.id, widget()).await.unwrap();
    let scope = [("dashboard_id", shared.id)];
    assert!(matches!(refused(make_widget(&world, &viewer, shared.id, widget()).await), Refusal::Forbidden(_)));
    let delete = async |person: &Person| {
        world.run(&person.actor(), async |t| resource::delete::<Widgets>(t, &scope, &made.id, None).await).await
    };
    assert!(matches!(refused(delete(&viewer).await), Refusal::Forbidden(_)), "to see one is not to remove it");
    let listed = world.run(&viewer.actor(), async |t| widgets::list(t, shared.id, &[]).await).await.unwrap();
    assert_eq!((listed.items.len(), &listed.items[0]), (1, &made));
    // By way of another dashboard it is not there.
    let astray = [("dashboard_id", private.id)];
    let read = world.run(&trader.actor(), async |t| resource::get::<Widgets>(t, &astray, &made.id).await).await;
    assert_eq!(refused(read), Refusal::not_found("widget", made.id));
    delete(admin).await.unwrap();
    for (field, value, code) in [
        ("kind", json!("Price Chart"), "invalid_code"),
        ("title", json!(""), "empty"),
        ("grid_x", json!(24), "out_of_range"),
        ("grid_width", json!(25), "out_of_range"),
        ("grid_height", json!(-1), "out_of_range"),
        ("grid_y", json!(3_000_000_000_i64), "invalid_type"),
        ("settings", json!("x"), "invalid_type"),
        ("dashboard_id", json!(private.id), "unknown_field"),
    ] {
        let mut wish = widget();
        wish[field] = value;
        assert_eq!(invalid(make_widget(&world, trader, shared.id, wish).await), [(field.to_owned(), code)]);
    }
    let mut beyond = widget();
    beyond["grid_x"] = json!(13);
    assert_eq!(
        invalid(make_widget(&world, trader, shared.id, beyond).await),
        [("grid_width".to_owned(), "beyond_grid")]
    );
    // Who leaves takes the private one along; the shared one stays.
    world.run(&admin.actor(), async |t| members::remove(t, &trader.membership, None).await).await.unwrap();
    assert_eq!(seen(admin).await, ["renamed"]);
    assert_eq!(world.count("SELECT count(*) FROM dashboards").await, 1);
}

#[tokio::test]
async fn a_flag_is_the_platforms_until_an_organisation_says_otherwise() {
    let world = world("flags").await;
    let (operator, admin) = (world.b.admin.operator(), world.a.admin.actor());
    let make = async |wish: Value| {
        let new: NewFlag = resource::read(&wish)?;
        world.run(&operator, async |t| resource::create::<Flags>(t, nothing(), new).await).await
    };
    let dark = make(json!({"code": "dark_mode", "name": "Dark"})).await.unwrap();
    assert!(!dark.enabled);
    assert_eq!(conflict(make(json!({"code": "dark_mode", "name": "Dark"})).await), ("flag_exists", vec!["code"]));
    assert_eq!(invalid(make(json!({"code": "Dark Mode", "name": "x"})).await), [("code".to_owned(), "invalid_code")]);
    let is_on = async |actor: &Actor| world.run(actor, async |t| flags::is_on(t, "dark_mode").await).await.unwrap();
    let switch = async |code: &str, on: Option<bool>| {
        let code = code.to_owned();
        world.run(&admin, async |t| flags::switch(t, &code, on).await).await
    };
    assert!(!is_on(&admin).await);
    assert!(switch("dark_mode", Some(true)).await.unwrap().overridden);
    assert!(is_on(&admin).await && !is_on(&world.b.admin.actor()).await, "each for itself");
    let code = "dark_mode".to_owned();
    let patch = json!({"enabled": true});
    let on =
        world.run(&operator, async |t| resource::patch::<Flags>(t, ALL, &code, &patch, Some(1)).await).await.unwrap();
    assert_eq!((on.enabled, on.version), (true, 2));
    assert!(is_on(&world.b.admin.actor()).await);
    switch("dark_mode", Some(false)).await.unwrap();
    assert!(!is_on(&admin).await);
    let left = switch("dark_mode", None).await.unwrap();
    assert!(left.enabled && !left.overridden);
    assert_eq!(
        refused(switch("nothing", Some(true)).await),
        Refusal::NotFound { what: "flag", id: "nothing".to_owned() }
    );
    let all = world.run(&admin, async |t| flags::effective(t).await).await.unwrap();
    assert_eq!(all.len(), 1);
    world.run(&operator, async |t| resource::delete::<Flags>(t, ALL, &code, Some(2)).await).await.unwrap();
    assert!(!is_on(&admin).await, "one that there is not is off");
}

#[tokio::test]
async fn one_model_of_a_name_is_in_production() {
    let world = world("models").await;
    let admin = world.a.admin.actor();
    let wish = |version: &str| json!({"name": "pjm", "model_version": version, "kind": "tft", "metrics": {"mae": 2.5}});
    let one = make_model(&world, &admin, wish("1")).await.unwrap();
    let two = make_model(&world, &admin, wish("2")).await.unwrap();
    assert_eq!((one.stage, one.organisation_id), (Stage::None, Some(world.a.id)));
    assert_eq!(conflict(make_model(&world, &admin, wish("2")).await), ("model_exists", vec!["name", "model_version"]));
    make_model(&world, &world.b.admin.actor(), wish("2")).await.unwrap();
    let stage = async |id: Uuid, stage: Stage, version: Option<i64>| {
        world.run(&admin, async |t| models::stage(t, &id, stage, version).await).await
    };
    stage(one.id, Stage::Production, Some(1)).await.unwrap();
    assert_eq!(refused(stage(one.id, Stage::Archived, Some(1)).await), Refusal::Stale { given: 1, stands: 2 });
    stage(two.id, Stage::Production, None).await.unwrap();
    let pairs = parameters([("stage", "production"), ("name", "pjm")]);
    let listed = world.run(&admin, async |t| resource::list::<Models>(t, ALL, &pairs).await).await.unwrap();
    assert_eq!(listed.items.iter().map(|model| model.id).collect::<Vec<_>>(), [two.id]);
    let read = world.run(&admin, async |t| resource::get::<Models>(t, ALL, &one.id).await).await.unwrap();
    assert_eq!(read.stage, Stage::Archived);
    for (field, value, code) in [
        ("kind", json!("TFT!"), "invalid_code"),
        ("model_version", json!(""), "empty"),
        ("metrics", json!({"a": "x".repeat(65_536)}), "too_large"),
        ("trained_time", json!("yesterday"), "invalid_instant"),
        ("stage", json!("production"), "unknown_field"),
    ] {
        let mut bad = wish("3");
        bad[field] = value;
        assert_eq!(invalid(make_model(&world, &admin, bad).await), [(field.to_owned(), code)]);
    }
    let sql = "INSERT INTO models (name, model_version, kind) VALUES ('platform', '1', 'tft') RETURNING id";
    let common: Uuid = world.root.query_one(sql, &[]).await.unwrap().get(0);
    world.run(&admin, async |t| resource::get::<Models>(t, ALL, &common).await).await.unwrap();
    let patch = json!({"metrics": {}});
    let patched = world.run(&admin, async |t| resource::patch::<Models>(t, ALL, &common, &patch, None).await).await;
    assert!(matches!(refused(patched), Refusal::Forbidden(_)));
    let deleted = world.run(&admin, async |t| resource::delete::<Models>(t, ALL, &common, None).await).await;
    assert!(matches!(refused(deleted), Refusal::Forbidden(_)));
    assert!(matches!(refused(stage(common, Stage::Production, None).await), Refusal::Forbidden(_)));
}
