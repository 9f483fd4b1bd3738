//! The complete Iberian day-ahead book of 2025-06-21 through a real broker into the real stores: every price that was
//! published is ours, to the cent, and nothing is refused.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::program::{Program, eventually};
use crate::readers::data;
use crate::stores::{Stores, clickhouse, compacted};

/// Hours of the day and what OMIE published for Portugal and Spain, €/MWh.
fn official() -> BTreeMap<i64, (f64, f64)> {
    let text = std::fs::read_to_string(data().join("omie/marginalpdbc_20250621_hours_1_to_12.1")).unwrap();
    // Local midnight of the 21st in Madrid.
    let midnight = model::time::parse_instant("2025-06-20T22:00:00Z").unwrap();
    let rows = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(';').collect();
        let hour: i64 = fields.get(3)?.trim().parse().ok()?;
        let price = |at: usize| fields.get(at)?.trim().parse().ok();
        Some((midnight + (hour - 1) * 3_600_000, (price(4)?, price(5)?)))
    });
    rows.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_book_clears_at_the_published_prices_in_every_store() {
    let stores = Stores::of_the_run("iberia").await;
    let sets = stores.sets(&["sinks.history.roll_interval=200ms", "sinks.clickhouse.driver.max_delay=100ms"]);
    let program = Program::start(&["run"], &sets).await;
    let folder = data().join("omie");
    let mut replay = Program::spawn(&["replay", folder.to_str().unwrap()], &[], &sets);
    assert_eq!(replay.ends().await, Some(0), "{}", replay.log());
    assert!(replay.log().contains("2554 bids"), "{}", replay.log());

    let official = official();
    assert_eq!(official.len(), 12);
    let query = "SELECT zone, CAST(arrow_cast(start_time, 'Int64') AS BIGINT) AS start_ms, price, bought_mw, sold_mw, \
                 import_mw, marginal_bid FROM clearing ORDER BY zone, start_time";
    // The prices come last; all bids are in then.
    program.received(24).await;
    eventually("all bids", async || {
        let rows = program.sql("SELECT count(*) AS n FROM bids").await;
        (rows[0]["n"] == "2554").then_some(())
    })
    .await;
    let rows = program.sql(query).await;
    assert_eq!(rows.len(), 48, "24 hours in two zones");
    for row in &rows {
        let number = |name: &str| row[name].parse::<f64>().unwrap_or_else(|_| panic!("{name} of {row:?}"));
        assert!((number("sold_mw") + number("import_mw") - number("bought_mw")).abs() < 1e-6, "{row:?}");
        assert!(!row["marginal_bid"].is_empty(), "{row:?}");
        let published = official.get(&row["start_ms"].parse().unwrap());
        let published = published.map(|(portugal, spain)| if row["zone"] == "MIBEL-ES" { spain } else { portugal });
        if let Some(published) = published {
            assert!((number("price") - published).abs() < 0.0101, "{row:?}, not {published}");
        }
    }
    let awards = &program.sql("SELECT count(*) AS n FROM awards").await[0]["n"];
    assert!(awards.parse::<u64>().unwrap() > 40_000, "the gate is closed: {awards} awards");
    let letters = program.get("/health").await["records"]["dead_letters"].clone();
    assert_eq!(letters, Value::from(0));

    // Every store says the same.
    stores.caught_up(&program).await;
    let ours: BTreeMap<(String, i64), String> = rows
        .iter()
        .map(|row| ((row["zone"].clone(), row["start_ms"].parse().unwrap()), row["price"].clone()))
        .collect();
    let told = |key: (String, i64), price: f64, store: &str| {
        let expected: f64 = ours[&key].parse().unwrap();
        assert!((price - expected).abs() < 1e-9, "{store}: {key:?} {price}, not {expected}");
    };
    let database = &stores.prefix;
    let query =
        format!("SELECT zone, toUnixTimestamp64Milli(start_time), price FROM {database}.clearing FINAL FORMAT CSV");
    let found = clickhouse(&query).await;
    assert_eq!(found.lines().count(), 48);
    for line in found.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let key = (fields[0].trim_matches('"').to_owned(), fields[1].parse().unwrap());
        told(key, fields[2].parse().unwrap(), "clickhouse");
    }
    let found = clickhouse(&format!("SELECT count() FROM {database}.awards FINAL")).await;
    assert_eq!(found.trim(), awards);
    let changelog = compacted(&stores.changelog, &format!("{database}.changelog.clearing"));
    assert_eq!(changelog.len(), 48);
    for value in changelog.values() {
        let row: Value = serde_json::from_slice(value).unwrap();
        let start_ms = model::time::parse_instant(row["start_time"].as_str().unwrap()).unwrap();
        told((row["zone"].as_str().unwrap().to_owned(), start_ms), row["price"].as_f64().unwrap(), "changelog");
    }
    let mut redis = crate::stores::redis_connection().await;
    let found: BTreeMap<String, String> =
        redis::cmd("HGETALL").arg(format!("{database}:clearing")).query_async(&mut redis).await.unwrap();
    assert_eq!(found.len(), 48);
    for value in found.values() {
        let row: Value = serde_json::from_str(value).unwrap();
        let start_ms = model::time::parse_instant(row["start_time"].as_str().unwrap()).unwrap();
        told((row["zone"].as_str().unwrap().to_owned(), start_ms), row["price"].as_f64().unwrap(), "redis");
    }
}
