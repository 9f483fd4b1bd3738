//! Lists: filters, orders, and cursors that lose nothing and repeat nothing.

use platform::resource::assets::Assets;
use platform::resource::sites::{Site, Sites};
use platform::resource::{self, ALL, Page};

use crate::sites::{battery, make_asset, make_site, site};
use crate::world::{World, invalid, parameters, world};

async fn list(world: &World, pairs: &[(String, String)]) -> Page<Site> {
    world.run(&world.a.trader.actor(), async |t| resource::list::<Sites>(t, ALL, pairs).await).await.unwrap()
}

/// Every page, one after the other.
async fn walk(world: &World, sort: &str, limit: usize) -> Vec<Site> {
    let mut all = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut pairs = parameters([("sort", sort), ("limit", &limit.to_string())]);
        pairs.extend(cursor.take().map(|cursor| ("cursor".to_owned(), cursor)));
        let page = list(world, &pairs).await;
        assert!(page.items.len() <= limit);
        all.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return all,
        }
    }
}

#[tokio::test]
async fn pages_lose_nothing_and_repeat_nothing_over_ties() {
    let world = world("pages").await;
    world.unlimited().await;
    // One transaction: all at one time. Names of which one is a beginning of another, and of any script.
    let rows = "INSERT INTO sites (organisation_id, name, latitude, longitude, timezone) \
        SELECT $1, CASE n % 3 WHEN 0 THEN 'site ' WHEN 1 THEN 'Süd ' ELSE '東 ' END || n, 0, 0, 'UTC' FROM generate_series(1, 57) AS n";
    world.root.execute(rows, &[&world.a.id]).await.unwrap();
    world.root.execute(rows, &[&world.b.id]).await.unwrap();
    for sort in ["name", "-name", "-created_time", "created_time"] {
        for limit in [1, 7, 19, 57, 500] {
            let all = walk(&world, sort, limit).await;
            let ids: std::collections::BTreeSet<_> = all.iter().map(|site| site.id).collect();
            assert_eq!((all.len(), ids.len()), (57, 57), "{sort} {limit}");
            assert_eq!(
                all.iter().map(|site| site.id).collect::<Vec<_>>(),
                walk(&world, sort, 500).await.iter().map(|site| site.id).collect::<Vec<_>>(),
                "{sort} {limit}"
            );
        }
    }
    assert_eq!(list(&world, &[]).await.items.len(), 50, "50 when nobody says");
    // A row that goes between two pages moves nothing.
    let first = list(&world, &parameters([("limit", "10")])).await;
    world.root.execute("DELETE FROM sites WHERE id = $1", &[&first.items[9].id]).await.unwrap();
    let cursor = first.next_cursor.unwrap();
    let second = list(&world, &parameters([("limit", "500"), ("cursor", &cursor)])).await;
    assert_eq!(second.items.len(), 47);
}

#[tokio::test]
async fn filters_narrow_and_what_is_no_parameter_is_named() {
    let world = world("filters").await;
    let trader = &world.a.trader;
    let one = make_site(&world, trader, site("100% sun")).await.unwrap();
    let mut second = site("under_score");
    second["zone"] = "CAISO".into();
    let two = make_site(&world, trader, second).await.unwrap();
    let names = async |pairs: &[(String, String)]| {
        list(&world, pairs).await.items.into_iter().map(|site| site.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&parameters([("zone", "CAISO")])).await, ["under_score"]);
    assert_eq!(names(&parameters([("zone", "CAISO' OR true --")])).await, [""; 0]);
    assert_eq!(names(&parameters([("q", "%")])).await, ["100% sun"]);
    assert_eq!(names(&parameters([("q", "R_S")])).await, ["under_score"]);
    assert_eq!(names(&parameters([("q", "\\")])).await, [""; 0]);
    make_asset(&world, trader, battery(one.id, "B1")).await.unwrap();
    make_asset(&world, trader, battery(two.id, "B2")).await.unwrap();
    let pairs = parameters([("site_id", &one.id.to_string()), ("kind", "storage"), ("sort", "code")]);
    let assets = world.run(&trader.actor(), async |t| resource::list::<Assets>(t, ALL, &pairs).await).await.unwrap();
    assert_eq!(assets.items.iter().map(|asset| asset.code.as_str()).collect::<Vec<_>>(), ["B1"]);

    let cursor = list(&world, &parameters([("limit", "1")])).await.next_cursor.unwrap();
    for (name, value, code) in [
        ("limit", "0", "out_of_range"),
        ("limit", "501", "out_of_range"),
        ("limit", "ten", "invalid_type"),
        ("sort", "latitude", "not_allowed"),
        ("sort", "name; DROP TABLE sites", "not_allowed"),
        ("cursor", "nonsense", "invalid_cursor"),
        ("cursor", "", "invalid_cursor"),
        ("cursor", "ü", "invalid_cursor"),
        ("zone", "", "empty"),
        ("zone", "a\0b", "control_character"),
        ("q", "", "empty"),
        ("colour", "red", "unknown_parameter"),
        ("organisation_id", "x", "unknown_parameter"),
    ] {
        let pairs = parameters([(name, value)]);
        let listed = world.run(&trader.actor(), async |t| resource::list::<Sites>(t, ALL, &pairs).await).await;
        assert_eq!(invalid(listed), [(name.to_owned(), code)], "{name}={value}");
    }
    for pairs in [
        parameters([("cursor", &cursor), ("sort", "-created_time")]),
        parameters([("cursor", &cursor), ("cursor", &cursor)]),
    ] {
        let listed = world.run(&trader.actor(), async |t| resource::list::<Sites>(t, ALL, &pairs).await).await;
        assert_eq!(invalid(listed)[0].0, "cursor");
    }
    let pairs = parameters([("site_id", "7"), ("kind", "boat")]);
    let listed = world.run(&trader.actor(), async |t| resource::list::<Assets>(t, ALL, &pairs).await).await;
    assert_eq!(invalid(listed), [("site_id".to_owned(), "invalid_id"), ("kind".to_owned(), "not_allowed")]);
}
