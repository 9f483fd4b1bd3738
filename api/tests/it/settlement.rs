//! Settlement rows with their totals.

use model::{Batch, Change, Settlement};
use serde_json::{Value, json};

use crate::day::{HOUR, hour, series, start};
use crate::golden;
use crate::world::{World, micros, noon};

fn row(organisation: &str, asset: &str, zone: &str, hour: i64, known: Option<(i64, f64)>) -> Settlement {
    let scheduled_kw = 50_000;
    let amount = known.map(|(metered_kw, price)| (metered_kw - scheduled_kw) * micros(price) / 1_000);
    Settlement {
        organisation: organisation.to_owned(),
        asset: asset.to_owned(),
        bid: if asset.is_empty() { "b1".to_owned() } else { String::new() },
        series: series(zone),
        start_ms: start() + hour * HOUR,
        duration_ms: HOUR as u32,
        day_ms: start(),
        scheduled_kw,
        day_ahead_micros: micros(2_100.0),
        metered_kw: known.map(|(kw, _)| kw),
        imbalance_kw: known.map(|(kw, _)| kw - scheduled_kw),
        real_time_price_micros: known.map(|(_, price)| micros(price)),
        imbalance_micros: amount,
        penalty_micros: known.map(|_| micros(36.0)),
        total_micros: match asset {
            "" => Some(micros(2_100.0)),
            _ => amount.map(|amount| micros(2_100.0) + amount - micros(36.0)),
        },
    }
}

async fn world() -> World {
    let world = World::start().await;
    let mut rows = vec![
        row("Acme", "wind-1", "ES", 0, Some((42_000, 60.0))),
        row("Acme", "wind-1", "ES", 1, None),
        row("Acme", "", "PT", 0, None),
        row("Blocks", "gas-1", "ES", 0, Some((50_000, 60.0))),
    ];
    rows.sort_by_key(Settlement::key);
    world.close(Batch { t: noon() + 1, settlement: rows.into_iter().map(Change::Put).collect(), ..Batch::default() });
    world
}

#[tokio::test]
async fn the_answer_is_as_it_was() {
    let world = world().await;
    let (status, body) = world.get("/api/settlement?organisation=Acme").await;
    assert_eq!(status, 200, "{body}");
    golden::check("settlement", &body);
}

#[tokio::test]
async fn rows_are_found_and_totalled() {
    let world = world().await;
    let get = async |query: &str| world.get(&format!("/api/settlement?{query}")).await.1;
    let all = get("").await;
    assert_eq!((&all["t"], &all["count"], &all["truncated"]), (&json!(noon() + 1), &json!(4), &json!(false)));
    let of = |body: &Value, at: usize, field: &str| body["totals"][at][field].clone();
    // Acme without an asset, Acme's wind, Blocks.
    assert_eq!(
        (of(&all, 0, "asset"), of(&all, 0, "total"), of(&all, 0, "open_intervals")),
        (Value::Null, json!(2100.0), json!(0))
    );
    assert_eq!(
        (of(&all, 1, "day_ahead"), of(&all, 1, "imbalance"), of(&all, 1, "penalty")),
        (json!(4200.0), json!(-480.0), json!(36.0))
    );
    assert_eq!(
        (of(&all, 1, "intervals"), of(&all, 1, "open_intervals"), of(&all, 1, "currency")),
        (json!(2), json!(1), json!("EUR"))
    );
    // What is not known is null, not 0.
    let open = get(&format!("asset=wind-1&start={}", hour(1))).await;
    assert_eq!((&open["settlement"][0]["imbalance"], &open["settlement"][0]["total"]), (&Value::Null, &Value::Null));
    let count = async |query: &str| get(query).await["count"].clone();
    assert_eq!(count("location=ES").await, 3);
    assert_eq!(count("location=PT&market=DAY_AHEAD_HOURLY").await, 1);
    assert_eq!(count("market=CONTINUOUS").await, 0);
    assert_eq!(count("organisation=Blocks&asset=gas-1").await, 1);
    assert_eq!(count(&format!("end={}", hour(1))).await, 3);
    assert_eq!(count("location=ES&start=2090-06-21&end=2090-06-21").await, 3);
    let cut = get("limit=1").await;
    assert_eq!(
        (&cut["count"], &cut["truncated"], cut["totals"].as_array().unwrap().len()),
        (&json!(1), &json!(true), 3)
    );
    assert_eq!(world.get("/api/settlement?location=nowhere").await.0, 404);
    assert_eq!(world.get("/api/settlement?start=teatime").await.0, 400);
}
