//! Books and clearing over the WebSocket: for those who ask for them, and for nobody else.

use model::Side;
use serde_json::{Value, json};

use crate::day::{self, bid, hour};
use crate::sockets::{connect, kinds};
use crate::world::noon;

#[tokio::test]
async fn books_and_clearing_are_in_the_snapshot_and_in_moments() {
    let world = day::world().await;
    let mut client = connect(&world, "/ws/market/es?channels=book,clearing").await;
    let snapshot = client.greeted().await;
    assert_eq!(snapshot["channels"], json!(["book", "clearing"]));
    let events = snapshot["events"].as_array().unwrap();
    // Hours 0, 2, 3 and 5 in Spain.
    assert_eq!(kinds(events), ["book_update", "clearing_update"].repeat(4));
    assert!(events.iter().all(|event| event["market_zone"] == "es" && event["t"] == noon() + 1));
    let book = json!({"type": "book_update", "market_zone": "es", "t": noon() + 1, "zone": "MIBEL-ES", "location": "MIBEL-ES",
        "market": "DAY_AHEAD_HOURLY", "currency": "EUR", "start": hour(0), "duration_ms": 3_600_000, "best_buy": 60.0,
        "best_sell": 10.0, "offered_mw": 300.0, "wanted_mw": 190.0, "bids": 5, "removed": false});
    assert_eq!(events[0], book);
    assert_eq!(
        (&events[1]["price"], &events[1]["sold_mw"], &events[1]["congested"]),
        (&json!(30.0), &json!(150.0), &json!(true))
    );
    assert_eq!((&events[1]["marginal"]["side"], &events[1]["import_mw"]), (&json!("sell"), &json!(0.0)));

    let mut batch = day::batch(noon() + 2, &[bid("s1", "ES", Side::Sell, &[(0, 11.0, 100.0)])]);
    batch.clearing.push(model::Change::Remove(day::rows(&day::book(&day::bids()))[0].clone()));
    world.close(batch);
    let (events, t) = client.moment().await;
    assert_eq!((t, &events[0]["best_sell"], &events[1]["price"]), (noon() + 2, &json!(11.0), &Value::Null));
    assert!(kinds(&events).iter().all(|kind| ["book_update", "clearing_update"].contains(kind)), "{events:?}");
    assert_eq!(events.iter().filter(|event| event["removed"] == true).count() % 2, 0);

    let mut both = connect(&world, "/ws/prices?zones=es&channels=clearing&format=batch").await;
    assert_eq!(both.greeted().await["channels"], json!(["clearing"]));
}

#[tokio::test]
async fn who_names_no_channel_gets_what_it_always_got() {
    let world = day::world().await;
    let mut client = connect(&world, "/ws/market/es").await;
    let snapshot = client.greeted().await;
    assert_eq!(snapshot["channels"], json!(["prices", "volumes", "kpis", "alerts", "correlations", "bids"]));
    assert_eq!(snapshot["events"], json!([]));
    world.close(day::batch(noon() + 2, &day::bids()));
    let (events, _) = client.moment().await;
    // Those of Portugal go to Portugal.
    assert_eq!(kinds(&events), ["bidding_notification"].repeat(day::bids().len() - 2));
}

#[tokio::test]
async fn a_snapshot_has_the_last_intervals_only() {
    let websocket = api::WebSocket { snapshot_alerts: 2, ..api::WebSocket::default() };
    let world = crate::world::World::with(api::Config { websocket, ..crate::world::config() }).await;
    world.close(day::batch(noon() + 1, &day::bids()));
    let mut client = connect(&world, "/ws/market/es?channels=clearing").await;
    let snapshot = client.greeted().await;
    let starts: Vec<&Value> = snapshot["events"].as_array().unwrap().iter().map(|event| &event["start"]).collect();
    assert_eq!(starts, [&json!(hour(3)), &json!(hour(5))]);
}
