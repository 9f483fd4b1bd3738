//! Sites and assets: made, read, changed, removed; and everything that may be wrong with them.

use platform::refusal::Refusal;
use platform::resource::assets::{Asset, Assets, NewAsset};
use platform::resource::sites::{NewSite, Site, Sites};
use platform::resource::{self, ALL};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{Person, World, conflict, invalid, nothing, refused, world};

pub(crate) fn site(name: &str) -> Value {
    json!({"name": name, "latitude": 19.076, "longitude": 72.8777, "timezone": "Asia/Kolkata", "zone": "PJM"})
}

pub(crate) fn battery(site: Uuid, code: &str) -> Value {
    json!({
        "site_id": site, "code": code, "name": format!("Battery {code}"), "kind": "storage", "capacity_mw": 10.0,
        "energy_mwh": 20.0, "charge_mw": 10.0, "discharge_mw": 10.0, "efficiency_percent": 88.0, "soc_min_percent": 5.0,
        "soc_max_percent": 95.0
    })
}

pub(crate) async fn make_site(world: &World, person: &Person, wish: Value) -> platform::refusal::Outcome<Site> {
    let new: NewSite = resource::read(&wish)?;
    world.run(&person.actor(), async |t| resource::create::<Sites>(t, nothing(), new).await).await
}

pub(crate) async fn make_asset(world: &World, person: &Person, wish: Value) -> platform::refusal::Outcome<Asset> {
    let new: NewAsset = resource::read(&wish)?;
    world.run(&person.actor(), async |t| resource::create::<Assets>(t, nothing(), new).await).await
}

#[tokio::test]
async fn a_site_is_made_read_changed_and_removed() {
    let world = world("site").await;
    let trader = &world.a.trader;
    let made = make_site(&world, trader, site("  Ko\u{308}ln ")).await.unwrap();
    assert_eq!((made.name.as_str(), made.version, made.country.as_deref()), ("Köln", 1, None));
    let text = serde_json::to_value(&made).unwrap();
    let at = text["created_time"].as_str().unwrap();
    assert!(at.len() == 27 && at.ends_with('Z'), "{at}");
    let read = world.run(&trader.actor(), async |t| resource::get::<Sites>(t, ALL, &made.id).await).await.unwrap();
    assert_eq!(read, made);

    let patch = json!({"description": "Rhine", "zone": null});
    let changed =
        world.run(&trader.actor(), async |t| resource::patch::<Sites>(t, ALL, &made.id, &patch, Some(1)).await).await;
    let changed = changed.unwrap();
    assert_eq!((changed.description.as_str(), changed.zone.as_deref(), changed.version), ("Rhine", None, 2));
    assert_eq!(changed.name, "Köln");
    assert!(changed.updated_time > made.updated_time && changed.created_time == made.created_time);

    let stale =
        world.run(&trader.actor(), async |t| resource::patch::<Sites>(t, ALL, &made.id, &patch, Some(1)).await).await;
    assert_eq!(refused(stale), Refusal::Stale { given: 1, stands: 2 });
    let same =
        world.run(&trader.actor(), async |t| resource::patch::<Sites>(t, ALL, &made.id, &patch, Some(2)).await).await;
    assert_eq!(same.unwrap().version, 2, "what changes nothing raises nothing");
    let stale = world.run(&trader.actor(), async |t| resource::delete::<Sites>(t, ALL, &made.id, Some(1)).await).await;
    assert_eq!(refused(stale), Refusal::Stale { given: 1, stands: 2 });
    world.run(&trader.actor(), async |t| resource::delete::<Sites>(t, ALL, &made.id, Some(2)).await).await.unwrap();
    let gone = world.run(&trader.actor(), async |t| resource::get::<Sites>(t, ALL, &made.id).await).await;
    assert_eq!(refused(gone), Refusal::not_found("site", made.id));
}

#[tokio::test]
async fn every_bad_field_of_a_site_is_named() {
    let world = world("bad_site").await;
    let trader = &world.a.trader;
    let made = make_site(&world, trader, site("one")).await.unwrap();
    for (field, value, code) in [
        ("name", json!(""), "empty"),
        ("name", json!("a\nb"), "control_character"),
        ("name", json!("x".repeat(121)), "too_long"),
        ("name", json!(7), "invalid_type"),
        ("name", Value::Null, "required"),
        ("description", json!("x".repeat(2001)), "too_long"),
        ("description", json!("a\u{0}b"), "control_character"),
        ("description", json!("a\u{2028}b"), "not_allowed"),
        ("address", json!(""), "empty"),
        ("country", json!("de"), "invalid_code"),
        ("latitude", json!(90.1), "out_of_range"),
        ("latitude", json!("north"), "invalid_type"),
        ("longitude", json!(-180.5), "out_of_range"),
        ("timezone", json!("Mars/Olympus"), "unknown_timezone"),
        ("zone", json!("NOWHERE"), "unknown_reference"),
        ("location", json!(" "), "empty"),
        ("colour", json!("red"), "unknown_field"),
        ("version", json!(1), "unknown_field"),
        ("organisation_id", json!(world.b.id), "unknown_field"),
    ] {
        let mut wish = site("two");
        wish[field] = value.clone();
        assert_eq!(invalid(make_site(&world, trader, wish).await), [(field.to_owned(), code)], "{field}: {value}");
        let patch = json!({field: value});
        let changed =
            world.run(&trader.actor(), async |t| resource::patch::<Sites>(t, ALL, &made.id, &patch, None).await).await;
        let expected = if field == "name" && value.is_null() { "required" } else { code };
        assert_eq!(invalid(changed), [(field.to_owned(), expected)], "patch of {field}: {value}");
    }
    assert_eq!(
        invalid(make_site(&world, trader, json!({})).await).iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(),
        ["name", "latitude", "longitude", "timezone"]
    );
    for body in [json!([]), json!("x"), Value::Null] {
        let changed =
            world.run(&trader.actor(), async |t| resource::patch::<Sites>(t, ALL, &made.id, &body, None).await).await;
        assert_eq!(invalid(changed), [("body".to_owned(), "not_an_object")]);
    }
    assert_eq!(conflict(make_site(&world, trader, site("one")).await), ("site_exists", vec!["name"]));
    // The same name elsewhere is nobody's business.
    make_site(&world, &world.b.trader, site("one")).await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM sites").await, 2);
}

#[tokio::test]
async fn every_kind_of_asset_has_its_data_and_no_others() {
    let world = world("kinds").await;
    let trader = &world.a.trader;
    let place = make_site(&world, trader, site("one")).await.unwrap().id;
    let base = |code: &str, kind: &str| json!({"site_id": place, "code": code, "name": code, "kind": kind, "capacity_mw": 50.0, "commissioned_date": "2020-02-29"});
    let with = |mut base: Value, more: Value| {
        base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        base
    };
    let solar = json!({"dc_mw": 60.0, "tilt_degrees": 20.0, "azimuth_degrees": 180.0});
    let wind = json!({"hub_height_m": 120.0, "rotor_diameter_m": 150.0, "turbines": 12});
    let thermal = json!({"fuel": "gas", "min_load_mw": 10.0, "ramp_mw_per_min": 5.0, "start_cost_cold": 1e4, "currency": "EUR", "min_up_min": 60});
    for (kind, data) in [("solar", &solar), ("wind", &wind), ("thermal", &thermal)] {
        let made = make_asset(&world, trader, with(base(kind, kind), data.clone())).await.unwrap();
        let shown = serde_json::to_value(&made).unwrap();
        for (field, value) in data.as_object().unwrap() {
            assert_eq!(&shown[field], value, "{kind} {field}");
        }
        assert_eq!(shown.get("energy_mwh"), None, "data of other kinds are left out");
        assert_eq!(shown["commissioned_date"], "2020-02-29");
    }
    make_asset(&world, trader, battery(place, "BAT")).await.unwrap();

    let told = |outcome| invalid::<Asset>(outcome);
    let none = told(make_asset(&world, trader, base("x", "storage")).await);
    let needed =
        ["energy_mwh", "charge_mw", "discharge_mw", "efficiency_percent", "soc_min_percent", "soc_max_percent"];
    assert_eq!(none, needed.map(|field| (field.to_owned(), "required")));
    let refusal = refused(make_asset(&world, trader, base("x", "wind")).await);
    let Refusal::Invalid(errors) = refusal else { panic!("{refusal:?}") };
    assert_eq!(errors[0].message, "is missing: wind assets need hub_height_m, rotor_diameter_m");
    let both =
        told(make_asset(&world, trader, with(with(base("x", "wind"), wind.clone()), json!({"fuel": "gas"}))).await);
    assert_eq!(both, [("fuel".to_owned(), "not_of_kind")]);
    for (field, value, code) in [
        ("energy_mwh", json!(0.0), "out_of_range"),
        ("charge_mw", json!(11.0), "above_capacity"),
        ("soc_max_percent", json!(5.0), "out_of_order"),
        ("efficiency_percent", json!(100.1), "out_of_range"),
        ("capacity_mw", json!(0), "out_of_range"),
        ("kind", json!("nuclear"), "not_allowed"),
        ("status", json!("broken"), "not_allowed"),
        ("commissioned_date", json!("2023-02-29"), "invalid_date"),
        ("commissioned_date", json!("1850-01-01"), "out_of_range"),
        ("site_id", json!("7"), "invalid_id"),
        ("site_id", json!(Uuid::new_v4()), "unknown_reference"),
        ("code", json!("x".repeat(65)), "too_long"),
        ("turbines", json!(2.5), "invalid_type"),
        ("currency", json!("EURO"), "invalid_code"),
    ] {
        let found = told(make_asset(&world, trader, with(battery(place, "y"), json!({field: value}))).await);
        assert_eq!(
            found.iter().find(|(name, _)| name == field).map(|(_, code)| *code),
            Some(code),
            "{field} {found:?}"
        );
    }
    let costs = with(base("x", "thermal"), with(thermal.clone(), json!({"currency": null})));
    assert_eq!(told(make_asset(&world, trader, costs).await), [("currency".to_owned(), "required")]);
    assert_eq!(conflict(make_asset(&world, trader, battery(place, "BAT")).await), ("asset_exists", vec!["code"]));
}

#[tokio::test]
async fn an_asset_stays_what_it_is_and_holds_its_site() {
    let world = world("asset").await;
    let (trader, other) = (&world.a.trader, &world.b.trader);
    let place = make_site(&world, trader, site("one")).await.unwrap().id;
    let foreign = make_site(&world, other, site("one")).await.unwrap().id;
    let made = make_asset(&world, trader, battery(place, "BAT")).await.unwrap();
    let patch = async |patch: Value| {
        world.run(&trader.actor(), async |t| resource::patch::<Assets>(t, ALL, &made.id, &patch, None).await).await
    };
    // What a wind turbine would need is told, too.
    let other_kind = invalid(patch(json!({"kind": "wind"})).await);
    assert!(other_kind.contains(&("energy_mwh".to_owned(), "not_of_kind")), "{other_kind:?}");
    let data = json!({"kind": "solar", "energy_mwh": null, "charge_mw": null, "discharge_mw": null, "efficiency_percent": null,
        "soc_min_percent": null, "soc_max_percent": null, "dc_mw": 1.0, "tilt_degrees": 1.0, "azimuth_degrees": 1.0});
    assert_eq!(invalid(patch(data).await), [("kind".to_owned(), "fixed")]);
    assert_eq!(invalid(patch(json!({"site_id": foreign})).await), [("site_id".to_owned(), "unknown_reference")]);
    assert_eq!(patch(json!({"status": "retired"})).await.unwrap().version, 2);
    let in_use = world.run(&trader.actor(), async |t| resource::delete::<Sites>(t, ALL, &place, None).await).await;
    assert_eq!(conflict(in_use), ("site_in_use", vec![]));
    world.run(&trader.actor(), async |t| resource::delete::<Assets>(t, ALL, &made.id, None).await).await.unwrap();
    world.run(&trader.actor(), async |t| resource::delete::<Sites>(t, ALL, &place, None).await).await.unwrap();
}
